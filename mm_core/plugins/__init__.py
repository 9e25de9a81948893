"""Plugins: the registry over entry points (stevedore), the hooks (pluggy) and the doctor."""

from mm_core.plugins.metadata import GROUPS, PluginRecord, records
from mm_core.plugins.registry import find, load

__all__ = ["GROUPS", "PluginRecord", "find", "load", "records"]
