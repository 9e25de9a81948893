"""A name goes in and one object comes out: the registry, on stevedore."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint
from typing import Any

from mm_core.errors import PluginConflictError, PluginLoadError, PluginMissingError
from mm_core.plugins.metadata import GROUPS, PluginRecord, canonical, records

_PACKAGE_PREFIX: dict[str, str] = {
    "mm.parsers": "mm-parser-",
    "mm.ops": "mm-ops-",
    "mm.backends": "mm-backend-",
}
"""How our own packages of a group are called; packages of the other groups hold several plugins each."""

_STANDARD_DIALECT = ("mm.ops", "mm")


def load(group: str, name: str) -> Any:
    """The object that the plugin `name` of `group` ("mm.ops", "mm.backends", ...) offers.

    Nothing but this one plugin is imported. Raises `PluginMissingError` (not installed, or switched off by
    the environment), `PluginConflictError` (two claim the name), `PluginLoadError` (wrong version, import
    failed).
    """
    return _import(find(group, name))


def find(group: str, name: str) -> PluginRecord:
    """The one record that `load` would import; raises as `load` does where metadata knows why it cannot."""
    everything = records(group)
    claims = [record for record in everything if record.name == name]
    # A claimant that is switched off is no rival to one that is not.
    record = next((record for record in claims if record.state != "off"), claims[0] if claims else None)
    if record is None:
        raise _missing(group, name, everything)
    if record.state == "conflict":
        raise PluginConflictError(
            f"{record.kind} {name!r} ({group}): {record.problem}",
            remedy=f"uninstall one of them, or switch one off with MM_DISABLE_PLUGINS={record.distribution}",
        )
    if record.state == "off":
        raise PluginMissingError(
            f"{record} is installed, but {record.problem}", remedy="change that variable to use it"
        )
    if record.state == "version":
        raise PluginLoadError(
            f"{record} is of the wrong version: {record.problem}",
            remedy=f"pip install --upgrade mm-core {record.distribution}",
        )
    return record


def matching(name: str) -> tuple[PluginRecord, ...]:
    """Every record called `name`, or `group:name`, or offered by the distribution `name`, whatever its state.

    PluginMissingError if there is none.
    """
    everything = records()
    found = tuple(
        record
        for record in everything
        if name in (record.name, f"{record.group}:{record.name}") or canonical(name) == canonical(record.distribution)
    )
    if not found:
        raise PluginMissingError(
            f"no plugin and no distribution with plugins is called {name!r}",
            available=", ".join(sorted({record.name for record in everything})) or "none",
            remedy="`mm_plugins list` shows what is installed",
        )
    return found


def _missing(group: str, name: str, installed: tuple[PluginRecord, ...]) -> PluginMissingError:
    kind = GROUPS[group]
    names = sorted({record.name for record in installed if record.problem is None})
    if (group, name) == _STANDARD_DIALECT:
        remedy = "pip install mm-ops-standard"
    elif group in _PACKAGE_PREFIX:
        remedy = f"try `pip install {_PACKAGE_PREFIX[group]}{name}`, or install the package that offers it"
    else:
        remedy = f"install the package that offers this {kind}"
    return PluginMissingError(
        f"no {kind} named {name!r} is installed ({group})",
        available=", ".join(names) or "none",
        remedy=remedy,
    )


@functools.cache
def _import(record: PluginRecord) -> Any:
    from stevedore.driver import DriverManager

    class OnePlugin(DriverManager[Any]):
        """stevedore's driver over the entry point that was judged above.

        Its own list comes from a cache on disk that compares times in 32-bit floats, so that it can miss a
        package reinstalled within two minutes.
        """

        def list_entry_points(self) -> list[EntryPoint]:
            return [EntryPoint(record.name, record.value, record.group)]

    try:
        return OnePlugin(record.group, record.name).driver
    except (Exception, SystemExit) as error:  # a plugin may fail in any way while it is imported
        raise PluginLoadError(
            f"{record} failed to import `{record.value}`: {type(error).__name__}: {error}",
            remedy=f"see `mm_plugins check {record.name}`, or reinstall {record.distribution}",
        ) from error
