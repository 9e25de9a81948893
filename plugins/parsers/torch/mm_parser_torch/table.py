"""The table of importers: which function builds which ATen operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

Importer = Callable[..., Any]
"""`importer(g, call, *arguments)`: arguments in the order of the operator's schema, defaults filled in. Tensors are
values, symbolic sizes int64 scalars. Gives the result's value, a sequence of them, or None where there is none."""


@dataclass
class Family:
    """Importers of one family of operators, by full name: `aten.add.Tensor`."""

    importers: dict[str, Importer] = field(default_factory=dict)

    def op(self, *names: str) -> Callable[[Importer], Importer]:
        """Declare the importer of operators: `aten.add.Tensor`; without a namespace, ATen's; without overload, default.

        So `relu` stands for `aten.relu.default`, `add.Tensor` for `aten.add.Tensor`.
        """

        def declare(importer: Importer) -> Importer:
            for name in map(full_name, names):
                assert name not in self.importers, f"{name} has two importers"
                self.importers[name] = importer
            return importer

        return declare


def full_name(name: str) -> str:
    """`relu` -> `aten.relu.default`, `add.Tensor` -> `aten.add.Tensor`; full names stay."""
    parts = name.split(".")
    if len(parts) == 3:
        return name
    return ".".join(("aten", parts[0], parts[1] if len(parts) == 2 else "default"))


class Table:
    """All importers, by full name."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._importers: dict[str, Importer] = {}
        for family in families:
            taken = self._importers.keys() & family.importers.keys()
            assert not taken, f"{taken} are in two families"
            self._importers |= family.importers

    def find(self, target: object) -> Importer | None:
        """The importer of an operator overload; None if there is none."""
        return self._importers.get(str(target))

    def __iter__(self) -> Iterator[str]:
        return iter(self._importers)
