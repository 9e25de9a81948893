"""Plugins: the registry over entry points (stevedore), the hooks (pluggy) and the doctor."""

from mm_core.plugins.metadata import GROUPS, PluginRecord, records
from mm_core.plugins.registry import find, load
from mm_core.plugins.relay import hooks

__all__ = ["GROUPS", "PluginRecord", "find", "hooks", "load", "records"]
