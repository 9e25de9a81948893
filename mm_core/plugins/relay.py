"""The relay through which events reach the installed hook plugins."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

from mm_core.errors import PluginError
from mm_core.plugins.metadata import records
from mm_core.plugins.registry import load

if TYPE_CHECKING:
    import pluggy


@functools.cache
def hooks() -> pluggy.HookRelay:
    """The relay with every usable plugin of `mm.hooks` registered: `hooks().mm_model_packed(model=model)`.

    It is made once a process, since every request asks for it. A hook plugin that cannot be loaded, or that
    implements a hook which does not exist, is skipped with a warning: nobody asked for it by name.
    """
    import pluggy

    from mm_core.plugins.hookspecs import PROJECT, HookSpecifications

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecifications)
    for record in records("mm.hooks"):
        if record.state == "off":
            continue
        try:
            plugin = load(record.group, record.name)
        except PluginError as error:
            _skipped(str(error))
            continue
        try:
            manager.register(plugin, name=f"{record.distribution}:{record.name}")
            manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if manager.is_registered(plugin):
                manager.unregister(plugin)
            _skipped(f"{record}: {error}")
    return manager.hook


def _skipped(reason: str) -> None:
    warnings.warn(f"a hook plugin is skipped: {reason}", RuntimeWarning, stacklevel=3)
