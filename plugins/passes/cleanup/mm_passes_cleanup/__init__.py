"""Passes that make a network smaller without changing a bit of its results."""

__version__ = "0.1.0"
