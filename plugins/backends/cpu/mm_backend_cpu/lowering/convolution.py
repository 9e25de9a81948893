"""Convolutions and transposed convolutions in NHWC, with what follows them computed on the tile in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from mm_backend_cpu.codegen.blocking import divide_up
from mm_backend_cpu.codegen.conv import ConvSpec, Depth
from mm_backend_cpu.codegen.conv_transpose import ConvTransposeSpec, TransposedAxis, axis_phases
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.overlap import OverlapSpec, overlap
from mm_backend_cpu.codegen.winograd import ALGORITHMS, ERROR_BUDGET, is_winograd, rounding_error
from mm_backend_cpu.lowering.contraction import (
    EpilogueInputs,
    check_tail,
    epilogue_inputs,
    kernel_name,
    operands_of,
    root_and_tail,
)
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.view import channels_last_order
from mm_backend_cpu.lowering.windows import Window, window_of
from mm_backend_cpu.tuning.problems import conv_problem, conv_transpose_problem, gemm_problem
from mm_core.ir import Operation, Value
from mm_core.types import Array

OVERLAP_GAIN = 2.0
"""How many times less there must be to multiply for products to be stored before they are summed."""
SMALL_CHANNELS = 8
"""Images with fewer channels are read as they come, NCHW: there is no vector of channels to gain."""
WINOGRAD_LEVEL = 2
"""The optimisation level from which Winograd's algorithm may be chosen: its rounding errors are larger."""


def check_conv(operation: Operation) -> str:
    """Why a convolution, plain or fused, has no generated kernel."""
    return _check(operation, 3)


def check_conv_transpose(operation: Operation) -> str:
    """Why a transposed convolution, plain or fused, has no generated kernel."""
    root, _, _ = root_and_tail(operation)
    if root.attributes["auto_pad"] != "notset" or root.attributes["output_shape"]:
        return "padding by output shape"
    if reason := _check(operation, 2):
        return reason
    return "" if root.attributes["group"] == 1 else _without_phases(_transposed_axes(operation))


def _check(operation: Operation, most_axes: int) -> str:
    """What both kinds of convolution need."""
    root, alias, _ = root_and_tail(operation)
    x, w, b = operands_of(root, alias, 3)
    assert x is not None
    assert w is not None
    shape, result = shape_of(x), shape_of(root.result)
    if tensor_type(x).dtype.text != "f32":
        return f"no generated convolution of {tensor_type(x).dtype.name}"
    if constant_data(w) is None:
        return "weights known only when running"
    if not 3 <= len(shape) <= 2 + most_axes:
        return f"a convolution in {len(shape) - 2} dimensions"
    if not isinstance(shape[1], int):
        return "channels known only when running"
    if any(isinstance(dim, int) and dim <= 0 for dim in (*shape[1:], *result[1:], *shape_of(w))):
        return "an empty operand"
    if b is not None and constant_data(b) is None and shape_of(b) != result[1:2]:
        return "a bias of an unusual shape"
    window = window_of(root, alias)
    return window if isinstance(window, str) else check_tail(operation, 1)


@dataclass(frozen=True)
class Convolution:
    """A convolution as its generator wants it: what it computes, and what it reads."""

    spec: ConvSpec
    x: Value
    weights: Value
    extras: Sequence[int]
    name: str

    def unpacked(self, array: Array) -> Array:
        """The weights with the dimensions of `spec`."""
        return _with_kernel(array, (*(() if self.spec.depth.is_flat else (self.spec.depth.kernel,)), *self.spec.kernel))


