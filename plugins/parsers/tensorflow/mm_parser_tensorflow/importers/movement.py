"""Elements moved or repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_tensorflow.importers.convolution import Layout
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import View, rank_of, shape_of, view

FAMILY = Family()
op = FAMILY.op
_END = 2**63 - 1


@op("Tile")
def tile(g: Graph, node: Node) -> Any:
    x, times = node.tensor(0), node.constant(1)
    if isinstance(x, View) and times is not None:
        own = np.ones_like(times)
        own[list(x.order)] = times
        return view(g.tile(x.base, own.tolist()), x.order)
    return g.tile(node.input(0), g.cast(node.input(1), to="int64"))


@op("ReverseV2")
def reverse(g: Graph, node: Node) -> Any:
    x = node.tensor()
    axes = node.axes(1, rank_of(x))
    if not axes:
        return x
    if isinstance(x, View):
        return view(g.reverse(x.base, axes=tuple(x.order[axis] for axis in axes)), x.order)
    return g.reverse(x, axes=axes)


@op("ReverseSequence")
def reverse_sequence(g: Graph, node: Node) -> Any:
    lengths = g.cast(node.input(1), to="int64")
    return g.reverse_sequence(
        node.input(), lengths, time_axis=node.integer("seq_dim"), batch_axis=node.integer("batch_dim")
    )


@op("Roll")
def roll(g: Graph, node: Node) -> Any:
    x = node.input()
    for shift, axis in zip(node.ints(1, "shifts"), node.ints(2, "axes")):
        axis %= rank_of(x)
        size = shape_of(x)[axis]
        if not isinstance(size, int):
            raise node.unsupported("the size of the axis is not known")
        if size and shift % size:
            place = size - shift % size
            x = g.concat(g.slice(x, [place], [_END], [axis]), g.slice(x, [0], [place], [axis]), axis=axis)
    return x


@op("DepthToSpace")
def depth_to_space(g: Graph, node: Node) -> Any:
    layout = Layout(node)
    return layout.result(g.depth_to_space(layout.image(), blocksize=node.integer("block_size"), mode="DCR"))


@op("SpaceToDepth")
def space_to_depth(g: Graph, node: Node) -> Any:
    """Channels are sorted by their place in the block first, as in ours."""
    layout = Layout(node)
    return layout.result(g.space_to_depth(layout.image(), blocksize=node.integer("block_size")))


@op("SpaceToBatchND")
def space_to_batch(g: Graph, node: Node) -> Any:
    """Blocks of the padded spatial axes become the slowest part of the batch."""
    x, block = node.input(), node.ints(1, "the block")
    pads = node.ints(2, "the padding")
    rank, count = rank_of(x), len(block)
    begins, ends = [0] * rank, [0] * rank
    begins[1 : 1 + count], ends[1 : 1 + count] = pads[::2], pads[1::2]
    if any(pads):
        x = g.pad(x, [*begins, *ends])
    sizes = shape_of(x)
    split, order_out, order_in = [g.shape(x, start=0, end=1)], [], []
    for axis, by in enumerate(block, 1):
        size = sizes[axis]
        split += [g.constant([size // by], "int64") if isinstance(size, int) else _quotient(g, x, axis, by)]
        split += [g.constant([by], "int64")]
        order_out.append(2 * axis)
        order_in.append(2 * axis - 1)
    rest = list(range(1 + count, rank))
    split += [g.shape(x, start=axis, end=axis + 1) for axis in rest]
    wide = g.reshape(x, g.concat(*split, axis=0))
    order = (*order_out, 0, *order_in, *(axis + count for axis in rest))
    moved = g.transpose(wide, permutation=order)
    batch = _quotient(g, x, 0, 1, times=_product(block))
    return g.reshape(moved, g.concat(batch, g.shape(moved, start=count + 1), axis=0))


@op("BatchToSpaceND")
def batch_to_space(g: Graph, node: Node) -> Any:
    """The way back, and the padding cut off."""
    x, block = node.input(), node.ints(1, "the block")
    crops = node.ints(2, "the crops")
    rank, count = rank_of(x), len(block)
    batch = _quotient(g, x, 0, _product(block))
    wide = g.reshape(x, g.concat(g.constant(list(block), "int64"), batch, g.shape(x, start=1), axis=0))
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    moved = g.transpose(wide, permutation=(*order, *range(2 * count + 1, rank + count)))
    sizes = [batch]
    sizes += [_quotient(g, x, axis, 1, times=by) for axis, by in enumerate(block, 1)]
    sizes += [g.shape(x, start=axis, end=axis + 1) for axis in range(1 + count, rank)]
    whole = g.reshape(moved, g.concat(*sizes, axis=0))
    cut = [axis for axis in range(count) if crops[2 * axis] or crops[2 * axis + 1]]
    if not cut:
        return whole
    begins = [crops[2 * axis] for axis in cut]
    ends = [-crops[2 * axis + 1] or _END for axis in cut]
    return g.slice(whole, begins, ends, [axis + 1 for axis in cut])


def _product(values: tuple[int, ...]) -> int:
    total = 1
    for value in values:
        total *= value
    return total


def _quotient(g: Graph, x: Any, axis: int, by: int, times: int = 1) -> Any:
    """The size of an axis divided and multiplied, as a vector of one."""
    size = g.shape(x, start=axis, end=axis + 1)
    return g.mul(g.div(size, by) if by != 1 else size, times) if times != 1 else g.div(size, by)
