"""Plugins: the registry over entry points (stevedore), the hooks (pluggy) and the doctor."""

from typing import Any

from mm_core.plugins.metadata import GROUPS, PluginRecord, records
from mm_core.plugins.registry import find, load, matching
from mm_core.plugins.relay import hooks

__all__ = ["GROUPS", "PluginRecord", "find", "hookimpl", "hooks", "load", "matching", "records"]


def __getattr__(name: str) -> Any:
    """`hookimpl`, the marker for hook plugins; it comes with pluggy, which nobody else pays for at import."""
    if name != "hookimpl":
        raise AttributeError(f"module 'mm_core.plugins' has no attribute {name!r}")
    from mm_core.plugins.hookspecs import hookimpl

    return hookimpl
