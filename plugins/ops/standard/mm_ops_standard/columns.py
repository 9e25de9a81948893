"""Columns of sliding blocks put back where they came from."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

from mm_core.ir import known_value
from mm_core.ops import FLOATS, INDEX, Attribute, OpDef, Operand
from mm_core.types import floordiv
from mm_ops_standard.checks import require
from mm_ops_standard.known import dims, integers
from mm_ops_standard.precision import wide
from mm_ops_standard.shapes import reshape, sizes_of


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
        if image is None:
            return None
        return shape[0], None if block is None else floordiv(shape[1], prod(block)), *image

    def reference(self, x: Any, image_shape: Any, block_shape: Any, **geometry: Any) -> Any:
        image, block = tuple(map(int, image_shape)), tuple(map(int, block_shape))
        strides, begins, ends, dilations, counts = _geometry(image, block, **geometry)
        batch, channels = x.shape[0], x.shape[1] // prod(block)
        blocks = wide(x).reshape(batch, channels, *block, *counts)
        canvas = np.zeros((batch, channels, *(b + s + e for b, s, e in zip(begins, image, ends))), blocks.dtype)
        for offsets in product(*map(range, block)):
            window = tuple(
                slice(offset * dilation, offset * dilation + (count - 1) * stride + 1, stride)
                for offset, dilation, count, stride in zip(offsets, dilations, counts, strides)
            )
            canvas[(..., *window)] += blocks[(slice(None), slice(None), *offsets)]
        return canvas[(..., *(slice(b, b + s) for b, s in zip(begins, image)))].astype(x.dtype)

    def decompose(self, graph: Any, x: Any, image_shape: Any, block_shape: Any, **geometry: Any) -> Any:
        """A transposed convolution in which each element of a block has a kernel with a single one."""
        image, block = integers(known_value(image_shape)), integers(known_value(block_shape))
        if image is None or block is None or not isinstance(x.type.shape[1], int):
            return None
        strides, begins, ends, dilations, counts = _geometry(image, block, **geometry)
        channels = x.type.shape[1] // prod(block)
        kernels = np.tile(np.eye(prod(block)), (channels, 1)).reshape(-1, 1, *block).astype(x.type.dtype.numpy)
        extents = [(size - 1) * dilation + 1 for size, dilation in zip(block, dilations)]
        spare = [
            begin + size + end - extent - (count - 1) * stride
            for begin, size, end, extent, count, stride in zip(begins, image, ends, extents, counts, strides)
        ]
        batch, rows, _ = sizes_of(graph, x)
        return graph.conv_transpose(
            reshape(graph, x, [batch, rows, *counts]), graph.constant(kernels), strides=strides,
            pads=(*begins, *ends), dilations=dilations, group=channels, output_padding=spare,
        )  # fmt: skip


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
