"""Front ends: the `Parser` contract, `mm.parse`, which finds the parser for a source, and what parsers share."""

from mm_core.parsing.dispatch import GROUP, parse
from mm_core.parsing.parser import InputShapes, Parser
from mm_core.parsing.report import CompileReport, Left, Unsupported
from mm_core.parsing.table import Family, Importer, Table

__all__ = [
    "GROUP", "CompileReport", "Family", "Importer", "InputShapes", "Left", "Parser", "Table", "Unsupported", "parse",
]  # fmt: skip
