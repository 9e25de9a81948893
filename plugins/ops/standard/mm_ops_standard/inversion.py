"""Matrices inverted."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, KnownValues, OpDef, Operand
from mm_core.types import Array
from mm_ops_standard.checks import require_square
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import shape_operand, sizes_of

_UNROLLED = 64
"""The largest matrix that a decomposition inverts: it has a dozen operations for each column."""


class Inverse(OpDef):
    """Inverses of the square matrices in the last two axes, each of which must have one (numpy.linalg.inv)."""

    name = "mm.inverse"
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}

    def infer(self, types: Any, values: KnownValues) -> Any:
        shape = types[0].shape
        require_square(self.name, shape)
        return shape

    def reference(self, x: Array) -> Array:
        return np.asarray(np.linalg.inv(wide(x))).astype(x.dtype)

    def decompose(self, graph: Any, x: Any) -> Any:
        """Gauss-Jordan elimination with row pivoting of x beside the identity, unrolled over the columns."""
        size = x.type.shape[-1]
        if not isinstance(size, int) or not 1 <= size <= _UNROLLED:
            return None
        return in_float32(graph, lambda value: _eliminate(graph, value, size), x)


def _eliminate(graph: Any, x: Any, size: int) -> Any:
    last = len(x.type.shape) - 1
    identity = graph.constant(np.eye(size, dtype=x.type.dtype.numpy))
    both = graph.concat(x, graph.expand(identity, shape_operand(graph, sizes_of(graph, x))), axis=last)
    order = np.arange(size, dtype=np.int64).reshape(size, 1)
    for step in range(size):
        column = graph.slice(both, [step], [step + 1], [last])
        candidates = graph.select(order >= step, graph.abs(column), -1.0)
        pivot = graph.argmax(candidates, axis=last - 1, keepdims=True)
        is_pivot, is_here = graph.equal(pivot, order), order == step
        # The pivot row comes here and the row that is here takes its place.
        top = graph.reduce_sum(graph.select(is_pivot, both, 0.0), axes=(last - 1,), keepdims=True)
        here = graph.slice(both, [step], [step + 1], [last - 1])
        swapped = graph.select(is_pivot, here, both)
        top = graph.div(top, graph.slice(top, [step], [step + 1], [last]))
        column = graph.slice(swapped, [step], [step + 1], [last])
        both = graph.select(is_here, top, graph.sub(swapped, graph.mul(column, top)))
    return graph.slice(both, [size], [2 * size], [last])


OPS: tuple[type[OpDef], ...] = (Inverse,)
