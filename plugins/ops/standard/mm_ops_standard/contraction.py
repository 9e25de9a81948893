"""Matrix products and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array, Dim, broadcast_shapes
from mm_ops_standard.checks import require, require_rank, require_square, same
from mm_ops_standard.precision import in_float32, wide

_BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})
_INT32 = BY_NAME["int32"]


def matmul_shape(op: str, a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape of a @ b by numpy's rules: vectors are rows or columns, leading axes broadcast."""
    require(bool(a) and bool(b), f"{op}: operands must not be scalars, shapes are {list(a)} and {list(b)}")
    same(a[-1], b[-2] if len(b) > 1 else b[0], f"{op}: columns of the left and rows of the right operand")
    return (*broadcast_shapes((a[:-2], b[:-2])), *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


class MatMul(OpDef):
    """The matrix product by numpy's rules, batched over broadcast leading axes (ONNX MatMul)."""

    name = "mm.matmul"
    tier = Tier.DEVICE
    operands = (Operand("a"), Operand("b"))
    dtypes = {"T": NUMERIC}

    def infer(self, types: Any, values: KnownValues) -> Any:
        return matmul_shape(self.name, types[0].shape, types[1].shape)

    def reference(self, a: Array, b: Array) -> Array:
        return np.asarray(wide(a) @ wide(b)).astype(a.dtype)


class Gemm(OpDef):
    """alpha * a @ b + beta * c for matrices, a and b transposed on demand, c broadcast to the product (ONNX Gemm)."""

    name = "mm.gemm"
    operands = (Operand("a"), Operand("b"), Operand("c", "T", Arity.OPTIONAL))
    dtypes = {"T": NUMERIC}
    attributes = (
        Attribute("alpha", float, 1.0),
        Attribute("beta", float, 1.0),
        Attribute("trans_a", bool, False),
        Attribute("trans_b", bool, False),
    )

    def infer(self, types: Any, values: KnownValues, *, trans_a: bool, trans_b: bool, **factors: Any) -> Any:
        a, b = types[0].shape, types[1].shape
        require_rank(self.name, "a", a, 2)
        require_rank(self.name, "b", b, 2)
        shape = matmul_shape(self.name, a[::-1] if trans_a else a, b[::-1] if trans_b else b)
        if types[2] is not None:
            c = types[2].shape
            require(len(c) <= 2, f"{self.name}: c of shape {list(c)} does not broadcast to {list(shape)}")
            for size, target in zip(reversed(c), reversed(shape)):
                if size != 1:
                    same(size, target, f"{self.name}: sizes of c and of the product")
        return shape

    def reference(
        self, a: Array, b: Array, c: Array | None = None, *, alpha: float, beta: float, trans_a: bool, trans_b: bool
    ) -> Array:
        left, right = wide(a), wide(b)
        y = (left.T if trans_a else left) @ (right.T if trans_b else right)
        if alpha != 1:
            y = y * alpha
        if c is not None:
            y = y + (wide(c) if beta == 1 else wide(c) * beta)
        return y.astype(a.dtype)

    def decompose(
        self, graph: Any, a: Any, b: Any, c: Any, *, alpha: float, beta: float, trans_a: bool, trans_b: bool
    ) -> Any:
        if not a.type.dtype.is_float and (not alpha.is_integer() or not beta.is_integer()):
            return None
        y = graph.matmul(
            graph.transpose(a, permutation=(1, 0)) if trans_a else a,
            graph.transpose(b, permutation=(1, 0)) if trans_b else b,
        )
        if alpha != 1:
            y = graph.mul(y, alpha)
        if c is None:
            return y
        return graph.add(y, c if beta == 1 else graph.mul(c, beta))


class Linear(OpDef):
    """x @ w.T + b over the last axis of x [..., K]; w is [N, K], b is [N] (torch.nn.functional.linear)."""

    name = "mm.linear"
    operands = (Operand("x"), Operand("w"), Operand("b", "T", Arity.OPTIONAL))
    dtypes = {"T": NUMERIC}

    def infer(self, types: Any, values: KnownValues) -> Any:
        x, w = types[0].shape, types[1].shape
        require_rank(self.name, "w", w, 2)
        if types[2] is not None:
            require_rank(self.name, "b", types[2].shape, 1)
            same(types[2].shape[0], w[0], f"{self.name}: length of the bias and rows of w")
        return matmul_shape(self.name, x, w[::-1])

    def reference(self, x: Array, w: Array, b: Array | None = None) -> Array:
        y = wide(x) @ wide(w).T
        return np.asarray(y if b is None else y + wide(b)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, w: Any, b: Any) -> Any:
        y = graph.matmul(x, graph.transpose(w, permutation=(1, 0)))
        return y if b is None else graph.add(y, b)


class MatMulInteger(OpDef):
    """The product of 8-bit integer matrices after their zero points are taken off, exact in int32.

    ONNX MatMulInteger. Zero points are scalars, one for each row of a or column of b, or shaped to broadcast to them.
    """

    name = "mm.matmul_integer"
    operands = (
        Operand("a", "A"),
        Operand("b", "B"),
        Operand("a_zero_point", "A", Arity.OPTIONAL),
        Operand("b_zero_point", "B", Arity.OPTIONAL),
    )
    results = (Result("y", _INT32),)
    dtypes = {"A": _BYTES, "B": _BYTES}

    def infer(self, types: Any, values: KnownValues) -> Any:
        return matmul_shape(self.name, types[0].shape, types[1].shape)

    def reference(self, a: Array, b: Array, a_zero: Any = None, b_zero: Any = None) -> Array:
        left, right = a.astype(np.int32), b.astype(np.int32)
        if a_zero is not None:
            rows = a_zero.astype(np.int32)
            left = left - (rows[:, None] if rows.ndim == 1 and rows.size > 1 and a.ndim > 1 else rows)
        if b_zero is not None:
            right = right - b_zero.astype(np.int32)
        return np.asarray(left @ right)

    def decompose(self, graph: Any, a: Any, b: Any, a_zero: Any, b_zero: Any) -> Any:
        left, right = graph.cast(a, to="int32"), graph.cast(b, to="int32")
        if a_zero is not None:
            rows = graph.cast(a_zero, to="int32")
            if len(rows.type.shape) == 1 and rows.type.shape[0] != 1 and len(a.type.shape) > 1:
                rows = graph.reshape(rows, [-1, 1])
            left = graph.sub(left, rows)
        if b_zero is not None:
            right = graph.sub(right, graph.cast(b_zero, to="int32"))
        return graph.matmul(left, right)


class Det(OpDef):
    """Determinants of the square matrices in the last two axes (ONNX Det)."""

    name = "mm.det"
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}

    def infer(self, types: Any, values: KnownValues) -> Any:
        shape = types[0].shape
        require_square(self.name, shape)
        return shape[:-2]

    def reference(self, x: Array) -> Array:
        return np.asarray(np.linalg.det(wide(x))).astype(x.dtype)

    def decompose(self, graph: Any, x: Any) -> Any:
        """Gaussian elimination with row pivoting, unrolled; the sign follows the swaps."""
        size = x.type.shape[-1]
        if not isinstance(size, int) or not 1 <= size <= 16:
            return None
        return in_float32(graph, lambda value: _eliminate(graph, value, size), x)


