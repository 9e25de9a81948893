"""Passes that fold weights, recognize composites in expanded graphs, and group what should run as one."""

__version__ = "0.1.0"
