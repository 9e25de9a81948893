"""A front end's importers: which function builds which of its framework's operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Importer = Callable[..., Any]
"""Builds an operator's results in a graph; each front end says what it is given."""


class Family:
    """Importers of one family of operators, by the framework's name for the operator."""

    def __init__(self) -> None:
        self.importers: dict[str, Importer] = {}

    def op(self, *names: str) -> Callable[[Importer], Importer]:
        """Declare the importer of operators."""

        def declare(importer: Importer) -> Importer:
            for name in map(self.full_name, names):
                assert name not in self.importers, f"{name} has two importers"
                self.importers[name] = importer
            return importer

        return declare

    def full_name(self, name: str) -> str:
        """The operator's name as the framework has it, where `op` takes shorter ones."""
        return name


class Table:
    """All importers of a front end."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._importers: dict[str, Importer] = {}
        for family in families:
            taken = self._importers.keys() & family.importers.keys()
            assert not taken, f"{taken} are in two families"
            self._importers |= family.importers

    def find(self, operator: object) -> Importer | None:
        """The importer of an operator, given by its name or by what is printed as its name; None if there is none."""
        return self._importers.get(str(operator))

    def __iter__(self) -> Iterator[str]:
        return iter(self._importers)
