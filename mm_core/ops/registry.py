"""From an operator's name to its definition. A dialect is loaded when the first operator with its prefix is met.

The entry-point group is `mm.ops`; an entry's name is the dialect prefix and its value a module with `OPS`, or a
callable that returns one, an iterable of OpDef classes. `register` adds single definitions for the running process,
for authors who try an operator out before they package it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from mm_core import plugins
from mm_core.errors import PluginConflictError, PluginLoadError, PluginMissingError, UnsupportedOpError
from mm_core.ops.builtin import BUILTIN
from mm_core.ops.definition import OpDef

GROUP = "mm.ops"
_registered: dict[str, OpDef] = {}


def register(definition: type[OpDef]) -> type[OpDef]:
    """Add a definition to this process; usable as a class decorator. PluginConflictError if the name is taken."""
    if definition.name in _registered or _found(definition.name) is not None:
        raise PluginConflictError(f"the operator {definition.name} is defined already", remedy="choose another name")
    _registered[definition.name] = definition()
    lookup.cache_clear()
    return definition


def unregister(name: str) -> None:
    """Take a definition that `register` added back."""
    _registered.pop(name, None)
    lookup.cache_clear()


@cache
def dialect(prefix: str) -> Mapping[str, OpDef]:
    """All operators of an installed dialect by full name. PluginMissingError if nobody provides it."""
    source: Any = plugins.load(GROUP, prefix)
    definitions: Iterable[type[OpDef]] = source() if callable(source) else source.OPS
    found: dict[str, OpDef] = {}
    for definition in (*(BUILTIN if prefix == "mm" else ()), *definitions):
        if not definition.name.startswith(prefix + ".") or definition.name in found:
            raise PluginLoadError(
                f"the operator package for '{prefix}' defines {definition.name} twice or outside its prefix"
            )
        found[definition.name] = definition()
    return found


def _found(name: str) -> OpDef | None:
    prefix = name.partition(".")[0]
    try:
        return dialect(prefix).get(name)
    except PluginMissingError:
        return next((op() for op in BUILTIN if op.name == name), None)


@cache
def lookup(name: str) -> OpDef:
    """The definition of `mm.conv` and the like. UnsupportedOpError or PluginMissingError say what is missing."""
    definition = _registered.get(name) or _found(name)
    if definition is not None:
        return definition
    prefix = name.partition(".")[0]
    near = get_close_matches(name, dialect(prefix), n=3)
    raise UnsupportedOpError(
        f"the operator {name} is unknown",
        available=", ".join(near) or f"{len(dialect(prefix))} operators of the dialect '{prefix}'",
        remedy="check the spelling, or write and register an OpDef for it",
    )
