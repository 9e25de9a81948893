"""Convolutions: on the tensor unit, and depthwise ones on the vector unit, with what follows computed on each tile."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.arranging import Filters, arranged_filters
from mm_backend_mlu.lowering.contraction_tiling import ContractionMemory, ConvProblem, ConvTiles, conv_tiles
from mm_backend_mlu.lowering.epilogues import Contraction, Epilogue, check_epilogue, contraction_of, epilogue_of
from mm_backend_mlu.lowering.filters import packed_filters
from mm_backend_mlu.lowering.layout import Layout
from mm_backend_mlu.lowering.library import (
    bias_buffers,
    contraction_kernel,
    epilogue_buffers,
    image_shape,
    is_image,
    launch_kind,
    not_float,
    padded_vector,
    pitch_of,
    read_image,
    shape_text,
    written_image,
)
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy, fill_buffer
from mm_backend_mlu.lowering.rule import Preference, Rule
from mm_backend_mlu.lowering.values import constant_data, dtype_of, shape_of
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.lowering.window_tiling import WindowProblem, WindowTiles, window_tiles
from mm_backend_mlu.lowering.windows import Window, window_of
from mm_backend_mlu.program import BLOCK
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value
from mm_core.types import Array

FEW_CHANNELS = 8
"""Up to so many, padding them to whole lines costs more than turning patches round on chip."""
_DEPTHWISE_SUMS = 2
"""Phases in float that kernels/depthwise.h holds: the sum and a product."""


@dataclass(frozen=True)
class _Conv:
    """A convolution taken apart."""

    contraction: Contraction
    x: Value
    w: Value
    window: Window
    groups: int

    @property
    def result(self) -> Value:
        return self.contraction.root.result

    @property
    def is_depthwise(self) -> bool:
        """On the vector unit; it takes weights in float, which halves that only running tells are not."""
        channels = shape_of(self.x)[1]
        has_floats = constant_data(self.w) is not None or dtype_of(self.w).text == "f32"
        return self.groups > 1 and self.groups == channels == shape_of(self.w)[0] and has_floats


def _conv(operation: Operation) -> _Conv:
    contraction = contraction_of(operation)
    x, w = contraction.operand(0), contraction.operand(1)
    assert x is not None
    assert w is not None
    window = window_of(contraction.root, shape_of(x)[2:], shape_of(w)[2:])
    return _Conv(contraction, x, w, window, contraction.root.attributes["group"])


def _conv_tiles(conv: _Conv, epilogue: Epilogue, target: Target, planar: bool = False) -> ConvTiles | None:
    batch, channels, height, width = image_shape(conv.result)
    stored = pitch_of(conv.result) - (conv.groups - 1) * (channels // conv.groups)
    window = conv.window
    problem = ConvProblem(
        batch, height, width, shape_of(conv.w)[1], stored, conv.groups,
        window.kernel, window.strides, window.dilations, dtype_of(conv.x).itemsize, constant_data(conv.w) is None,
        planar,
    )  # fmt: skip
    return conv_tiles(problem, epilogue.cost, target)


def _depthwise_tiles(conv: _Conv, epilogue: Epilogue, target: Target) -> WindowTiles | None:
    batch, _, height, width = image_shape(conv.result)
    window = conv.window
    problem = WindowProblem(
        batch, height, width, pitch_of(conv.result),
        window.kernel, window.strides, window.dilations, dtype_of(conv.x).itemsize,
    )  # fmt: skip
    return window_tiles(problem, True, _DEPTHWISE_SUMS, True, epilogue.cost, target)


def check_conv(operation: Operation, target: Target) -> str:
    """Why a convolution, plain or fused, has no kernel."""
    contraction = contraction_of(operation)
    x, w = contraction.operand(0), contraction.operand(1)
    assert x is not None
    assert w is not None
    reason = not_float(x, w)
    if reason:
        return reason
    if not is_image(x):
        return f"a convolution in {len(shape_of(x)) - 2} dimensions"
    if 0 in shape_of(w) or 0 in shape_of(x):
        return "an empty operand"
    conv = _conv(operation)
    reason = check_epilogue(contraction)
    if reason:
        return reason
    epilogue = epilogue_of(contraction)
    tiles = _depthwise_tiles(conv, epilogue, target) if conv.is_depthwise else _conv_tiles(conv, epilogue, target)
    if tiles is None:
        return f"a convolution of {list(shape_of(x))} by {list(shape_of(w))} fits no tiling of {target.arch}"
    return ""


def lower_conv(low: Lowering, operation: Operation) -> None:
    """A convolution as one launch, on images that lie channels last."""
    conv = _conv(operation)
    epilogue = epilogue_of(conv.contraction)
    bias = bias_buffers(low, conv.contraction.kernel_bias, pitch_of(conv.result))
    planar = _is_planar(low, conv, epilogue)
    kernel, weights, tasks, kind = (
        _depthwise(low, conv, epilogue) if conv.is_depthwise else _dense(low, conv, epilogue, planar)
    )
    values = epilogue_buffers(low, epilogue, pitch_of(conv.result), lambda value: read_image(low, value))
    x = low.dense(conv.x) if planar else read_image(low, conv.x)
    with written_image(low, operation.result) as y:
        low.launch(kernel, [x, weights, *bias, *values], [y], tasks, kind)


def _is_planar(low: Lowering, conv: _Conv, epilogue: Epilogue) -> bool:
    """Whether an image of few channels is read as it comes, channels first."""
    if conv.groups > 1 or shape_of(conv.x)[1] > FEW_CHANNELS or low.layout(conv.x) is not Layout.DENSE:
        return False
    return _conv_tiles(conv, epilogue, low.target, planar=True) is not None


def _dense(low: Lowering, conv: _Conv, epilogue: Epilogue, planar: bool) -> tuple[Kernel, int, int, int]:
    tiles = _conv_tiles(conv, epilogue, low.target, planar)
    assert tiles is not None
    batch, _, height, width = image_shape(conv.x)
    _, channels, result_height, result_width = image_shape(conv.result)
    depth, outputs = shape_of(conv.w)[1], channels // conv.groups
    pitch = pitch_of(conv.result)
    stored = pitch - (conv.groups - 1) * outputs
    text = shape_text(
        "ConvShape",
        {
            "n": batch, "h": height, "w": width, "c": depth,
            "oh": result_height, "ow": result_width, "o": outputs, "groups": conv.groups,
            **conv.window.fields(),
            "x_pitch": pitch_of(conv.x), "y_pitch": pitch, "by_tap": tiles.by_tap, "planar": planar,
            "tile_h": tiles.h, "tile_w": tiles.w, "tile_o": tiles.o, "tile_c": tiles.c,
            "epilogue": epilogue.cost.sizes(tiles.h * tiles.w * tiles.o, tiles.o),
        },
    )  # fmt: skip
    note = (
        f"{list(shape_of(conv.x))} by {list(shape_of(conv.w))}, tiles of {tiles.h} x {tiles.w} x {tiles.o}, "
        f"{tiles.c} channels{', tap by tap' if tiles.by_tap else ''}"
    )
    memory = tiles.on_chip
    kernel = contraction_kernel("conv", ("x", "w", "y"), conv.contraction, epilogue, memory, text, note)
    kh, kw = conv.window.kernel
    if constant_data(conv.w) is None:
        filters = Filters(conv.groups, outputs, depth, kh * kw, stored, tiles.c, tiles.by_tap)
        weights = arranged_filters(low, low.dense(conv.w), filters, dtype_of(conv.w).itemsize)
        return kernel, weights, memory.tasks, launch_kind(memory)

    def pack(array: Array) -> Array:
        filters = array.reshape(conv.groups, outputs, depth, kh, kw).transpose(0, 1, 3, 4, 2)
        return packed_filters(filters, stored, tiles.o, tiles.c, tiles.by_tap)

    key = ("conv", conv.groups, stored, tiles.o, tiles.c, tiles.by_tap)
    return kernel, low.packed(conv.w, key, pack), memory.tasks, launch_kind(memory)


def _depthwise(low: Lowering, conv: _Conv, epilogue: Epilogue) -> tuple[Kernel, int, int, int]:
    tiles = _depthwise_tiles(conv, epilogue, low.target)
    assert tiles is not None
    pitch = pitch_of(conv.x)
    text = shape_text("WindowShape", window_fields(conv.x, conv.result, conv.window, tiles, epilogue))
    note = f"{list(shape_of(conv.x))} by {list(shape_of(conv.w))}, tiles of {tiles.h} x {tiles.w} x {tiles.c}"
    memory = ContractionMemory(tiles.nram, 0, 0, tiles.tasks)
    kernel = contraction_kernel(
        "depthwise", ("x", "w", "y"), conv.contraction, epilogue, memory, text, note, right="float"
    )
    if constant_data(conv.w) is None:
        return kernel, _turned(low, conv, pitch), tiles.tasks, BLOCK

    def pack(array: Array) -> Array:
        taps = array.reshape(array.shape[0], -1).T.astype(np.float32)
        return np.stack([padded_vector(tap, pitch) for tap in taps])

    return kernel, low.packed(conv.w, ("depthwise", pitch), pack), tiles.tasks, BLOCK


def _turned(low: Lowering, conv: _Conv, pitch: int) -> int:
    """Weights of a depthwise convolution that only running tells, as [tap][pitch]."""
    channels, taps = shape_of(conv.w)[0], prod(conv.window.kernel)
    buffer = low.temporary(taps * pitch * 4)
    fill_buffer(low, buffer, taps * pitch, 4, 0)
    source = View.dense(low.dense(conv.w), (channels, taps)).transposed((1, 0))
    copy(low, source, View(buffer, source.shape, (pitch, 1)), 4, "turn")
    return buffer


def window_fields(
    x: Value, y: Value, window: Window, tiles: WindowTiles, epilogue: Epilogue | None = None
) -> dict[str, int | dict[str, int]]:
    """The fields of `mm::WindowShape`."""
    batch, _, height, width = image_shape(x)
    _, _, result_height, result_width = image_shape(y)
    wants = {"channels": 0, "tensors": 0, "scratch": 0}
    if epilogue is not None:
        wants = epilogue.cost.sizes(tiles.h * tiles.w * tiles.c, tiles.c)
    return {
        "n": batch, "h": height, "w": width, "pitch": pitch_of(x), "oh": result_height, "ow": result_width,
        **window.fields(), "bottom": window.ends[0], "right": window.ends[1],
        "tile_h": tiles.h, "tile_w": tiles.w, "tile_c": tiles.c, "epilogue": wants,
    }  # fmt: skip


_CONV = Rule(check_conv, lower_conv, Preference.CHANNELS_LAST)
RULES = {"mm.conv": _CONV, "fused:conv": _CONV}
