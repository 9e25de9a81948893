"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, rank, shape
from mm_parser_torch.importers.windows import Window, is_whole
from mm_parser_torch.importers.windows import convolution as whole_convolution
from mm_parser_torch.table import Family

FAMILY = Family()


@FAMILY.op("convolution", "_convolution")
def convolution(
    g: Graph,
    call: Call,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *hints: Any,
) -> Any:
    axes = rank(x) - 2
    stride, padding, dilation = (each_axis(values, axes) for values in (stride, padding, dilation))
    if is_whole(x):
        sizes = shape(weight)[2:]
        moving = Window(tuple(int(size) for size in sizes if isinstance(size, int)), stride, padding, dilation)
        return whole_convolution(g, call, x, weight, bias, moving, groups, transposed)
    window = {"strides": stride, "pads": (*padding, *padding), "dilations": dilation, "group": groups}
    if transposed:
        return g.conv_transpose(x, weight, bias, output_padding=each_axis(output_padding, axes), **window)
    return g.conv(x, weight, bias, **window)


def each_axis(values: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """A number for each axis: PyTorch lets one stand for all."""
    listed = [values] if isinstance(values, int) else list(values)
    return tuple(listed * axes if len(listed) == 1 else listed)
