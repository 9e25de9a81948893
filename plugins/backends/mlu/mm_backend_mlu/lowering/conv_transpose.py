"""Transposed convolutions: convolutions of images whose pixels have zeros between them, by windows turned round."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from mm_backend_mlu.lowering.convolution import check_conv, lower_conv
from mm_backend_mlu.lowering.layout import IMAGE_RANK, Layout, physical_shape
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy, fill_buffer, move, placed, view_in
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.values import constant_data, dtype_of, elements, shape_of
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.target import Target
from mm_core.ir import Builder, Network, Operation, Value
from mm_core.types import TensorType


@dataclass(frozen=True)
class _Transposed:
    """The convolution that a transposed one is; its operands are constants, or arguments that the rule fills."""

    convolution: Operation
    x: Value
    w: Value
    bias: Value | None
    strides: tuple[int, ...]
    group: int


def _transposed(operation: Operation) -> _Transposed | str:
    """The convolution, or why there is none."""
    attributes = operation.attributes
    if attributes["auto_pad"] != "notset" or attributes["output_shape"]:
        return "pads that follow from the sizes"
    x, w, bias = (*operation.operands, None)[:3]
    assert x is not None
    assert w is not None
    (batch, channels, *spatial), kernel, group = shape_of(x), shape_of(w)[2:], attributes["group"]
    rank = len(spatial)
    strides, dilations = attributes["strides"] or (1,) * rank, attributes["dilations"] or (1,) * rank
    pads, more = attributes["pads"] or (0,) * (2 * rank), attributes["output_padding"] or (0,) * rank
    reach = [(size - 1) * dilation for size, dilation in zip(kernel, dilations)]
    begins = [extent - pad for extent, pad in zip(reach, pads)]
    ends = [extent - pad + extra for extent, pad, extra in zip(reach, pads[rank:], more)]
    if min(begins + ends) < 0:
        return "pads that are wider than the window"
    network = Network("transposed")
    wide = ((size - 1) * stride + 1 for size, stride in zip(spatial, strides))
    image = network.add_argument(TensorType(dtype_of(x), (batch, channels, *wide)))
    turned = (group * shape_of(w)[1], channels // group, *kernel)
    data = constant_data(w)
    if data is None:
        weights = network.add_argument(TensorType(dtype_of(w), turned))
    else:
        grouped = data.numpy().reshape(group, -1, shape_of(w)[1], *kernel).swapaxes(1, 2)
        weights = network.constant(np.flip(grouped, tuple(range(3, 3 + rank))).reshape(turned))
    operands = [image, weights]
    if bias is not None:
        data = constant_data(bias)
        operands.append(network.add_argument(bias.type) if data is None else network.constant(data.numpy()))
    result = Builder(network).conv(*operands, pads=(*begins, *ends), dilations=dilations, group=group)
    assert isinstance(result, Value)
    assert result.defining_op is not None
    return _Transposed(result.defining_op, x, w, bias, tuple(strides), group)


def check_conv_transpose(operation: Operation, target: Target) -> str:
    """Why a transposed convolution has no kernel."""
    transposed = _transposed(operation)
    return transposed if isinstance(transposed, str) else check_conv(transposed.convolution, target)


def lower_conv_transpose(low: Lowering, operation: Operation) -> None:
    """The operands of the convolution, and the convolution."""
    transposed = _transposed(operation)
    assert not isinstance(transposed, str)
    image, weights, bias = (*transposed.convolution.operands, None)[:3]
    assert image is not None
    assert weights is not None
    _spread(low, transposed.x, image, transposed.strides)
    if constant_data(weights) is None:
        _turn(low, transposed.w, weights, transposed.group)
    if bias is not None and transposed.bias is not None and constant_data(bias) is None:
        low.define(bias, low.view(transposed.bias))
    lower_conv(low, transposed.convolution)
    low.define(operation.result, low.view(transposed.convolution.result))


def _spread(low: Lowering, x: Value, image: Value, strides: tuple[int, ...]) -> None:
    """The image with zeros between its pixels."""
    layout = Layout.CHANNELS_LAST if len(shape_of(x)) == IMAGE_RANK else Layout.DENSE
    itemsize = dtype_of(x).itemsize
    if shape_of(image) == shape_of(x):
        low.alias(image, low.dense(x) if layout is Layout.DENSE else low.channels_last(x), layout)
        return
    count = prod(physical_shape(shape_of(image), itemsize, layout))
    buffer = low.temporary(count * itemsize)
    fill_buffer(low, buffer, count, itemsize, 0)
    pixels = placed(buffer, image, layout).sliced((0,) * len(shape_of(x)), (1, 1, *strides), shape_of(x))
    copy(low, view_in(low, x, layout), pixels, itemsize, "spread")
    low.alias(image, buffer, layout)


def _turn(low: Lowering, w: Value, weights: Value, group: int) -> None:
    """Weights that only running tells: inputs and outputs of each group exchanged, windows turned round."""
    channels, outputs, *kernel = shape_of(w)
    itemsize = dtype_of(w).itemsize
    grouped = View.dense(low.dense(w), (group, channels // group, outputs, *kernel))
    exchanged = grouped.transposed((0, 2, 1, *range(3, 3 + len(kernel))))
    starts, steps = (0, 0, 0, *(size - 1 for size in kernel)), (1, 1, 1, *(-1 for _ in kernel))
    buffer = low.temporary(elements(w) * itemsize)
    move(low, exchanged.sliced(starts, steps, exchanged.shape), buffer, itemsize)
    low.alias(weights, buffer)


RULES = {"mm.conv_transpose": Rule(check_conv_transpose, lower_conv_transpose)}