def _eliminate(graph: Any, x: Any, size: int) -> Any:
    result: Any = None
    last = len(x.type.shape) - 1
    for rest in range(size, 0, -1):
        column = graph.slice(x, [0], [1], [last])
        pivot = graph.argmax(graph.abs(column), axis=last - 1, keepdims=True)
        order = np.arange(rest, dtype=np.int64).reshape(rest, 1)
        is_pivot, is_first = graph.equal(pivot, order), graph.equal(order, np.zeros((1, 1), np.int64))
        # The pivot row comes first and the first row takes its place.
        top = graph.reduce_sum(graph.select(is_pivot, x, 0.0), axes=(last - 1,), keepdims=True)
        head = graph.slice(x, [0], [1], [last - 1])
        x = graph.select(is_first, top, graph.select(is_pivot, head, x))
        lead = graph.slice(top, [0], [1], [last])
        swapped = graph.equal(pivot, np.zeros((1, 1), np.int64))
        factor = graph.select(swapped, lead, graph.neg(lead))
        result = factor if result is None else graph.mul(result, factor)
        if rest == 1:
            break
        column = graph.slice(x, [0], [1], [last])
        # A zero pivot makes the determinant zero already: the division must not make it NaN.
        safe = graph.select(graph.equal(lead, 0.0), 1.0, lead)
        x = graph.sub(x, graph.mul(graph.div(column, safe), top))
        x = graph.slice(x, [1, 1], [rest, rest], [last - 1, last])
    return graph.squeeze(result, axes=(last - 1, last))


OPS: tuple[type[OpDef], ...] = (MatMul, Gemm, Linear, MatMulInteger, Det)
