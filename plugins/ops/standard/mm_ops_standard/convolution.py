"""Convolutions. Images are [N, C, *spatial] of any spatial rank, weights [O, C / group, *kernel]."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array, Dim, floordiv
from mm_ops_standard.checks import require, require_bias, require_multiple, require_rank, same
from mm_ops_standard.precision import wide
from mm_ops_standard.shapes import shapes_of
from mm_ops_standard.windows import WINDOW_ATTRIBUTES, Window, blocks_added, make_window, pad_same, static, windows_of

_BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})
_INT32 = BY_NAME["int32"]
_GROUP = Attribute("group", int, 1)


def _check_channels(op: str, x: tuple[Dim, ...], w: tuple[Dim, ...], b: tuple[Dim, ...] | None, group: int) -> None:
    require_rank(op, "x", x, 3, 1000)
    require_rank(op, "w", w, len(x))
    require(group >= 1, f"{op}: group must be at least 1, not {group}")
    require_multiple(w[0], group, f"{op}: output channels in groups")
    same(x[1], w[1] * group, f"{op}: channels of x and channels that w reads (w.shape[1] * group)")
    require_bias(op, b, w[0])


class Conv(OpDef):
    """Convolution (cross-correlation) of x [N, C, *spatial] with w [O, C / group, *kernel], plus b [O] (ONNX Conv)."""

    name = "mm.conv"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("w"), Operand("b", "T", Arity.OPTIONAL))
    dtypes = {"T": FLOATS | {_INT32}}
    attributes = (*WINDOW_ATTRIBUTES, _GROUP)

    def infer(self, types: Any, values: KnownValues, *, group: int, **window: Any) -> Any:
        x, w, b = shapes_of(types)
        _check_channels(self.name, x, w, b, group)
        geometry = make_window(self.name, x[2:], w[2:], **window)
        return (x[0], w[0], *geometry.output(self.name, x[2:]))

    def reference(self, x: Array, w: Array, b: Array | None = None, *, group: int, **window: Any) -> Array:
        geometry = make_window(self.name, x.shape[2:], w.shape[2:], **window)
        output = static(geometry.output(self.name, x.shape[2:]))
        y = _convolve(wide(x), wide(w), geometry, output, group)
        if b is not None:
            y += wide(b).reshape(-1, *[1] * len(output))
        return y.astype(x.dtype)

    def decompose(self, graph: Any, x: Any, w: Any, b: Any = None, *, group: int, **geometry: Any) -> Any:
        """Automatic padding as explicit pads; where only running tells them, as an operation of its own."""
        if not geometry["auto_pad"].startswith("same"):
            return None
        window = make_window(self.name, x.type.shape[2:], w.type.shape[2:], **geometry)
        pads = (*window.begins, *window.ends)
        explicit = {**geometry, "auto_pad": "notset"}
        if all(isinstance(pad, int) for pad in pads):
            return graph.conv(x, w, b, group=group, **{**explicit, "pads": pads})
        x = pad_same(graph, x, 0, window, graph.shape(w, start=2), geometry["auto_pad"])
        return graph.conv(x, w, b, group=group, **explicit)


def _convolve(x: Array, w: Array, window: Window, output: list[int], group: int) -> Array:
    """The windows as columns, times the weights as a matrix for each group."""
    batch, rank = x.shape[0], len(output)
    columns = windows_of(x, window, output, 0).transpose(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    depth, points = prod(w.shape[1:]), prod(output)
    columns = columns.reshape(batch, group, depth, points)
    y: Array = w.reshape(1, group, w.shape[0] // group, depth) @ columns
    return y.reshape(batch, w.shape[0], *output)


class ConvTranspose(OpDef):
    """Transposed convolution: the gradient of a convolution by its input (ONNX ConvTranspose).

    w is [C, O / group, *kernel]. An output axis has stride * (size - 1) + output_padding + extent - pads elements, or
    as many as `output_shape` says, the pads then following from it.
    """

    name = "mm.conv_transpose"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("w"), Operand("b", "T", Arity.OPTIONAL))
    dtypes = {"T": FLOATS}
    attributes = (
        *WINDOW_ATTRIBUTES,
        _GROUP,
        Attribute("output_padding", (int,), ()),
        Attribute("output_shape", (int,), ()),
    )

    def infer(self, types: Any, values: KnownValues, *, group: int, **geometry: Any) -> Any:
        x, w, b = shapes_of(types)
        require_rank(self.name, "x", x, 3, 1000)
        require_rank(self.name, "w", w, len(x))
        require(group >= 1, f"{self.name}: group must be at least 1, not {group}")
        same(x[1], w[0], f"{self.name}: channels of x and of w")
        require_multiple(x[1], group, f"{self.name}: channels in groups")
        channels = w[1] * group
        require_bias(self.name, b, channels)
        return (x[0], channels, *_transposed(self.name, x[2:], w[2:], **geometry)[2])

    def reference(self, x: Array, w: Array, b: Array | None = None, *, group: int, **geometry: Any) -> Array:
        window, begins, output = _transposed(self.name, x.shape[2:], w.shape[2:], **geometry)
        places = [slice(begin, begin + count) for begin, count in zip(static(begins), static(output))]
        batch, channels = x.shape[:2]
        points = prod(x.shape[2:])
        kernels = wide(w).reshape(group, channels // group, -1).transpose(0, 2, 1)
        columns = kernels @ wide(x).reshape(batch, group, channels // group, points)
        columns = columns.reshape(batch, group * w.shape[1], *w.shape[2:], *x.shape[2:])
        reach = [
            max((size - 1) * stride + extent, place.stop)
            for size, stride, extent, place in zip(x.shape[2:], window.strides, static(window.extents), places)
        ]
        canvas = blocks_added(columns, w.shape[2:], window.strides, window.dilations, reach)
        y = canvas[:, :, *places]
        if b is not None:
            y = y + wide(b).reshape(-1, *[1] * len(output))
        return y.astype(x.dtype)

    def decompose(self, graph: Any, x: Any, w: Any, b: Any = None, *, group: int, **geometry: Any) -> Any:
        """Padding that follows from the sizes as explicit pads; by cutting afterwards where only running tells."""
        if geometry["auto_pad"] == "notset" and not geometry["output_shape"]:
            return None
        spatial, kernel = x.type.shape[2:], w.type.shape[2:]
        _, begins, wanted = _transposed(self.name, spatial, kernel, **geometry)
        plain = {**geometry, "pads": (), "auto_pad": "notset", "output_shape": ()}
        full = _transposed(self.name, spatial, kernel, **plain)[2]
        ends: list[Any] = [size - begin - target for size, begin, target in zip(full, begins, wanted)]
        if all(isinstance(pad, int) for pad in (*begins, *ends)):
            extra = plain["output_padding"] or (0,) * len(spatial)
            plain["output_padding"] = [more + max(-end, 0) for more, end in zip(extra, ends)]
            plain["pads"] = (*begins, *(max(end, 0) for end in ends))
            return graph.conv_transpose(x, w, b, group=group, **plain)
        y = graph.conv_transpose(x, w, group=group, **plain)
        over = graph.sub(graph.shape(y, start=2), np.array(wanted))
        half = graph.div(graph.maximum(over, 0), 2)
        begin = half if geometry["auto_pad"] == "same_upper" else graph.sub(graph.maximum(over, 0), half)
        pads = graph.concat(graph.neg(begin), graph.sub(begin, over), axis=0)
        y = graph.pad(y, pads, axes=range(2, 2 + len(spatial)))
        return y if b is None else graph.add(y, graph.reshape(b, [-1, *[1] * len(spatial)]))


def _transposed(
    op: str,
    spatial: tuple[Dim, ...],
    kernel: tuple[Dim, ...],
    *,
    auto_pad: str,
    output_padding: tuple[int, ...],
    output_shape: tuple[int, ...],
    pads: tuple[int, ...],
    **steps: Any,
) -> tuple[Window, tuple[Dim, ...], tuple[Dim, ...]]:
    """(window, elements cut off each axis' front, output sizes) of a transposed convolution."""
    rank = len(spatial)
    window = make_window(op, spatial, kernel, pads=pads, auto_pad="notset", **steps)
    extra = output_padding or (0,) * rank
    require(len(extra) == rank and min(extra) >= 0, f"{op}: output_padding {list(extra)} does not fit {rank} axes")
    full = tuple(
        stride * (size - 1) + more + extent
        for stride, size, more, extent in zip(window.strides, spatial, extra, window.extents)
    )
    wanted: tuple[Dim, ...] = output_shape
    if not wanted and auto_pad.startswith("same"):
        wanted = tuple(size * stride for size, stride in zip(spatial, window.strides))
    if not wanted:
        sizes = tuple(size - begin - end for size, begin, end in zip(full, window.begins, window.ends))
        require(
            all(not isinstance(size, int) or size >= 0 for size in sizes), f"{op}: pads {list(pads)} cut everything off"
        )
        return window, window.begins, sizes
    require(len(wanted) == rank, f"{op}: output_shape {list(wanted)} must have {rank} entries")
    begins = []
    for size, target in zip(full, wanted):
        total = size - target
        if isinstance(total, int):
            total = max(total, 0)
        half = floordiv(total, 2)
        begins.append(half if auto_pad == "same_upper" else total - half)
    return window, tuple(begins), wanted


class ConvInteger(OpDef):
    """Convolution of 8-bit integers after their zero points are taken off, exact in int32 (ONNX ConvInteger).

    `w_zero_point` is a scalar or one for each output channel.
    """

    name = "mm.conv_integer"
    operands = (
        Operand("x", "X"),
        Operand("w", "W"),
        Operand("x_zero_point", "X", Arity.OPTIONAL),
        Operand("w_zero_point", "W", Arity.OPTIONAL),
    )
    results = (Result("y", _INT32),)
    dtypes = {"X": _BYTES, "W": _BYTES}
    attributes = Conv.attributes

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return Conv().infer((*types[:2], None), values, **attributes)

    def reference(self, x: Array, w: Array, x_zero: Any = None, w_zero: Any = None, **attributes: Any) -> Array:
        signal, weights = x.astype(np.int32), w.astype(np.int32)
        if x_zero is not None:
            signal -= x_zero.astype(np.int32)
        if w_zero is not None:
            weights -= w_zero.astype(np.int32).reshape(-1, *[1] * (w.ndim - 1))
        return Conv().reference(signal, weights, **attributes)

    def decompose(self, graph: Any, x: Any, w: Any, x_zero: Any, w_zero: Any, **attributes: Any) -> Any:
        signal, weights = graph.cast(x, to="int32"), graph.cast(w, to="int32")
        if x_zero is not None:
            signal = graph.sub(signal, graph.cast(x_zero, to="int32"))
        if w_zero is not None:
            column = [-1] + [1] * (len(w.type.shape) - 1)
            weights = graph.sub(weights, graph.reshape(graph.cast(w_zero, to="int32"), column))
        return graph.conv(signal, weights, **attributes)


OPS: tuple[type[OpDef], ...] = (Conv, ConvTranspose, ConvInteger)
