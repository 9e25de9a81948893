"""Images sampled at computed places."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.microsoft.layout import channels_first, channels_last
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import Size, size_of
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op
_MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}


@op("GridSample")
def grid_sample(g: Graph, node: Node) -> Any:
    mode = node.choice("mode", tuple(_MODES), "bilinear")
    padding = node.choice("padding_mode", ("zeros", "border", "reflection"), "zeros")
    return g.grid_sample(
        *node.operands(), mode=_MODES[mode], padding_mode=padding, align_corners=node.flag("align_corners")
    )


@op("CropAndResize")
def crop_and_resize(g: Graph, node: Node) -> Any:
    """Boxes [y1, x1, y2, x2], from 0 to 1 over the image, resized so that corners meet; X is [N, C, H, W]."""
    mode = node.choice("mode", ("bilinear", "nearest"), "bilinear")
    sizes = node.constant_ints(3, "the size of the crops")
    assert sizes is not None
    x, boxes = node.input(0), node.input(1)
    rows, columns = (_Places(g, boxes, index, count, size_of(g, x, 2 + index)) for index, count in enumerate(sizes))
    inside = g.logical_and(g.unsqueeze(rows.inside, axes=(2,)), g.unsqueeze(columns.inside, axes=(1,)))
    images = channels_last(g, x)
    batch = g.reshape(g.cast(node.input(2), to="int64"), [-1, 1, 1])

    def fetched(row: Value, column: Value) -> Value:
        """[boxes, h, w, C] at rows [boxes, h] and columns [boxes, w]."""
        parts = [batch, g.unsqueeze(row, axes=(2,)), g.unsqueeze(column, axes=(1,))]
        shape = g.concat(g.shape(row), g.shape(column, start=1), axis=0)
        spread = [g.unsqueeze(g.expand(part, shape), axes=(3,)) for part in parts]
        return g.gather_nd(images, g.concat(*spread, axis=3))  # type: ignore[no-any-return]

    if mode == "nearest":
        y = fetched(rows.nearest, columns.nearest)
    else:
        right, bottom = g.unsqueeze(columns.part, axes=(1, 3)), g.unsqueeze(rows.part, axes=(2, 3))
        top, base = (
            _between(g, fetched(row, columns.low), fetched(row, columns.high), right) for row in (rows.low, rows.high)
        )
        y = _between(g, top, base, bottom)
    outside = g.constant(node.float("extrapolation_value", 0.0), node.type().dtype)
    return channels_first(g, g.select(g.unsqueeze(inside, axes=(3,)), y, outside))


class _Places:
    """Where the elements of crops lie along one axis of an image, each [boxes, count]."""

    __slots__ = ("high", "inside", "low", "nearest", "part")

    def __init__(self, g: Graph, boxes: Value, index: int, count: int, size: Size) -> None:
        start, end = (g.slice(boxes, [place], [place + 1], [1]) for place in (index, index + 2))
        dtype = boxes.type.dtype  # type: ignore[union-attr]
        last = g.cast(g.sub(size, 1) if isinstance(size, Value) else g.constant([size - 1], "int64"), to=dtype)
        if count > 1:
            step = g.div(g.mul(g.sub(end, start), last), float(count - 1))
            at = g.add(g.mul(start, last), g.mul(step, np.arange(count, dtype=dtype.numpy)))
        else:
            at = g.mul(g.mul(g.add(start, end), 0.5), last)
        self.inside = g.logical_and(g.less_or_equal(0.0, at), g.less_or_equal(at, last))
        within = g.minimum(g.maximum(at, 0.0), last)
        floor = g.floor(within)
        self.part = g.sub(within, floor)
        self.low = g.cast(floor, to="int64")
        self.high = g.cast(g.ceil(within), to="int64")
        self.nearest = g.cast(g.floor(g.add(within, 0.5)), to="int64")


def _between(g: Graph, left: Value, right: Value, part: Value) -> Value:
    return g.add(left, g.mul(g.sub(right, left), part))  # type: ignore[no-any-return]
