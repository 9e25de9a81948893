"""A deployment inside the development environment: a process that can import the core and backends, nothing more."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from packaging.requirements import Requirement

from mm_core.plugins import find

CORE = "mm-core"


class _Closed(MetaPathFinder):
    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in self.allowed:
            raise ModuleNotFoundError(f"{name} is not part of a deployment", name=name)
        return None


def close_imports(*backends: str) -> None:
    """From here on this process imports the core, the backends and what their distributions require, nothing else.

    What is installed beside them looks as if it were not. RuntimeError if something else is imported already.
    """
    records = [find("mm.backends", backend) for backend in backends]
    distributions = _closure(CORE, *(record.distribution for record in records))
    modules = {name for distribution in distributions for name in _modules(distribution)}
    allowed = frozenset({*sys.stdlib_module_names, "mm_core", *(_top(record.value) for record in records), *modules})
    plugins = {_top(point.value) for group in ("mm.ops", "mm.parsers", "mm.passes") for point in _points(group)}
    if loaded := sorted(name for name in sys.modules if _top(name) in plugins - allowed):
        raise RuntimeError(f"{', '.join(loaded)} are imported already")
    sys.meta_path.insert(0, _Closed(allowed))


def _points(group: str) -> metadata.EntryPoints:
    return metadata.entry_points(group=group)


def _top(value: str) -> str:
    """The top-level module of a dotted name or of an entry point's value."""
    return re.split(r"[.:]", value, maxsplit=1)[0]


def _closure(*names: str) -> set[str]:
    """Distributions and what they require in this environment, extras left out."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        parsed = map(Requirement, required)
        pending += [item.name for item in parsed if item.marker is None or item.marker.evaluate({"extra": ""})]
    return found


def _modules(distribution: str) -> Iterator[str]:
    """Top-level modules that a distribution installs."""
    found = metadata.distribution(distribution)
    if declared := found.read_text("top_level.txt"):
        yield from declared.split()
    for path in found.files or ():
        top = path.parts[0]
        if path.suffix in (".py", ".so", ".pyd"):
            yield top.partition(".")[0]
