"""Choosing between values by a condition or by limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import ALL, BOOL, NUMERIC, Arity, OpDef, Operand, Tier
from mm_ops_standard.elementwise import Elementwise
from mm_ops_standard.known import combine


class Select(Elementwise):
    """Elements of a where the condition holds, of b elsewhere; all three broadcast."""

    name = "mm.select"
    operands = (Operand("condition", "C"), Operand("a"), Operand("b"))
    dtypes = {"C": BOOL, "T": ALL}

    def known(self, types: Any, values: Any, **attributes: Any) -> Any:
        def choose(condition: Any, a: Any, b: Any) -> Any:
            if condition is None:
                return a if a == b else None
            return a if condition else b

        return combine(choose, values[0], values[1], values[2], strict=False)

    def reference(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)


class Clip(Elementwise):
    """x limited to [low, high]; either limit may be absent. NaN stays; where low > high the result is high."""

    name = "mm.clip"
    tier = Tier.COMPOSITE
    operands = (Operand("x"), Operand("low", "T", Arity.OPTIONAL), Operand("high", "T", Arity.OPTIONAL))
    dtypes = {"T": NUMERIC}

    def reference(self, x: Any, low: Any = None, high: Any = None) -> Any:
        x = x if low is None else np.maximum(x, low)
        return x if high is None else np.minimum(x, high)

    def decompose(self, graph: Any, x: Any, low: Any = None, high: Any = None) -> Any:
        x = x if low is None else graph.maximum(x, low)
        return x if high is None else graph.minimum(x, high)


OPS: tuple[type[OpDef], ...] = (Select, Clip)
