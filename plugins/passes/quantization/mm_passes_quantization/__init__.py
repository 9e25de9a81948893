"""Passes that keep quantized networks on integers from end to end."""

__version__ = "0.1.0"
