"""Matrix products."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, as_value, cast, dtype, rank
from mm_parser_torch.sizes import product, reshape, size_of, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_INT = BY_NAME["int64"]
_BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})


@op("mm", "bmm", "matmul")
def matmul(g: Graph, call: Call, a: Value, b: Value) -> Any:
    return g.matmul(a, b)


@op("linear")
def linear(g: Graph, call: Call, x: Value, weight: Value, bias: Value | None) -> Any:
    if rank(weight) == 1:
        y = g.matmul(x, weight)
        return y if bias is None else g.add(y, bias)
    if bias is not None and rank(bias) != 1:
        return g.add(g.linear(x, weight), bias)
    return g.linear(x, weight, bias)


@op("bilinear")
def bilinear(g: Graph, call: Call, a: Value, b: Value, weight: Value, bias: Value | None) -> Any:
    """a @ weight @ b for each matrix of the weight [outputs, elements of a, elements of b]."""
    outputs, inner, width = sizes_of(g, weight)
    columns = reshape(g, g.transpose(weight, permutation=(1, 0, 2)), [inner, product(g, [outputs, width])])
    left = reshape(g, g.matmul(a, columns), [*sizes_of(g, a)[:-1], outputs, width])
    y = g.squeeze(g.matmul(left, g.unsqueeze(b, axes=(-1,))), axes=(-1,))
    return y if bias is None else g.add(y, bias)


@op("addmm", "baddbmm")
def addmm(g: Graph, call: Call, c: Value, a: Value, b: Value, beta: Any, alpha: Any) -> Any:
    """beta * c + alpha * (a @ b); with beta 0, c is not read, so that its NaN do not count."""
    y = g.matmul(a, b)
    if alpha != 1:
        y = g.mul(y, as_value(g, alpha, dtype(y)))
    if beta == 0:
        return y
    return g.add(y, c if beta == 1 else g.mul(c, as_value(g, beta, dtype(c))))


@op("_int_mm")
def int_mm(g: Graph, call: Call, a: Value, b: Value) -> Any:
    if dtype(a) in _BYTES and dtype(b) in _BYTES:
        return g.matmul_integer(a, b)
    return g.matmul(cast(g, a, call.dtype()), cast(g, b, call.dtype()))


@op("dot", "vdot")
def dot(g: Graph, call: Call, a: Value, b: Value) -> Any:
    return g.matmul(a, b)


@op("mv")
def mv(g: Graph, call: Call, a: Value, b: Value) -> Any:
    return g.matmul(a, b)


@op("_cdist_forward")
def cdist(g: Graph, call: Call, a: Value, b: Value, p: float, mode: int | None) -> Any:
    """Distances of all rows of a to all rows of b: the p-norm of differences."""
    differences = g.sub(g.unsqueeze(a, axes=(-2,)), g.unsqueeze(b, axes=(-3,)))
    return norm(g, differences, p, rank(differences) - 1)


@op("_pdist_forward")
def pdist(g: Graph, call: Call, x: Value, p: float) -> Any:
    """Distances of each row to the rows behind it."""
    count = size_of(g, x, 0)
    if not isinstance(count, int):
        raise call.unsupported("the number of rows must be known")
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    firsts, seconds = ([pair[side] for pair in pairs] for side in (0, 1))
    left, right = (g.gather(x, g.constant(places, "int64"), axis=0) for places in (firsts, seconds))
    return reshape(g, norm(g, g.sub(left, right), p, 1), [len(pairs)])


def norm(g: Graph, x: Value, p: float, axis: int) -> Any:
    """The p-norm along an axis, which falls away."""
    size = g.abs(x)
    if p == 0:
        return g.reduce_sum(g.cast(g.not_equal(size, 0.0), to=dtype(x)), axes=(axis,), keepdims=False)
    if p == 1:
        return g.reduce_sum(size, axes=(axis,), keepdims=False)
    if p == 2:
        return g.sqrt(g.reduce_sum(g.square(size), axes=(axis,), keepdims=False))
    if p == float("inf"):
        return g.reduce_max(
            g.concat(size, g.mul(g.slice(size, [0], [1], [axis]), 0.0), axis=axis), axes=(axis,), keepdims=False
        )
    return g.pow(g.reduce_sum(g.pow(size, float(p)), axes=(axis,), keepdims=False), 1 / p)


@op("_grouped_mm", "transformers.grouped_mm_fallback.default")
def grouped_mm(g: Graph, call: Call, rows: Value, weights: Value, ends: Value, *ignored: Any) -> Any:
    """Each row times the matrix of its group; group i's rows end before ends[i]."""
    numbers = g.range(g.constant(0, "int64"), g.reshape(g.shape(rows, end=1), []), g.constant(1, "int64"))
    ended = g.less_or_equal(g.unsqueeze(cast(g, ends, _INT), axes=(0,)), g.unsqueeze(numbers, axes=(1,)))
    group = g.reduce_sum(g.cast(ended, to=_INT), axes=(1,), keepdims=False)
    last = size_of(g, weights, 0)
    kept = g.minimum(group, g.sub(last, 1) if isinstance(last, Value) else last - 1)
    return g.squeeze(g.matmul(g.unsqueeze(rows, axes=(1,)), g.gather(weights, kept, axis=0)), axes=(1,))
