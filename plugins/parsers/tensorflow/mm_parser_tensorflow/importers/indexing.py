"""Places named by integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import dtype_of, rank_of, shape_of

FAMILY = Family()
op = FAMILY.op


@op("Gather")
def gather_v1(g: Graph, node: Node) -> Any:
    return g.gather(node.input(0), node.input(1), axis=0)


@op("GatherV2")
def gather(g: Graph, node: Node) -> Any:
    """With batch axes in common the operand's axis goes behind them, and indices name places in their own row."""
    x, indices = node.input(0), node.input(1)
    axis, shared = node.axis(2, rank_of(x)), node.integer("batch_dims") % (rank_of(indices) + 1)
    if not shared:
        return g.gather(x, indices, axis=axis)
    order = [*range(shared), axis, *(other for other in range(shared, rank_of(x)) if other != axis)]
    if axis != shared:
        x = g.transpose(x, permutation=tuple(order))
    found = g.gather_nd(x, g.unsqueeze(indices, axes=(rank_of(indices),)), batch_dims=shared)
    if axis == shared:
        return found
    inner = rank_of(indices) - shared
    before = axis - shared
    rank = rank_of(found)
    places = [*range(shared), *range(shared + inner, shared + inner + before), *range(shared, shared + inner)]
    return g.transpose(found, permutation=(*places, *range(len(places), rank)))


@op("GatherNd")
def gather_nd(g: Graph, node: Node) -> Any:
    return g.gather_nd(node.input(0), g.cast(node.input(1), to="int64"))


@op("OneHot")
def one_hot(g: Graph, node: Node) -> Any:
    """Indices outside of the range, negative ones included, give rows that are off."""
    indices, on, off = node.input(0), node.input(2), node.input(3)
    (depth,) = node.ints(1, "the depth")
    rank = rank_of(indices)
    axis = node.integer("axis", -1) % (rank + 1)
    numbers = g.cast(g.iota([depth]), to=dtype_of(indices))
    numbers = g.unsqueeze(numbers, axes=tuple(range(1, rank + 1 - axis))) if axis < rank else numbers
    hit = g.equal(g.unsqueeze(indices, axes=(axis,)), numbers)
    return g.select(hit, on, off)


@op("ScatterNd")
def scatter_nd(g: Graph, node: Node) -> Any:
    """Updates added up in zeros of the shape given."""
    updates = node.input(1)
    zeros = g.expand(g.constant(0, dtype_of(updates)), node.input(2))
    return g.scatter_nd(zeros, _indices(g, node, 0), updates, reduction="add")


def _indices(g: Graph, node: Node, index: int) -> Value:
    return g.cast(node.input(index), to="int64")  # type: ignore[no-any-return]


