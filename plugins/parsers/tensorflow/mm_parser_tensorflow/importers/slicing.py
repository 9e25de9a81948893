"""Parts of tensors, joining and padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Tensor, View, rank_of, shape_of, view

FAMILY = Family()
op = FAMILY.op
_END = np.iinfo(np.int64).max


# --- joining ----------------------------------------------------------------------------------------------------------


@op("ConcatV2")
def concat(g: Graph, node: Node) -> Any:
    return _concat(g, node, [node.tensor(index) for index in range(len(node) - 1)], len(node) - 1)


@op("Concat")
def concat_v1(g: Graph, node: Node) -> Any:
    return _concat(g, node, [node.tensor(index) for index in range(1, len(node))], 0)


def _concat(g: Graph, node: Node, tensors: list[Tensor], place: int) -> Any:
    axis = node.axis(place, rank_of(tensors[0]))
    order = next((tensor.order for tensor in tensors if isinstance(tensor, View)), None)
    moves = node.scope.moves
    if len(tensors) == 1:
        return tensors[0]
    if order is None or not all(moves.has_base(tensor, order) for tensor in tensors):
        return g.concat(*map(moves.plain, tensors), axis=axis)
    return view(g.concat(*(moves.base(tensor, order) for tensor in tensors), axis=order[axis]), order)


@op("Pack")
def pack(g: Graph, node: Node) -> Any:
    values = node.inputs()
    axis = node.integer("axis") % (rank_of(values[0]) + 1)
    parts = [g.unsqueeze(value, axes=(axis,)) for value in values]
    return g.concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


# --- parts ------------------------------------------------------------------------------------------------------------


@op("Unpack")
def unpack(g: Graph, node: Node) -> Any:
    x, count = node.input(), node.integer("num")
    axis = node.integer("axis") % rank_of(x)
    return [g.gather(x, g.constant(index, "int64"), axis=axis) for index in range(count)]


def _split(g: Graph, node: Node, tensor: Tensor, axis: int, sizes: Value | None, parts: int) -> Any:
    def build(value: Value, axis: int) -> Any:
        if parts == 1:
            return [value]
        return g.split(value, sizes, axis=axis) if sizes is not None else g.split(value, axis=axis, parts=parts)

    if isinstance(tensor, View):
        return [view(part, tensor.order) for part in build(tensor.base, tensor.order[axis])]
    return build(tensor, axis)


@op("Split")
def split(g: Graph, node: Node) -> Any:
    x = node.tensor(1)
    return _split(g, node, x, node.axis(0, rank_of(x)), None, node.integer("num_split"))


@op("SplitV")
def split_v(g: Graph, node: Node) -> Any:
    """One size may be -1: what the others leave."""
    x = node.tensor(0)
    axis, sizes, whole = node.axis(2, rank_of(x)), node.constant(1), None
    parts = node.integer("num_split")
    if sizes is None:
        return _split(g, node, x, axis, node.input(1), parts)
    whole, listed = shape_of(x)[axis], [int(size) for size in sizes]
    if -1 in listed:
        rest = sum(size for size in listed if size >= 0)
        if not isinstance(whole, int):
            raise node.unsupported("a size is -1 and the axis has no known size")
        listed[listed.index(-1)] = whole - rest
    return _split(g, node, x, axis, g.constant(listed, "int64"), parts)


@op("Slice")
def slice_(g: Graph, node: Node) -> Any:
    """Begins and sizes; a size of -1 reaches to the end."""
    x = node.tensor(0)
    begins, sizes = node.constant(1), node.constant(2)
    if begins is not None and sizes is not None:
        ends = [_END if size == -1 else begin + size for begin, size in zip(begins.tolist(), sizes.tolist())]
        return sliced(g, x, begins.tolist(), ends, [1] * rank_of(x))
    begin, size = (g.cast(node.input(index), to="int64") for index in (1, 2))
    end = g.select(g.equal(size, -1), g.constant(_END, "int64"), g.add(begin, size))
    return g.slice(node.input(0), begin, end, list(range(rank_of(x))))


def sliced(g: Graph, tensor: Tensor, begins: list[int], ends: list[int], steps: list[int]) -> Any:
    """A part of a tensor by constant bounds, in the layout that it has. Whole axes are left out."""
    cut = [axis for axis in range(len(begins)) if (begins[axis], steps[axis]) != (0, 1) or ends[axis] < 2**31 - 1]
    cut = [
        axis for axis in cut if not (begins[axis] == 0 and steps[axis] == 1 and ends[axis] == shape_of(tensor)[axis])
    ]
    if not cut:
        return tensor
    bounds = [[values[axis] for axis in cut] for values in (begins, ends)]
    stride = [steps[axis] for axis in cut]
    if isinstance(tensor, View):
        return view(g.slice(tensor.base, *bounds, [tensor.order[axis] for axis in cut], stride), tensor.order)
    return g.slice(tensor, *bounds, cut, stride)


@op("StridedSlice")
def strided_slice(g: Graph, node: Node) -> Any:
    """Python's indexing: masks say which bounds are left out, which entries are `...`, new axes, or single places."""
    x = node.tensor(0)
    masks = {name: node.integer(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    entries = _entries(node, masks, rank_of(x))
    known = [node.constant(index) for index in (1, 2, 3)]
    steps = known[2]
    if steps is None:
        raise node.unsupported("the steps depend on data, they must be constant")
    rank = rank_of(x)
    begins: list[Any] = [0] * rank
    ends: list[Any] = [_END] * rank
    strides, new, shrunk, axis, place = [1] * rank, [], [], 0, 0
    for entry in entries:
        if entry is None:
            axis, place = axis + 1, place + 1
            continue
        bit = 1 << entry
        if masks["new_axis"] & bit:
            new.append(place)
            place += 1
            continue
        step = int(steps[entry])
        begin, end = (_bound(g, node, index, found, entry) for index, found in ((1, known[0]), (2, known[1])))
        if masks["shrink_axis"] & bit:
            shrunk.append(axis)
            begins[axis], strides[axis] = begin, 1
            ends[axis] = _after(g, begin)
        else:
            strides[axis] = step
            begins[axis] = (0 if step > 0 else _END) if masks["begin"] & bit else begin
            ends[axis] = (_END if step > 0 else -_END) if masks["end"] & bit else end
            place += 1
        axis += 1
    return _shaped(g, node, _cut(g, node, x, begins, ends, strides), shrunk, new)


def _entries(node: Node, masks: dict[str, int], rank: int) -> list[int | None]:
    """The entry of the bounds for each axis of the operand, and for each new axis; None for a whole axis."""
    (count,) = shape_of(node.tensor(3))
    if not isinstance(count, int):
        raise node.unsupported("the number of axes that are cut is not known")
    entries: list[int | None] = []
    taken = sum(not (masks["new_axis"] | masks["ellipsis"]) >> entry & 1 for entry in range(count))
    for entry in range(count):
        if masks["ellipsis"] >> entry & 1:
            entries += [None] * (rank - taken)
        else:
            entries.append(entry)
    return entries if masks["ellipsis"] else [*entries, *[None] * (rank - taken)]


def _bound(g: Graph, node: Node, index: int, known: Any, entry: int) -> Any:
    """A bound as an int, or as an int64 vector of one element."""
    if known is not None:
        return int(known[entry])
    return g.cast(g.slice(node.input(index), [entry], [entry + 1], [0]), to="int64")


def _after(g: Graph, begin: Any) -> Any:
    """The place behind a single one; that of -1 is the end."""
    if isinstance(begin, int):
        return _END if begin == -1 else begin + 1
    return g.select(g.equal(begin, -1), g.constant([_END], "int64"), g.add(begin, 1))


def _cut(g: Graph, node: Node, x: Tensor, begins: list[Any], ends: list[Any], strides: list[int]) -> Tensor:
    if all(isinstance(bound, int) for bound in (*begins, *ends)):
        return sliced(g, x, begins, ends, strides)  # type: ignore[no-any-return]
    axes = [axis for axis in range(len(begins)) if (begins[axis], ends[axis], strides[axis]) != (0, _END, 1)]
    vectors = [
        g.concat(*(g.constant([b], "int64") if isinstance(b, int) else b for b in picked), axis=0)
        if len(picked) > 1
        else picked[0]
        for picked in ([bounds[axis] for axis in axes] for bounds in (begins, ends))
    ]
    vectors = [g.constant([v], "int64") if isinstance(v, int) else v for v in vectors]
    return g.slice(node.input(0), *vectors, axes, [strides[axis] for axis in axes])  # type: ignore[no-any-return]


def _shaped(g: Graph, node: Node, found: Tensor, shrunk: list[int], new: list[int]) -> Any:
    """Single places lose their axes, then new axes are added."""
    if not shrunk and not new:
        return found
    value = node.scope.moves.plain(found)
    if shrunk:
        value = g.squeeze(value, axes=tuple(shrunk))
    return g.unsqueeze(value, axes=tuple(new)) if new else value


# --- padding ----------------------------------------------------------------------------------------------------------


@op("Pad", "PadV2")
def pad(g: Graph, node: Node) -> Any:
    return _pad(g, node, "constant", node.input(2) if len(node) > 2 else None)


@op("MirrorPad")
def mirror_pad(g: Graph, node: Node) -> Any:
    if node.choice("mode", ("REFLECT", "SYMMETRIC"), "REFLECT") == "REFLECT":
        return _pad(g, node, "reflect", None)
    return _symmetric(g, node)


def _pad(g: Graph, node: Node, mode: str, value: Value | None) -> Any:
    x, pads = node.tensor(0), node.constant(1)
    if pads is None:
        pairs = g.cast(node.input(1), to="int64")
        flat = g.reshape(g.transpose(pairs, permutation=(1, 0)), [-1])
        return g.pad(node.input(0), flat, value, mode=mode)
    if not pads.any():
        return x
    if isinstance(x, View):
        own = np.empty_like(pads)
        own[list(x.order)] = pads
        return view(g.pad(x.base, own.T.reshape(-1).tolist(), value, mode=mode), x.order)
    return g.pad(x, pads.T.reshape(-1).tolist(), value, mode=mode)


def _symmetric(g: Graph, node: Node) -> Any:
    """The edges are repeated too: rows taken from both ends, in reverse."""
    x = node.input(0)
    pads = node.ints(1, "the padding")
    for axis in range(rank_of(x)):
        before, after = pads[2 * axis : 2 * axis + 2]
        parts = [x]
        if before:
            parts.insert(0, g.reverse(g.slice(x, [0], [before], [axis]), axes=(axis,)))
        if after:
            parts.append(g.reverse(g.slice(x, [-after], [_END], [axis]), axes=(axis,)))
        x = g.concat(*parts, axis=axis) if len(parts) > 1 else x
    return x
