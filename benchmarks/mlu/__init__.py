"""Predicted times of networks on emulated MLUs beside those that Cambricon published."""
