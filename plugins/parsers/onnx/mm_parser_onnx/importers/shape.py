"""Shapes: reading them, giving tensors other ones, and moving elements about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value, known_value
from mm_parser_onnx.axes import Axes, over_axes
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("Reshape")
def reshape_1(g: Graph, node: Node) -> Any:
    node.ignore("consumed_inputs")
    return reshape_to(g, node, g.constant(list(node.ints("shape", ())), "int64"), copy_zeros=True)


@op("Reshape", since=5)
def reshape_5(g: Graph, node: Node) -> Any:
    return reshape_to(g, node, node.input(1), copy_zeros=not node.flag("allowzero"))


def reshape_to(g: Graph, node: Node, shape: Value, copy_zeros: bool) -> Value:
    """The first operand in a shape in which a zero, if `copy_zeros`, stands for the operand's own size."""
    x = node.input(0)
    known = known_value(shape)
    if not copy_zeros or (known is not None and all(item is not None and item != 0 for item in known.flat)):
        return g.reshape(x, shape)  # type: ignore[no-any-return]
    own = node.shape(0)
    if known is not None and all(item is not None for item in known.flat):
        if any(item == 0 for item in known.flat[len(own) :]):
            raise node.unsupported(f"a zero stands where the input of rank {len(own)} has no size to copy")
        sizes = [own[place] if item == 0 else item for place, item in enumerate(known.flat)]
        if all(isinstance(size, int) for size in sizes):
            return g.reshape(x, sizes)  # type: ignore[no-any-return]
        parts = [
            g.shape(x, start=place, end=place + 1) if item == 0 else g.slice(shape, [place], [place + 1])
            for place, item in enumerate(known.flat)
        ]
        return g.reshape(x, g.concat(*parts, axis=0))  # type: ignore[no-any-return]
    (length,) = shape.type.shape or (None,)  # type: ignore[union-attr]
    if not isinstance(length, int):
        return g.reshape(x, shape)  # type: ignore[no-any-return]
    # Zeros may turn up while running: they are replaced by the sizes at their places.
    sizes_of_x = g.shape(x, start=0, end=min(length, len(own)))
    if length > len(own):
        sizes_of_x = g.concat(sizes_of_x, np.zeros(length - len(own), np.int64), axis=0)
    return g.reshape(x, g.select(g.equal(shape, 0), sizes_of_x, shape))  # type: ignore[no-any-return]


@op("Squeeze")
def squeeze_1(g: Graph, node: Node) -> Any:
    return g.squeeze(node.input(), axes=node.ints("axes"))


@op("Squeeze", since=13)
def squeeze_13(g: Graph, node: Node) -> Any:
    if node.optional(1) is None:
        return g.squeeze(node.input())

    def squeeze(g: Graph, values: Sequence[Value], axes: Axes) -> Value:
        return g.squeeze(*values, axes=axes)  # type: ignore[no-any-return]

    ones = [axis for axis, size in enumerate(node.shape()) if size == 1 or not isinstance(size, int)]
    return over_axes(g, node, 1, [node.input()], ones, node.rank(), squeeze)


@op("Unsqueeze")
def unsqueeze_1(g: Graph, node: Node) -> Any:
    return g.unsqueeze(node.input(), axes=node.ints("axes", ()))


@op("Unsqueeze", since=13)
def unsqueeze_13(g: Graph, node: Node) -> Any:
    (count,) = node.shape(1) or (1,)
    if not isinstance(count, int):
        raise node.unsupported("the number of axes depends on data", remedy="state the shape of this input")

    def unsqueeze(g: Graph, values: Sequence[Value], axes: Axes) -> Value:
        return g.unsqueeze(*values, axes=axes)  # type: ignore[no-any-return]

    rank = node.rank() + count
    return over_axes(g, node, 1, [node.input()], range(rank), rank, unsqueeze)


@op("Flatten")
def flatten(g: Graph, node: Node) -> Any:
    return g.flatten(node.input(), axis=node.int("axis", 1))


@op("Transpose")
def transpose(g: Graph, node: Node) -> Any:
    return g.transpose(node.input(), permutation=node.ints("perm"))


@op("Shape")
def shape(g: Graph, node: Node) -> Any:
    return g.shape(node.input(), start=node.int("start", 0), end=node.int("end"))


@op("Size")
def size(g: Graph, node: Node) -> Any:
    return g.size(node.input())


@op("Expand")
def expand(g: Graph, node: Node) -> Any:
    return g.expand(node.input(0), node.input(1))


@op("Tile")
def tile_1(g: Graph, node: Node) -> Any:
    """`tiles` times along one axis."""
    tiles, axis = (g.reshape(g.cast(node.input(index), to="int64"), [1]) for index in (1, 2))
    return g.tile(node.input(), g.scatter_elements(np.ones(node.rank(), np.int64), axis, tiles, axis=0))


@op("Tile", since=6)
def tile_6(g: Graph, node: Node) -> Any:
    return g.tile(node.input(0), node.input(1))


@op("Concat")
def concat_1(g: Graph, node: Node) -> Any:
    return g.concat(*node.operands(), axis=node.int("axis", 1))


@op("DepthToSpace")
def depth_to_space(g: Graph, node: Node) -> Any:
    mode = node.choice("mode", ("DCR", "CRD"), "DCR")
    return g.depth_to_space(node.input(), blocksize=node.int("blocksize"), mode=mode)


@op("SpaceToDepth")
def space_to_depth(g: Graph, node: Node) -> Any:
    if node.text("mode", "DCR") != "DCR":
        return NotImplemented
    return g.space_to_depth(node.input(), blocksize=node.int("blocksize"))


@op("ReverseSequence")
def reverse_sequence(g: Graph, node: Node) -> Any:
    return g.reverse_sequence(
        node.input(0), node.input(1), time_axis=node.int("time_axis", 0), batch_axis=node.int("batch_axis", 1)
    )
