"""The table of importers: which function builds which ONNX operator, from which operator-set version on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mm_core.ir import Graph
    from mm_parser_onnx.node import Node

Importer = Callable[["Graph", "Node"], Any]
"""Builds one node in a graph: gives its value, a sequence of them, or NotImplemented for ONNX's own function body."""

STANDARD = ""
MICROSOFT = "com.microsoft"
CLASSICAL = "ai.onnx.ml"
TRAINING = "ai.onnx.preview.training"


@dataclass
class Family:
    """Importers of one family of operators; `domain` is ONNX's, the empty one for the standard operators."""

    domain: str = STANDARD
    importers: dict[str, dict[int, Importer]] = field(default_factory=dict)

    def op(self, *names: str, since: int = 1) -> Callable[[Importer], Importer]:
        """Declare the importer of operators from version `since` on, up to the next version declared."""

        def declare(importer: Importer) -> Importer:
            for name in names:
                versions = self.importers.setdefault(name, {})
                assert since not in versions, f"{name} has two importers since {since}"
                versions[since] = importer
            return importer

        return declare

    def rows(self, rows: Iterable[tuple[str, str]], make: Callable[[str], Importer], since: int = 1) -> None:
        """Declare one importer for each pair (ONNX operator, ours): `make(ours)`."""
        for onnx_name, name in rows:
            self.op(onnx_name, since=since)(make(name))


class Table:
    """All importers, by domain and name."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._importers: dict[tuple[str, str], list[tuple[int, Importer]]] = {}
        for family in families:
            for name, versions in family.importers.items():
                assert (family.domain, name) not in self._importers, f"{name} is in two families"
                self._importers[family.domain, name] = sorted(versions.items(), key=lambda item: item[0])

    def find(self, domain: str, name: str, version: int) -> Importer | None:
        """The importer of an operator as it was in an operator-set version; None if there is none."""
        versions = self._importers.get((domain, name), [])
        place = bisect_right(versions, version, key=lambda item: item[0])
        return versions[place - 1][1] if place else None

    def names(self, domain: str) -> Iterator[str]:
        """Operators of a domain that have an importer."""
        return (name for place, name in self._importers if place == domain)
