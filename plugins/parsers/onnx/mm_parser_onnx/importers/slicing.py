"""Parts of tensors and tensors extended: slice, split, pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("Slice")
def slice_1(g: Graph, node: Node) -> Any:
    starts, ends, axes = node.ints("starts", ()), node.ints("ends", ()), node.ints("axes")
    axes = tuple(range(len(starts))) if axes is None else axes
    return g.slice(node.input(), *(np.array(items, np.int64) for items in (starts, ends, axes)))


@op("Slice", since=10)
def slice_10(g: Graph, node: Node) -> Any:
    return g.slice(*(node.optional(index) for index in range(5)))


@op("Split")
def split_1(g: Graph, node: Node) -> Any:
    """Sizes come as an attribute or as a second input."""
    return _split(g, node, node.optional(1), node.ints("split"), default=0)


@op("Split", since=2)
def split_2(g: Graph, node: Node) -> Any:
    return _split(g, node, None, node.ints("split"), default=0)


@op("Split", since=13)
def split_13(g: Graph, node: Node) -> Any:
    count = node.int("num_outputs")
    if count is not None and count != len(node.proto.output):
        raise node.unsupported(f"num_outputs is {count}, the node has {len(node.proto.output)} outputs")
    return _split(g, node, node.optional(1), None, default=0)


def _split(g: Graph, node: Node, sizes: Value | None, listed: Any, default: int) -> Any:
    count = len(node.proto.output)
    axis = node.int("axis", default)
    if listed is not None:
        sizes = g.constant(list(listed), "int64")
    if sizes is not None:
        return g.split(node.input(), sizes, axis=axis, parts=count)
    size = node.shape()[node.axis(default=default)]
    if node.version < 18 and isinstance(size, int) and size % count:
        raise node.unsupported(f"an axis of {size} elements does not split into {count} equal parts")
    return g.split(node.input(), axis=axis, parts=count)


_MODES = ("constant", "reflect", "edge", "wrap")


@op("Pad")
def pad_1(g: Graph, node: Node) -> Any:
    return _pad_attributes(g, node, "paddings")


@op("Pad", since=2)
def pad_2(g: Graph, node: Node) -> Any:
    return _pad_attributes(g, node, "pads")


def _pad_attributes(g: Graph, node: Node, name: str) -> Any:
    mode, value = node.choice("mode", _MODES[:3], "constant"), node.float("value", 0.0)
    pads = np.array(node.ints(name, ()), np.int64)
    return g.pad(node.input(), pads, value if mode == "constant" else None, mode=mode)


@op("Pad", since=11)
def pad_11(g: Graph, node: Node) -> Any:
    mode = node.choice("mode", _MODES if node.version >= 19 else _MODES[:3], "constant")
    x, pads, value = node.input(0), node.input(1), node.optional(2) if mode == "constant" else None
    axes = None if node.optional(3) is None else node.constant(3)
    if node.optional(3) is None or axes is not None:
        return g.pad(x, pads, value, mode=mode, axes=axes)
    # Axes that depend on data: pads of all axes, most of them zero.
    places = g.expand(g.cast(node.input(3), to="int64"), g.concat(np.array([2]), g.shape(node.input(3)), axis=0))
    listed = g.reshape(g.cast(pads, to="int64"), g.shape(places))
    whole = g.scatter_elements(np.zeros((2, node.rank()), np.int64), places, listed, axis=1)
    return g.pad(x, g.reshape(whole, [2 * node.rank()]), value, mode=mode)
