"""Passes that choose in which floating-point precision a network is computed."""

__version__ = "0.1.0"
