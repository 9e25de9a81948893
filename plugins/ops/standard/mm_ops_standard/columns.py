"""Columns of sliding blocks put back where they came from."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mm_core.ops import FLOATS, INDEX, Attribute, OpDef, Operand
from mm_core.types import floordiv
from mm_ops_standard.checks import require
from mm_ops_standard.known import dims, integers
from mm_ops_standard.places import places
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import (
    minus,
    over,
    plus,
    read_sizes,
    reshape,
    scalar,
    shape_operand,
    sizes_of,
    times,
)
from mm_ops_standard.windows import blocks_added, make_window


class ColumnsToImage(OpDef):
    """The sum of blocks [N, C * prod(block), blocks] at their places in an image [N, C, *image_shape].

    The reverse of cutting an image into blocks: `strides`, `pads` and `dilations` are those of the cutting.
    """

    name = "mm.col2im"
    operands = (Operand("x"), Operand("image_shape", INDEX), Operand("block_shape", INDEX))
    dtypes = {"T": FLOATS}
    attributes = (
        Attribute("strides", (int,), ()),
        Attribute("pads", (int,), ()),
        Attribute("dilations", (int,), ()),
    )

    def infer(self, types: Any, values: Any, **geometry: Any) -> Any:
        shape = types[0].shape
        require(len(shape) == 3, f"{self.name} takes [N, C * block, blocks], got {types[0]}")
        image, block = dims(values[1], types[1]), integers(values[2])
        if isinstance(types[1].shape[0], int):
            axes = (1,) * types[1].shape[0]
            make_window(self.name, axes, block or axes, **geometry, auto_pad="notset")  # which checks the geometry
        if image is None:
            return None
        return shape[0], None if block is None else floordiv(shape[1], prod(block)), *image

    def reference(self, x: Any, image_shape: Any, block_shape: Any, **geometry: Any) -> Any:
        image, block = tuple(map(int, image_shape)), tuple(map(int, block_shape))
        strides, begins, ends, dilations, counts = _geometry(image, block, **geometry)
        batch, channels = x.shape[0], x.shape[1] // prod(block)
        blocks = wide(x).reshape(batch, channels, *block, *counts)
        reach = [begin + size + end for begin, size, end in zip(begins, image, ends)]
        canvas = blocks_added(blocks, block, strides, dilations, reach)
        return canvas[:, :, *(slice(begin, begin + size) for begin, size in zip(begins, image))].astype(x.dtype)

    def decompose(
        self, graph: Any, x: Any, image_shape: Any, block_shape: Any, *, strides: Any, pads: Any, dilations: Any
    ) -> Any:
        """The elements are added up where they belong in a canvas as large as the padded image, which is then cut."""
        rank = image_shape.type.shape[0]
        if not isinstance(rank, int):
            return None
        image, block = (read_sizes(graph, shape, rank) for shape in (image_shape, block_shape))
        strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * (2 * rank)
        batch, rows, columns = sizes_of(graph, x)
        canvas = [plus(graph, size, begin + end) for size, begin, end in zip(image, pads[:rank], pads[rank:])]
        index = graph.constant(np.zeros([1] * (2 * rank), np.int64))
        for axis, (size, extent) in enumerate(zip(canvas, block)):
            reach = times(graph, plus(graph, extent, -1), dilations[axis])
            count = plus(graph, over(graph, minus(graph, size, plus(graph, reach, 1)), strides[axis]), 1)
            inner = graph.mul(places(graph, extent, 2 * rank - 1 - axis), dilations[axis])
            outer = graph.mul(places(graph, count, rank - 1 - axis), strides[axis])
            index = graph.add(graph.mul(index, scalar(graph, size)), graph.add(inner, outer))
        channels = over(graph, rows, times(graph, *block))
        values = reshape(graph, x, [batch, channels, times(graph, *block, columns)])
        index = graph.expand(reshape(graph, index, [1, 1, times(graph, *block, columns)]), graph.shape(values))
        empty = graph.expand(
            graph.constant(0, x.type.dtype), shape_operand(graph, [batch, channels, times(graph, *canvas)])
        )
        summed = in_float32(
            graph, lambda values, empty: graph.scatter_elements(empty, index, values, axis=2, reduction="add"),
            values, empty,
        )  # fmt: skip
        ends = shape_operand(graph, [plus(graph, size, begin) for size, begin in zip(image, pads)])
        whole = reshape(graph, summed, [batch, channels, *canvas])
        return graph.slice(whole, np.array(pads[:rank]), ends, np.arange(2, 2 + rank))


def _geometry(
    image: tuple[int, ...], block: tuple[int, ...], *, strides: Any, pads: Any, dilations: Any
) -> tuple[Any, ...]:
    """Strides, pads before, pads after, dilations and the number of blocks, for each axis."""
    rank = len(image)
    require(len(block) == rank, f"mm.col2im: an image of rank {rank} has no blocks of rank {len(block)}")
    strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * (2 * rank)
    begins, ends = pads[:rank], pads[rank:]
    counts = tuple(
        (begin + size + end - (extent - 1) * dilation - 1) // stride + 1
        for begin, size, end, extent, dilation, stride in zip(begins, image, ends, block, dilations, strides)
    )
    return strides, begins, ends, dilations, counts


OPS: tuple[type[OpDef], ...] = (ColumnsToImage,)
