"""Symbolic sizes: torch's are sympy expressions over symbols such as s77, ours are `Dim`s."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch

from mm_core.errors import UnsupportedOpError
from mm_core.types import Dim, dim_max, dim_min, floordiv, mod, symbol

UNBOUNDED = 2**62
"""Sizes from here on are torch's way to say that a range has no end."""


def dim_of(size: int | torch.SymInt, names: Mapping[str, Dim]) -> Dim:
    """A size as a dimension; `names` renames torch's symbols, or gives them a value."""
    if isinstance(size, int):
        return size
    return dim_of_expression(size.node.expr, names)


def dim_of_expression(expression: Any, names: Mapping[str, Dim]) -> Dim:
    """A sympy expression over sizes as a dimension. UnsupportedOpError for functions that dimensions do not have."""
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        name = str(expression)
        return names[name] if name in names else symbol(name)
    parts = [dim_of_expression(argument, names) for argument in expression.args]
    kind = type(expression).__name__
    if kind == "Add":
        return reduce(lambda left, right: left + right, parts)
    if kind == "Mul":
        return reduce(lambda left, right: left * right, parts)
    if kind in ("Pow", "PowByNatural") and isinstance(parts[1], int) and 0 <= parts[1] <= 8:
        return reduce(lambda left, right: left * right, [parts[0]] * (parts[1] - 1), parts[0]) if parts[1] else 1
    if kind in ("FloorDiv", "CleanDiv"):
        return floordiv(*parts)
    if kind in ("Mod", "PythonMod"):
        return mod(*parts)
    if kind == "Max":
        return dim_max(*parts)
    if kind == "Min":
        return dim_min(*parts)
    raise UnsupportedOpError(f"the size {expression} cannot be expressed", available="+ - * // % min max")


def range_of(limits: Any) -> tuple[int, int]:
    """The least and largest value of one of torch's value ranges."""

    def number(bound: Any, default: int) -> int:
        return int(bound) if bound.is_Integer else default

    return max(number(limits.lower, 0), 0), min(number(limits.upper, UNBOUNDED), UNBOUNDED)
