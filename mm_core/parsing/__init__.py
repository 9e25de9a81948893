"""Front ends: the `Parser` contract, and `mm.parse`, which finds the parser for a source."""

from mm_core.parsing.dispatch import GROUP, parse
from mm_core.parsing.parser import InputShapes, Parser

__all__ = ["GROUP", "InputShapes", "Parser", "parse"]
