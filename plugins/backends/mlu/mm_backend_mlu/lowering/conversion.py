"""From one layout to the other: images are matrices of channels and pixels, turned round."""

from __future__ import annotations

from mm_backend_mlu.codegen.transpose import transpose
from mm_backend_mlu.lowering.layout import Layout, physical_shape
from mm_backend_mlu.lowering.lowering import Lowering


def convert(
    low: Lowering, source: int, target: int, shape: tuple[int, ...], itemsize: int, to_channels_last: bool
) -> None:
    """Append what brings an image from dense to channels last, its padding zeros, or back."""
    batch, channels, height, width = shape
    pixels, pitch = height * width, physical_shape(shape, itemsize, Layout.CHANNELS_LAST)[3]
    if to_channels_last:
        kernel, tasks = transpose(
            batch, channels, pixels, pixels, pitch, itemsize, "to_channels_last", low.target
        )
    else:
        kernel, tasks = transpose(
            batch, pixels, channels, pitch, pixels, itemsize, "to_channels_first", low.target
        )
    low.launch(kernel, [source], [target], tasks)
