"""How importers of TensorFlow's operators are declared: `importer(g, node)`.

An importer gives the node's result, or a sequence of several: values, views of them, or what stands for a resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mm_core import parsing
from mm_core.parsing import Importer, Table

__all__ = ["Family", "Importer", "Table"]


class Family(parsing.Family):
    """Importers of one family of operators, by TensorFlow's name for the operator."""

    def rows(self, rows: Iterable[tuple[str, str]], make: Callable[[str], Importer]) -> None:
        """Declare operators that differ only in the name of ours: `make(ours)` for each row (theirs, ours)."""
        for theirs, ours in rows:
            self.op(theirs)(make(ours))
