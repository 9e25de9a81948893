"""What a front end cannot read, all of it at once; and what an engine inside a framework leaves to the framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from mm_core.errors import MMError, UnsupportedOpError

_SHOWN = 3


class Unsupported:
    """Errors by reason, with the places that have them. `remedy` is what to do where no error says it."""

    def __init__(self, remedy: str) -> None:
        self._places: dict[str, list[str]] = {}
        self._remedies: dict[str, None] = {}
        self._remedy = remedy

    def add(self, error: MMError) -> None:
        """Note an error of a node."""
        what = f"{error.what} (available: {error.available})" if error.available else error.what
        self._places.setdefault(what, []).append(error.where)
        if error.remedy:
            self._remedies[error.remedy] = None

    def __bool__(self) -> bool:
        return bool(self._places)

    def first(self) -> str:
        """One reason; empty if there is none."""
        return next(iter(self._places), "")

    def raise_all(self) -> None:
        """UnsupportedOpError with every reason, how often it holds and where; nothing if there is none."""
        if not self._places:
            return
        by_count = sorted(self._places.items(), key=lambda item: -len(item[1]))
        reasons = "; ".join(f"{what}: {len(places)}x{_within(places)}" for what, places in by_count)
        count = len(self._places)
        head = "an operator is not supported" if count == 1 else f"{count} operators are not supported"
        raise UnsupportedOpError(f"{head}: {reasons}", remedy="; ".join(self._remedies) or self._remedy)


@dataclass(frozen=True)
class Left:
    """A node that stays in the framework: its name in the user's tree of modules, its operator, and the reason."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}): {self.reason}"


@dataclass
class CompileReport:
    """One graph of a framework: `parts` run in our engine, `engine_nodes` of its nodes in all; `left` stay there.

    `builds` counts engines that were built: one for each part, more only where parameters have changed since.
    `refused` has the reasons of requests that an engine did not accept, with how often the framework ran them instead.
    """

    framework: ClassVar[str] = "the framework"
    parts: int = 0
    engine_nodes: int = 0
    left: list[Left] = field(default_factory=list)
    builds: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        head = f"{self.engine_nodes} nodes in {self.parts} parts run in mm, {len(self.left)} stay in {self.framework}"
        places: dict[tuple[str, str], list[str]] = {}
        for item in self.left:
            places.setdefault((item.operator, item.reason), []).append(item.node)
        lines = [
            f"  {len(nodes)}x {operator}{'' if reason == operator else f': {reason}'}{_within(nodes)}"
            for (operator, reason), nodes in sorted(places.items(), key=lambda item: -len(item[1]))
        ]
        ran = (f"  {count} requests ran in {self.framework}: {reason}" for reason, count in self.refused.most_common())
        return "\n".join([head, *lines, *ran])


def _within(places: Iterable[str]) -> str:
    """` in a, b, c and 2 more`; nothing where no place has a name."""
    names = list(dict.fromkeys(filter(None, places)))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" in {', '.join(names[:_SHOWN])}{more}" if names else ""
