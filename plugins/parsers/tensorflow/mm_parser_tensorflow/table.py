"""The table of importers: which function builds which TensorFlow operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_core.ir import Graph
    from mm_parser_tensorflow.node import Node

Importer = Callable[["Graph", "Node"], Any]
"""Gives the node's result, or a sequence of several: values, views of them, or what stands for a resource."""


@dataclass
class Family:
    """Importers of one family of operators, by TensorFlow's name for the operator."""

    importers: dict[str, Importer] = field(default_factory=dict)

    def op(self, *names: str) -> Callable[[Importer], Importer]:
        """Declare the importer of operators."""

        def declare(importer: Importer) -> Importer:
            for name in names:
                assert name not in self.importers, f"{name} has two importers"
                self.importers[name] = importer
            return importer

        return declare

    def rows(self, rows: Iterable[tuple[str, str]], make: Callable[[str], Importer]) -> None:
        """Declare operators that differ only in the name of ours: `make(ours)` for each row (theirs, ours)."""
        for theirs, ours in rows:
            self.op(theirs)(make(ours))


class Table:
    """All importers."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._importers: dict[str, Importer] = {}
        for family in families:
            taken = self._importers.keys() & family.importers.keys()
            assert not taken, f"{taken} are in two families"
            self._importers |= family.importers

    def find(self, name: str) -> Importer | None:
        """The importer of an operator; None if there is none."""
        return self._importers.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._importers)
