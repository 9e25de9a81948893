"""Shapes read and changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value, known_value
from mm_core.types import Dim, TensorType, as_dtype
from mm_parser_tensorflow.node import Node, weight_of
from mm_parser_tensorflow.regroup import reshaped
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Tensor, View, dtype_of, rank_of, shape_of, view

FAMILY = Family()
op = FAMILY.op


def _sizes(g: Graph, node: Node, tensor: Tensor) -> Value:
    """The sizes of a tensor, without moving it: read from the graph's arguments where these have them.

    So nobody but the next operator reads a result, and the two can be fused.
    """
    to = node.dtype("out_type") if node.has("out_type") else as_dtype("int32")
    found = _from_arguments(g, shape_of(tensor))
    if found is not None:
        pass
    elif isinstance(tensor, View):
        found = g.gather(g.shape(tensor.base), g.constant(list(tensor.order), "int64"), axis=0)
    else:
        found = g.shape(tensor)
    return found if to.name == "int64" else g.cast(found, to=to)


def _from_arguments(g: Graph, sizes: Sequence[Dim]) -> Value | None:
    """Sizes as a vector: numbers, and symbols that are sizes of the graph's arguments; None if one is not."""
    parts = []
    for size in sizes:
        if isinstance(size, int):
            parts.append(g.constant([size], "int64"))
            continue
        owner = next((value for value in g.arguments if size in _known_sizes(value)), None)
        if owner is None:
            return None
        axis = _known_sizes(owner).index(size)
        parts.append(g.shape(owner, start=axis, end=axis + 1))
    if not parts:
        return None
    return g.concat(*parts, axis=0) if len(parts) > 1 else parts[0]


def _known_sizes(value: Value) -> tuple[Dim, ...]:
    return (value.type.shape or ()) if isinstance(value.type, TensorType) else ()


@op("Shape")
def shape(g: Graph, node: Node) -> Any:
    return _sizes(g, node, node.tensor())


@op("ShapeN")
def shape_n(g: Graph, node: Node) -> Any:
    return [_sizes(g, node, node.tensor(index)) for index in range(len(node))]


@op("Size")
def size(g: Graph, node: Node) -> Any:
    return g.reduce_prod(_sizes(g, node, node.tensor()), keepdims=False)


@op("Rank")
def rank(g: Graph, node: Node) -> Any:
    return g.constant(node.rank(), "int32")


@op("Reshape")
def reshape(g: Graph, node: Node) -> Any:
    """A zero in the sizes is a size of zero. A view stays one where no element changes its place."""
    x, sizes = node.tensor(0), node.input(1)
    known = known_value(sizes)
    if known is not None and 0 in known.reshape(-1).tolist() and 0 not in shape_of(x):
        raise node.unsupported(f"the shape {known.tolist()} has no elements, the operand has")
    if isinstance(x, View) and known is not None:
        found = reshaped(g, x, known.reshape(-1).tolist())
        if found is not None:
            return found
    return g.reshape(node.input(0), sizes)


@op("ExpandDims")
def expand_dims(g: Graph, node: Node) -> Any:
    """In a view the new axis goes behind the spatial axis before it, to be joined with it, as repeating does.

    Behind the batch it goes before the axis that follows: so images of one row are images as well.
    """
    x = node.tensor(0)
    axis = node.axis(1, rank_of(x) + 1)
    if not isinstance(x, View):
        return g.unsqueeze(x, axes=(axis,))
    order = list(x.order)
    place = order[axis] if axis < 2 else order[axis - 1] + 1
    moved = [item + (item >= place) for item in order]
    return view(g.unsqueeze(x.base, axes=(place,)), [*moved[:axis], place, *moved[axis:]])


@op("Squeeze")
def squeeze(g: Graph, node: Node) -> Any:
    x = node.tensor(0)
    sizes = shape_of(x)
    stated = node.integers("squeeze_dims") or node.integers("axis")
    axes = [axis % len(sizes) for axis in stated] or [axis for axis, size in enumerate(sizes) if size == 1]
    if not axes:
        return x
    if not isinstance(x, View):
        return g.squeeze(x, axes=tuple(sorted(axes)))
    gone = sorted(x.order[axis] for axis in axes)
    left = [axis for index, axis in enumerate(x.order) if index not in axes]
    return view(g.squeeze(x.base, axes=tuple(gone)), [sorted(left).index(axis) for axis in left])


@op("BroadcastTo")
def broadcast_to(g: Graph, node: Node) -> Any:
    return g.expand(node.input(0), node.input(1))


@op("BroadcastArgs")
def broadcast_args(g: Graph, node: Node) -> Any:
    """The common shape of two shapes: of two sizes the one that is not 1."""
    a, b = node.input(0), node.input(1)
    lengths = [length for value in (a, b) if isinstance(length := shape_of(value)[0], int)]
    if len(lengths) < 2:
        raise node.unsupported("the ranks are not known")
    longest = max(lengths)
    a, b = (
        value if length == longest else g.concat(g.constant([1] * (longest - length), dtype_of(value)), value, axis=0)
        for value, length in zip((a, b), lengths)
    )
    return g.select(g.equal(a, 1), b, a)


@op("Fill")
def fill(g: Graph, node: Node) -> Any:
    return g.expand(node.input(1), node.input(0))


@op("Range")
def range_(g: Graph, node: Node) -> Any:
    """Whole numbers given as floats count as integers, so that the size is known from what they are made of."""
    bounds = node.inputs()
    whole = [_whole(g, value) for value in bounds]
    if all(value is not None for value in whole):
        return g.cast(g.range(*whole), to=dtype_of(bounds[0]))
    return g.range(*bounds)


def _whole(g: Graph, value: Value) -> Value | None:
    """The integer, as int64, that a float was made from; None for other values."""
    if not dtype_of(value).is_float:
        return None
    data, maker = weight_of(value), value.defining_op
    if data is not None:
        known = float(data.numpy())
        return g.constant(int(known), "int64") if known.is_integer() else None
    number = maker.operands[0] if maker is not None and maker.name == "mm.cast" else None
    if number is None or not dtype_of(number).is_integer:
        return None
    return g.cast(number, to="int64")  # type: ignore[no-any-return]


@op("LinSpace")
def linspace(g: Graph, node: Node) -> Any:
    start, stop = node.input(0), node.input(1)
    (count,) = node.ints(2, "the number of values")
    steps = g.constant(np.arange(count), start.type.dtype)  # type: ignore[union-attr]
    if count == 1:
        return g.add(steps, start)
    inner = g.add(start, g.mul(steps, g.div(g.sub(stop, start), float(count - 1))))
    return g.select(g.constant(np.arange(count) == count - 1), stop, inner)


@op("Transpose")
def transpose(g: Graph, node: Node) -> Any:
    """Of a view the orders are joined; it may then be seen as it lies, or in an order that keeps its elements."""
    x = node.tensor(0)
    order = [axis % max(rank_of(x), 1) for axis in node.ints(1, "the permutation")]
    if not isinstance(x, View):
        return node.scope.moves.plain(view(x, order))
    joined = [x.order[axis] for axis in order]
    return view(x.base, joined)


@op("InvertPermutation")
def invert_permutation(g: Graph, node: Node) -> Any:
    known = node.constant(0)
    if known is not None:
        return g.constant(np.argsort(known), node.dtype())
    x = node.input()
    return g.scatter_elements(x, x, g.cast(g.iota(g.shape(x)), to=dtype_of(x)))