def _scatter(reduction: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        updates = node.input(2)
        indices = _indices(g, node, 1)
        updates = (
            g.expand(updates, g.concat(g.shape(indices, end=-1), g.shape(updates, start=rank_of(indices) - 1), axis=0))
            if rank_of(updates) < rank_of(indices) - 1
            else updates
        )
        return g.scatter_nd(node.input(0), indices, updates, reduction=reduction)

    return build


FAMILY.rows(
    (
        ("TensorScatterUpdate", "none"), ("TensorScatterAdd", "add"), ("TensorScatterMin", "min"),
        ("TensorScatterMax", "max"),
    ),
    _scatter,
)  # fmt: skip


@op("TensorScatterSub")
def scatter_sub(g: Graph, node: Node) -> Any:
    return g.scatter_nd(node.input(0), _indices(g, node, 1), g.neg(node.input(2)), reduction="add")


@op("XlaDynamicSlice")
def dynamic_slice(g: Graph, node: Node) -> Any:
    """A part of the sizes given from a place on; the place is moved so that the part lies inside."""
    x, sizes = node.input(0), node.ints(2, "the sizes")
    for axis, size in enumerate(sizes):
        if shape_of(x)[axis] != size:
            x = g.gather(x, _places(g, x, node.input(1), axis, g.constant([size], "int64")), axis=axis)
    return x


@op("XlaDynamicUpdateSlice")
def dynamic_update_slice(g: Graph, node: Node) -> Any:
    """A part of the first operand replaced by the second, which is moved so that it lies inside."""
    x, update = node.input(0), node.input(1)
    axes = [axis for axis, (whole, part) in enumerate(zip(shape_of(x), shape_of(update))) if whole != part]
    return _updated(g, x, update, node.input(2), axes) if axes else update


def _updated(g: Graph, x: Value, update: Value, starts: Value, axes: Sequence[int]) -> Value:
    """Along the first axis rows are taken out, updated along the others, and put back."""
    axis, *others = axes
    places = _places(g, x, starts, axis, g.shape(update, start=axis, end=axis + 1))
    if others:
        update = _updated(g, g.gather(x, places, axis=axis), update, starts, others)
    column = g.unsqueeze(places, axes=tuple(range(1, rank_of(x) - axis))) if axis < rank_of(x) - 1 else places
    return g.scatter_elements(x, g.expand(column, g.shape(update)), update, axis=axis)  # type: ignore[no-any-return]


def _places(g: Graph, x: Value, starts: Value, axis: int, count: Value) -> Value:
    """`count` places along an axis from the start given on, moved so that all are there."""
    last = g.sub(g.shape(x, start=axis, end=axis + 1), count)
    start = g.gather(g.cast(starts, to="int64"), g.constant([axis], "int64"), axis=0)
    return g.add(g.iota(count), g.maximum(g.minimum(start, last), 0))  # type: ignore[no-any-return]


@op("Where")
def where(g: Graph, node: Node) -> Any:
    """The places that are not zero, a row for each."""
    x = node.input()
    truth = x if dtype_of(x).kind == "bool" else g.not_equal(x, 0)
    return g.transpose(g.nonzero(truth), permutation=(1, 0))


@op("Unique", "UniqueV2")
def unique(g: Graph, node: Node) -> Any:
    values, _, inverse, *_ = g.unique(node.input(), sorted=False)
    return values, g.cast(inverse, to=node.dtype("out_idx"))


@op("LowerBound", "UpperBound")
def bound(g: Graph, node: Node) -> Any:
    """How many sorted values of the row are less than each value, or not greater."""
    rows, values = node.input(0), node.input(1)
    compare = g.less if node.op == "LowerBound" else g.less_or_equal
    before = compare(g.unsqueeze(rows, axes=(1,)), g.unsqueeze(values, axes=(2,)))
    return g.reduce_sum(g.cast(before, to=node.dtype("out_type")), axes=(2,), keepdims=False)


@op("Bucketize")
def bucketize(g: Graph, node: Node) -> Any:
    """The number of boundaries that a value reaches."""
    limits = [float(limit) for limit in node.proto.attr["boundaries"].list.f]
    x = node.input()
    reached = g.less_or_equal(g.constant(limits, "float32"), g.unsqueeze(g.cast(x, to="float32"), axes=(rank_of(x),)))
    return g.reduce_sum(g.cast(reached, to="int32"), axes=(rank_of(x),), keepdims=False)


@op("Bincount", "DenseBincount")
def bincount(g: Graph, node: Node) -> Any:
    """How often each number occurs, or the sum of its weights, for each row of a matrix."""
    x, weights = node.input(0), node.input(2)
    count = g.sizes(g.reshape(g.cast(node.input(1), to="int64"), [1]))
    hits = g.equal(g.unsqueeze(x, axes=(rank_of(x),)), g.cast(g.iota(count), to=dtype_of(x)))
    to = dtype_of(weights)
    axis = rank_of(x) - 1
    if node.flag("binary_output"):
        return g.cast(g.reduce_max(g.cast(hits, to="uint8"), axes=(axis,), keepdims=False), to=to)
    counts = g.cast(hits, to=to)
    if shape_of(weights) and shape_of(weights) != (0,):
        counts = g.mul(counts, g.unsqueeze(weights, axes=(rank_of(weights),)))
    return g.reduce_sum(counts, axes=(axis,), keepdims=False)
