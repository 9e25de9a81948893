"""Views and copies: elements moved, repeated, cut and joined. In a program without mutation a view is a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, axes_of, axis_of, cast, dtype, rank, shape
from mm_parser_torch.importers.numbers import floor_div
from mm_parser_torch.sizes import Size, expand, product, reshape, size_of, sizes_of, vector
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_END = 2**63 - 1


@op("view", "_unsafe_view", "reshape", "view_copy")
def view(g: Graph, call: Call, x: Value, sizes: Sequence[Size]) -> Any:
    return reshape(g, x, sizes)


@op("expand", "expand_copy")
def expand_(g: Graph, call: Call, x: Value, sizes: Sequence[Size], implicit: bool) -> Any:
    """-1 keeps a size; further sizes come first."""
    missing = len(sizes) - rank(x)
    own = sizes_of(g, x)
    kept = [own[i - missing] if isinstance(size, int) and size == -1 else size for i, size in enumerate(sizes)]
    return expand(g, x, kept)


@op("permute", "permute_copy")
def permute(g: Graph, call: Call, x: Value, dims: Sequence[int]) -> Any:
    return g.transpose(x, permutation=tuple(axis_of(x, dim) for dim in dims)) if dims else g.identity(x)


@op("transpose.int")
def transpose(g: Graph, call: Call, x: Value, first: int, second: int) -> Any:
    order = list(range(rank(x)))
    if not order:
        return g.identity(x)
    order[first], order[second] = order[second], order[first]
    return g.transpose(x, permutation=order)


@op("t", "t_copy")
def t(g: Graph, call: Call, x: Value) -> Any:
    return g.transpose(x, permutation=tuple(reversed(range(rank(x)))))


@op("squeeze.dim", "squeeze.dims", "squeeze_copy.dim", "squeeze_copy.dims")
def squeeze(g: Graph, call: Call, x: Value, dims: int | Sequence[int]) -> Any:
    """Axes of another size stay."""
    listed = [dims] if isinstance(dims, int) else dims
    axes = tuple(axis_of(x, dim) for dim in listed) if rank(x) else ()
    ones = tuple(axis for axis in axes if shape(x)[axis] == 1)
    return g.squeeze(x, axes=ones) if ones else g.identity(x)


@op("unsqueeze", "unsqueeze_copy")
def unsqueeze(g: Graph, call: Call, x: Value, dim: int) -> Any:
    return g.unsqueeze(x, axes=(dim,))


@op("select.int", "select_copy.int")
def select(g: Graph, call: Call, x: Value, dim: int, index: Size) -> Any:
    return g.gather(x, g.constant(index, "int64") if isinstance(index, int) else index, axis=axis_of(x, dim))


@op("slice.Tensor", "slice_copy.Tensor")
def slice_(g: Graph, call: Call, x: Value, dim: int, start: Size | None, end: Size | None, step: Size) -> Any:
    bounds = [vector(g, [0 if start is None else start]), vector(g, [_END if end is None else end])]
    if start in (None, 0) and isinstance(end, int | None) and (end is None or end >= 2**31 - 1) and step == 1:
        return g.identity(x)
    return g.slice(x, *bounds, g.constant([axis_of(x, dim)], "int64"), vector(g, [step]))


@op("split_with_sizes", "split_with_sizes_copy")
def split_with_sizes(g: Graph, call: Call, x: Value, sizes: Sequence[Size], dim: int) -> Any:
    return g.split(x, vector(g, sizes), axis=axis_of(x, dim)) if len(sizes) > 1 else [g.identity(x)]


@op("split.Tensor", "split_copy.Tensor")
def split(g: Graph, call: Call, x: Value, size: Size, dim: int) -> Any:
    axis = axis_of(x, dim)
    whole, count = shape(x)[axis], len(call.examples)
    if count == 1:
        return [g.identity(x)]
    if isinstance(whole, int) and isinstance(size, int):
        return g.split(x, g.constant([min(size, whole - size * i) for i in range(count)], "int64"), axis=axis)
    if not isinstance(size, int):
        raise call.unsupported("the size of the pieces must be known")
    ends = [*(size * i for i in range(1, count)), _END]
    return [g.slice(x, [size * i], [end], [axis]) for i, end in enumerate(ends)]


@op("unbind.int", "unbind_copy.int")
def unbind(g: Graph, call: Call, x: Value, dim: int) -> Any:
    return [g.gather(x, g.constant(i, "int64"), axis=axis_of(x, dim)) for i in range(len(call.examples))]


@op("cat")
def cat(g: Graph, call: Call, tensors: Sequence[Value], dim: int) -> Any:
    """Tensors of shape [0] are left out, as PyTorch does; the others take the common type."""
    axes = call.rank()
    real = [cast(g, x, call.dtype()) for x in tensors if rank(x) == axes and (axes > 1 or shape(x) != (0,))]
    if not real:
        return g.identity(cast(g, tensors[0], call.dtype()))
    return g.concat(*real, axis=dim % axes) if len(real) > 1 else g.identity(real[0])


@op("stack")
def stack(g: Graph, call: Call, tensors: Sequence[Value], dim: int) -> Any:
    axis = dim % call.rank()
    parts = [g.unsqueeze(cast(g, x, call.dtype()), axes=(axis,)) for x in tensors]
    return g.concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


@op("flip")
def flip(g: Graph, call: Call, x: Value, dims: Sequence[int]) -> Any:
    return g.reverse(x, axes=axes_of(x, dims)) if dims and rank(x) else g.identity(x)


@op("repeat")
def repeat(g: Graph, call: Call, x: Value, repeats: Sequence[Size]) -> Any:
    missing = len(repeats) - rank(x)
    wide = g.unsqueeze(x, axes=tuple(range(missing))) if missing else x
    return g.tile(wide, vector(g, repeats)) if repeats else g.identity(x)


@op("diagonal", "diagonal_copy")
def diagonal(g: Graph, call: Call, x: Value, offset: int, first: int, second: int) -> Any:
    """The two axes go last and are joined; the diagonal lies there at a constant step."""
    first, second = axis_of(x, first), axis_of(x, second)
    rows, columns = size_of(g, x, first), size_of(g, x, second)
    length = call.examples[0].shape[-1]
    if not (isinstance(rows, int) and isinstance(columns, int) and isinstance(length, int)):
        raise call.unsupported("the sizes of the two axes must be known")
    others = [axis for axis in range(rank(x)) if axis not in (first, second)]
    moved = g.transpose(x, permutation=(*others, first, second))
    flat = reshape(g, moved, [*sizes_of(g, moved)[:-2], rows * columns])
    start = offset if offset >= 0 else -offset * columns
    places = [start + i * (columns + 1) for i in range(length)]
    return g.gather(flat, g.constant(places, "int64"), axis=len(others))


@op("diagonal_scatter")
def diagonal_scatter(g: Graph, call: Call, x: Value, source: Value, offset: int, first: int, second: int) -> Any:
    """source, whose last axis runs along the diagonal, in its place: a scatter to pairs of places."""
    front = [axis_of(x, first), axis_of(x, second)]
    order = (*front, *(axis for axis in range(rank(x)) if axis not in front))
    back = tuple(sorted(range(rank(x)), key=order.__getitem__))
    along = rank(source) - 1
    updates = g.transpose(cast(g, source, dtype(x)), permutation=(along, *range(along)))
    length = g.reshape(g.shape(source, start=along, end=along + 1), [])
    numbers = g.unsqueeze(g.range(g.constant(0, "int64"), length, g.constant(1, "int64")), axes=(1,))
    places = g.concat(g.add(numbers, max(-offset, 0)), g.add(numbers, max(offset, 0)), axis=1)
    return g.transpose(g.scatter_nd(g.transpose(x, permutation=order), places, updates), permutation=back)


@op("as_strided", "as_strided_copy")
def as_strided(
    g: Graph, call: Call, x: Value, sizes: Sequence[Size], strides: Sequence[Size], offset: Size | None
) -> Any:
    """Elements of x's memory by their places; x lies in memory as PyTorch laid it out."""
    if any(isinstance(item, Value) for item in (*sizes, *strides, offset)):
        raise call.unsupported("sizes and strides must be known")
    memory = _in_memory_order(g, call, x)
    places = np.asarray(offset or 0, np.int64)
    for size, stride in zip(sizes, strides):
        assert isinstance(size, int)
        assert isinstance(stride, int)
        places = places[..., None] + np.arange(size, dtype=np.int64) * stride
    return g.gather(memory, g.constant(places, "int64"), axis=0)


