"""How importers of ATen's operators are declared: `importer(g, call, *arguments)`.

Arguments come in the order of the operator's schema, defaults filled in: tensors as values, symbolic sizes as int64
scalars. An importer gives the result's value, a sequence of them, or None where there is none.
"""

from __future__ import annotations

from mm_core import parsing
from mm_core.parsing import Importer, Table

__all__ = ["Family", "Importer", "Table", "full_name"]


class Family(parsing.Family):
    """Importers of one family of operators, by full name: `aten.add.Tensor`.

    `op` takes `relu` for `aten.relu.default`, `add.Tensor` for `aten.add.Tensor`.
    """

    def full_name(self, name: str) -> str:
        return full_name(name)


def full_name(name: str) -> str:
    """`relu` -> `aten.relu.default`, `add.Tensor` -> `aten.add.Tensor`; full names stay."""
    parts = name.split(".")
    if len(parts) == 3:
        return name
    return ".".join(("aten", parts[0], parts[1] if len(parts) == 2 else "default"))