def convolution_of(low: Lowering, operation: Operation) -> Convolution:
    """What an operation that `check_conv` accepts computes."""
    root, alias, _ = root_and_tail(operation)
    x, w = _image_and_weights(root, alias)
    window = window_of(root, alias)
    assert isinstance(window, Window)
    shape, groups = shape_of(x), root.attributes["group"]
    outputs: Any = shape_of(root.result)[1]
    axes = list(
        zip(shape[2:], window.kernel, window.strides, window.begins, window.ends, window.dilations, strict=True)
    )
    # Depthwise kernels have vectors of pixels in a row; for pixels by themselves the direction does not matter.
    across = groups == shape[1] == outputs or {*window.kernel, *window.strides} == {1}
    planes = _as_image(axes, (1, 1, 1, 0, 0, 1), across=across)
    layout, images, depth = _input_layout(low, x, groups), shape[0], Depth()
    if len(planes) == 3:
        size, kernel, stride, begin, end, dilation = planes.pop(0)
        if (kernel, stride, begin, end, layout) == (1, 1, 0, 0, "NHWC"):
            images = images * size
        else:
            depth = Depth(size, kernel, stride, (begin, end), dilation)
    (height, width), kernels, strides, begins, ends, dilations = zip(*planes, strict=True)
    channels: Any = shape[1]
    extras = _extras(low, operation)
    spec = ConvSpec(
        images, channels, height, width, outputs, kernels, strides, (*begins, *ends), dilations, groups, layout,
        extras.epilogue, depth=depth,
    )  # fmt: skip
    return Convolution(spec, x, w, extras.buffers, _name(operation))


def lower_conv(low: Lowering, operation: Operation) -> None:
    """A convolution. Weights are packed for the kernel that is chosen."""
    assert low.isa is not None
    conv = convolution_of(low, operation)
    winograd = []
    if low.winograd and low.opt_level >= WINOGRAD_LEVEL and is_winograd(conv.spec, low.isa):
        data = constant_data(conv.weights)
        assert data is not None
        weights = conv.unpacked(data.numpy())
        winograd = [found for found in ALGORITHMS if rounding_error(weights, found) <= ERROR_BUDGET]
    choice = low.chooser.choose(conv_problem(conv.spec, low.isa, low.chooser.threads, winograd))
    kernel = choice.kernel

    def pack(array: Array) -> Array:
        packed: Array = kernel.pack(conv.unpacked(array))
        return packed

    packed = low.packed(conv.weights, kernel.source.symbol, pack)
    source = low.view(conv.x).buffer if conv.spec.input_layout == "NCHW" else nhwc_buffer(low, conv.x)
    output = low.result(operation.result, channels_last_order(len(shape_of(operation.result))))
    low.generated(kernel.source, [source, packed, *conv.extras], [output], conv.name, choice)


def lower_conv_transpose(low: Lowering, operation: Operation) -> None:
    """A transposed convolution: the convolutions of its phases in one kernel."""
    assert low.isa is not None
    root, alias, _ = root_and_tail(operation)
    x, w = _image_and_weights(root, alias)
    images, channels = shape_of(x)[:2]
    outputs: Any = shape_of(root.result)[1]
    groups = root.attributes["group"]
    rows, columns = _transposed_axes(operation)
    wasted = _wasted(rows, columns, outputs, low.isa.lanes)
    if groups == 1 and (wasted >= OVERLAP_GAIN or _without_phases((rows, columns))):
        _lower_overlap(low, operation, rows, columns)
        return
    extras = _extras(low, operation)
    layout = _input_layout(low, x, groups)
    spec = ConvTransposeSpec(
        images, channels, outputs, rows, columns, groups, layout, extras.epilogue  # type: ignore[arg-type]
    )
    choice = low.chooser.choose(conv_transpose_problem(spec, low.isa, low.chooser.threads))
    kernel = choice.kernel

    def pack(array: Array) -> Array:
        packed: Array = kernel.pack(_with_kernel(array, (rows.kernel, columns.kernel)))
        return packed

    packed = low.packed(w, kernel.source.symbol, pack)
    source = low.view(x).buffer if layout == "NCHW" else nhwc_buffer(low, x)
    output = low.result(operation.result, channels_last_order(len(shape_of(operation.result))))
    low.generated(kernel.source, [source, packed, *extras.buffers], [output], _name(operation), choice)


def _without_phases(axes: Sequence[TransposedAxis]) -> str:
    """Why a transposed convolution cannot be computed phase by phase; empty if it can."""
    return next((phases for axis in axes if isinstance(phases := axis_phases(axis), str)), "")


def _wasted(rows: TransposedAxis, columns: TransposedAxis, outputs: int, lanes: int) -> float:
    """How many times as many vectors the phases multiply as one product of all pixels with all weights does: where
    outputs fill a small part of a vector, or most of a window lies outside of the image."""
    taps = rows.kernel * columns.kernel
    vectors = taps * divide_up(outputs, lanes) / divide_up(taps * outputs, lanes)
    for axis in (rows, columns):
        if isinstance(axis.output, int) and isinstance(axis.size, int):
            vectors *= axis.output / (axis.size * axis.stride)
    return vectors