def _in_memory_order(g: Graph, call: Call, x: Value) -> Any:
    """All elements as PyTorch has them in memory, as a vector."""
    argument: Any = call.node.args[0]
    example = argument.meta["val"] if hasattr(argument, "meta") else None
    strides = None if example is None else example.stride()
    sizes = shape(x)
    if strides is None or not all(isinstance(item, int) for item in (*strides, *sizes)):
        raise call.unsupported("sizes and strides of the tensor must be known")
    order = sorted(range(len(sizes)), key=lambda axis: (-strides[axis], axis))
    expected = 1
    for axis in reversed(order):
        if sizes[axis] != 1 and strides[axis] != expected:
            raise call.unsupported("the tensor does not lie densely in memory", remedy="call contiguous() before it")
        expected *= sizes[axis]  # type: ignore[assignment]
    dense = g.transpose(x, permutation=order) if order != sorted(order) else x
    return g.reshape(dense, [-1])


@op("select_scatter")
def select_scatter(g: Graph, call: Call, x: Value, source: Value, dim: int, index: Size) -> Any:
    axis = axis_of(x, dim)
    here = _is_place(g, x, axis, g.constant(index, "int64") if isinstance(index, int) else index)
    return g.select(here, g.unsqueeze(cast(g, source, dtype(x)), axes=(axis,)), x)


