"""What is installed, told from metadata alone: nothing here imports a plugin.

Every distribution on `sys.path` is looked at through `importlib.metadata`. Duplicates and versions are
judged here, because stevedore resolves duplicates only when they are adjacent and hands out entry points
without their distribution.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mm_core.errors import PluginMissingError

GROUPS: dict[str, str] = {
    "mm.parsers": "parser",
    "mm.ops": "op set",
    "mm.passes": "pass",
    "mm.backends": "backend",
    "mm.kernels": "kernel package",
    "mm.hooks": "hook plugin",
}
"""Entry-point group -> what one plugin of it is called in messages."""

CORE_DISTRIBUTION = "mm-core"

State = Literal["ok", "conflict", "version", "off"]


@dataclass(frozen=True)
class PluginRecord:
    """One entry point of one distribution.

    `problem` says why it cannot be loaded, None if metadata knows no reason; `state` is the kind of problem:
    a name claimed twice, a wrong version of the core, switched off by the environment.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str
    problem: str | None = None
    state: State = "ok"

    @property
    def kind(self) -> str:
        return GROUPS[self.group]

    @property
    def owner(self) -> str:
        """Distribution and version, as messages name it."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.owner}"


def records(group: str | None = None) -> tuple[PluginRecord, ...]:
    """All installed plugins, or those of one group, sorted by group and name. Imports nothing.

    A plugin that `MM_PLUGINS` or `MM_DISABLE_PLUGINS` switches off is listed with that as its problem.
    """
    check_group(group)
    wanted, unwanted = _names("MM_PLUGINS"), _names("MM_DISABLE_PLUGINS")
    chosen = [record for record in _scan(*_search_path()) if group is None or record.group == group]
    return tuple(_mark_conflicts([_restrict(record, wanted, unwanted) for record in chosen]))


def check_group(group: str | None) -> None:
    if group is not None and group not in GROUPS:
        raise PluginMissingError(f"there is no plugin group {group!r}", available=", ".join(GROUPS))


def _search_path() -> tuple[tuple[str, ...], tuple[int, ...]]:
    """`sys.path` and the time each entry was last changed: installing a package changes the latter."""
    return tuple(sys.path), tuple(_modified(path) for path in sys.path)


def _modified(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=8)
def _scan(_path: tuple[str, ...], _modified: tuple[int, ...]) -> tuple[PluginRecord, ...]:
    """Every plugin on `sys.path`, judged by version; the arguments are the cache's key."""
    found: dict[PluginRecord, None] = {}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        # Reading one METADATA costs about a millisecond, so only distributions that offer something are read.
        if "[mm." not in (distribution.read_text("entry_points.txt") or ""):
            continue
        owner = distribution.metadata["Name"] or "a distribution without a name"
        if canonical(owner) in seen:
            continue  # shadowed by an earlier entry of sys.path, as for imports
        seen.add(canonical(owner))
        problem = _version_problem(distribution.requires or ())
        for point in distribution.entry_points:
            if point.group in GROUPS:
                version = distribution.metadata["Version"] or ""
                record = PluginRecord(point.group, point.name, point.value, owner, version)
                found[replace(record, problem=problem, state="version") if problem else record] = None
    order = list(GROUPS)
    return tuple(sorted(found, key=lambda item: (order.index(item.group), item.name, item.distribution)))


def _mark_conflicts(found: Sequence[PluginRecord]) -> list[PluginRecord]:
    """The records, with a problem for each that shares its name with another one that may load."""
    claims: dict[tuple[str, str], list[str]] = {}
    for record in found:
        if record.state != "off":
            claims.setdefault((record.group, record.name), []).append(f"{record.owner} ({record.value})")

    def judge(record: PluginRecord) -> PluginRecord:
        owners = claims.get((record.group, record.name), [])
        if record.state == "off" or len(owners) < 2:
            return record
        return replace(record, problem=f"the name is claimed by {' and by '.join(owners)}", state="conflict")

    return [judge(record) for record in found]


def canonical(distribution: str) -> str:
    """A distribution's name in the form in which package indexes compare names."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def _version_problem(requirements: Iterable[str]) -> str | None:
    """Why the core that is installed does not satisfy a distribution's own statement, None if it does."""
    stated = [text for text in requirements if canonical(text).startswith(CORE_DISTRIBUTION)]
    if not stated:
        return None
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        core = importlib.metadata.version(CORE_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None  # the core runs from a source tree that is not installed: it has no version to compare
    for text in stated:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            return f"its metadata states a requirement that cannot be read: {text!r} ({error})"
        if canonical(requirement.name) != CORE_DISTRIBUTION:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(core, prereleases=True):
            return f"it needs {CORE_DISTRIBUTION}{requirement.specifier}, installed is {core}"
    return None


def _names(variable: str) -> frozenset[str]:
    parts = [part.strip() for part in os.environ.get(variable, "").split(",")]
    return frozenset(filter(None, [*parts, *map(canonical, parts)]))


def _restrict(record: PluginRecord, wanted: frozenset[str], unwanted: frozenset[str]) -> PluginRecord:
    """The record, with a problem if the environment (name, `group:name`, distribution) switches it off."""
    names = {record.name, f"{record.group}:{record.name}", canonical(record.distribution)}
    if names & unwanted:
        return replace(record, problem="it is switched off by MM_DISABLE_PLUGINS", state="off")
    if wanted and not names & wanted:
        return replace(record, problem="it is not among those that MM_PLUGINS allows", state="off")
    return record