def _lower_overlap(low: Lowering, operation: Operation, rows: TransposedAxis, columns: TransposedAxis) -> None:
    """A transposed convolution as one product of all pixels with all weights, and sums of the blocks that overlap."""
    assert low.isa is not None
    root, alias, _ = root_and_tail(operation)
    x, w = _image_and_weights(root, alias)
    images, channels = shape_of(x)[:2]
    outputs: Any = shape_of(root.result)[1]
    pixels = images * rows.size * columns.size
    block = rows.kernel * columns.kernel * outputs
    choice = low.chooser.choose(gemm_problem(GemmSpec(pixels, block, channels), low.isa, low.chooser.threads))  # type: ignore[arg-type]
    kernel = choice.kernel

    def pack(array: Array) -> Array:
        packed: Array = kernel.pack(np.moveaxis(array, 1, -1).reshape(len(array), block))
        return packed

    packed = low.packed(w, f"{kernel.source.symbol}/overlap", pack)
    products = low.temporary("f32", (pixels, block))
    low.generated(kernel.source, [nhwc_buffer(low, x), packed], [products], "gemm", choice)
    extras = _extras(low, operation)
    output = low.result(operation.result, channels_last_order(len(shape_of(operation.result))))
    sums = overlap(OverlapSpec(images, outputs, rows, columns, extras.epilogue), low.isa)
    low.generated(sums, [products, *extras.buffers], [output], _name(operation))


def nhwc_buffer(low: Lowering, value: Value) -> int:
    """A buffer that an image fills with its channels innermost."""
    return low.ordered(value, channels_last_order(len(shape_of(value)))).buffer


def _transposed_axes(operation: Operation) -> tuple[TransposedAxis, TransposedAxis]:
    """Rows and columns of a transposed convolution."""
    root, alias, _ = root_and_tail(operation)
    x, _ = _image_and_weights(root, alias)
    window = window_of(root, alias)
    assert isinstance(window, Window)
    sizes, results = shape_of(x)[2:], shape_of(root.result)[2:]
    axes = list(zip(sizes, results, window.kernel, window.strides, window.dilations, window.begins, strict=True))
    rows, columns = (TransposedAxis(*axis) for axis in _as_image(axes, (1, 1, 1, 1, 1, 0)))
    return rows, columns


def _as_image(axes: list[Any], line: tuple[int, ...], *, across: bool = False) -> list[Any]:
    """The axes of a convolution; the only one gets a `line` beside it. It runs down, so that its places can be cut into
    blocks as rows are, or `across`."""
    if len(axes) > 1:
        return axes
    return [line, *axes] if across else [*axes, line]


def _image_and_weights(root: Operation, alias: Mapping[Value, Value | None]) -> tuple[Value, Value]:
    x, w = operands_of(root, alias, 2)
    assert x is not None
    assert w is not None
    return x, w


def _with_kernel(array: Array, kernel: tuple[int, ...]) -> Array:
    """Weights whose kernel has other dimensions of size one."""
    return np.ascontiguousarray(array.reshape(*array.shape[:2], *kernel))


def _input_layout(low: Lowering, x: Value, groups: int) -> Literal["NHWC", "NCHW"]:
    """How a kernel reads an image."""
    channels = shape_of(x)[1]
    few = groups == 1 and isinstance(channels, int) and channels < SMALL_CHANNELS and low.view(x).is_dense
    return "NCHW" if few else "NHWC"


def _extras(low: Lowering, operation: Operation) -> EpilogueInputs:
    """The epilogue of a convolution."""
    root, alias, rest = root_and_tail(operation)
    bias = operands_of(root, alias, 3)[2]
    tensor = partial(nhwc_buffer, low)
    return epilogue_inputs(low, rest, alias, root.result, bias, shape_of(root.result), 1, tensor)


def _name(operation: Operation) -> str:
    root, _, rest = root_and_tail(operation)
    return kernel_name(root.name.removeprefix("mm."), rest)