def _is_place(g: Graph, x: Value, axis: int, index: Value) -> Any:
    """Where an axis has an index, as a mask that broadcasts to x; negative indices count from the end."""
    size = size_of(g, x, axis)
    whole = g.constant(size, "int64") if isinstance(size, int) else size
    places = _along(g, x, axis, whole)
    return g.equal(places, g.select(g.less(index, 0), g.add(index, whole), index))


def _along(g: Graph, x: Value, axis: int, size: Value) -> Any:
    """0, 1, ... along an axis, shaped to broadcast to x."""
    numbers = g.range(g.constant(0, "int64"), size, g.constant(1, "int64"))
    return g.reshape(numbers, [-1, *[1] * (rank(x) - 1 - axis)])


@op("slice_scatter")
def slice_scatter(
    g: Graph, call: Call, x: Value, source: Value, dim: int, start: Size | None, end: Size | None, step: Size
) -> Any:
    """source at the places of the slice: a scatter of whole slices along the axis."""
    axis = axis_of(x, dim)
    size = size_of(g, x, axis)
    whole = g.constant(size, "int64") if isinstance(size, int) else size
    bounds = [vector(g, [0 if start is None else start]), vector(g, [_END if end is None else end])]
    places = g.slice(
        g.range(g.constant(0, "int64"), whole, g.constant(1, "int64")),
        *bounds,
        g.constant([0], "int64"),
        vector(g, [step]),
    )
    front = (axis, *(other for other in range(rank(x)) if other != axis))
    back = tuple(sorted(range(rank(x)), key=front.__getitem__))
    source = cast(g, source, dtype(x))
    if axis == 0:
        return g.scatter_nd(x, g.unsqueeze(places, axes=(1,)), source)
    moved, updates = (g.transpose(value, permutation=front) for value in (x, source))
    return g.transpose(g.scatter_nd(moved, g.unsqueeze(places, axes=(1,)), updates), permutation=back)


# --- padding ----------------------------------------------------------------------------------------------------------


@op("constant_pad_nd")
def constant_pad(g: Graph, call: Call, x: Value, pads: Sequence[Size], value: Any) -> Any:
    number = g.constant(value, dtype(x)) if not isinstance(value, Value) else cast(g, value, dtype(x))
    return _pad(g, x, pads, "constant", number)


@op("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(g: Graph, call: Call, x: Value, pads: Sequence[Size]) -> Any:
    return _pad(g, x, pads, "reflect")


@op("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(g: Graph, call: Call, x: Value, pads: Sequence[Size]) -> Any:
    return _pad(g, x, pads, "edge")


def _pad(g: Graph, x: Value, pads: Sequence[Size], mode: str, value: Value | None = None) -> Any:
    """PyTorch lists (begin, end) from the last axis to the first."""
    axes = tuple(rank(x) - len(pads) // 2 + i for i in range(len(pads) // 2))
    if not axes:
        return g.identity(x)
    begins, ends = list(pads[0::2])[::-1], list(pads[1::2])[::-1]
    return g.pad(x, vector(g, [*begins, *ends]), value, mode=mode, axes=axes)


# --- blocks -----------------------------------------------------------------------------------------------------------


@op("pixel_shuffle")
def pixel_shuffle(g: Graph, call: Call, x: Value, factor: int) -> Any:
    *lead, channels, height, width = sizes_of(g, x)
    image = reshape(g, x, [product(g, lead), channels, height, width])
    y = g.depth_to_space(image, blocksize=factor, mode="CRD")
    return reshape(g, y, [*lead, *sizes_of(g, y)[1:]])


@op("unfold", "unfold_copy")
def unfold(g: Graph, call: Call, x: Value, dim: int, size: int, step: int) -> Any:
    """Windows along an axis, their elements in a new last axis."""
    axis = axis_of(x, dim)
    wide = x if rank(x) else g.reshape(x, [1])
    whole = size_of(g, wide, axis)
    count = floor_div(g, g.sub(whole, size), step) if isinstance(whole, Value) else (whole - size) // step
    limit = g.constant(count + 1, "int64") if isinstance(count, int) else g.add(count, 1)
    starts = g.mul(g.range(g.constant(0, "int64"), limit, g.constant(1, "int64")), step)
    places = g.add(g.unsqueeze(starts, axes=(1,)), g.constant([list(range(size))], "int64"))
    windows = g.gather(wide, places, axis=axis)
    if not rank(x):
        return g.reshape(windows, [size])
    order = [place for place in range(rank(x) + 1) if place != axis + 1]
    return g.transpose(windows, permutation=(*order, axis + 1))
