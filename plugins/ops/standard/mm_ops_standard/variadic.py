"""Sum, mean, maximum and minimum of any number of operands, and the identity."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np

from mm_core.ops import FLOATS, NUMERIC, Arity, OpDef, Operand, Tier, Trait
from mm_ops_standard.elementwise import Elementwise, define


class Fold(Elementwise):
    """Operands broadcast and combined from left to right by the binary operator `step`."""

    tier = Tier.COMPOSITE
    operands = (Operand("first"), Operand("rest", "T", Arity.VARIADIC))
    step: ClassVar[str]

    def reference(self, *operands: Any) -> Any:
        with np.errstate(all="ignore"):
            return reduce(self.function, operands)

    def decompose(self, graph: Any, *operands: Any) -> Any:
        return reduce(getattr(graph, self.step), operands)


class Mean(Fold):
    """The average of the operands."""

    name = "mm.mean"
    step = "add"
    function = staticmethod(np.add)
    dtypes = {"T": FLOATS}

    def reference(self, *operands: Any) -> Any:
        return (super().reference(*operands) / np.asarray(len(operands), operands[0].dtype)).astype(operands[0].dtype)

    def decompose(self, graph: Any, *operands: Any) -> Any:
        return graph.div(super().decompose(graph, *operands), len(operands))


class Identity(OpDef):
    """The operand itself: a tensor, sequence or optional."""

    name = "mm.identity"
    operands = (Operand("x", None),)
    traits = frozenset({Trait.ELEMENTWISE, Trait.MOVEMENT})
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return types[0]

    def known(self, types: Any, values: Any) -> Any:
        return values[0]

    def reference(self, x: Any) -> Any:
        return x

    def decompose(self, graph: Any, x: Any) -> Any:
        return x


OPS: tuple[type[OpDef], ...] = (
    define(Fold, "sum", "The sum of the operands.", np.add, NUMERIC, step="add"),
    define(Fold, "max", "The largest of the operands; NaN if one is.", np.maximum, NUMERIC, step="maximum"),
    define(Fold, "min", "The smallest of the operands; NaN if one is.", np.minimum, NUMERIC, step="minimum"),
    Mean,
    Identity,
)
