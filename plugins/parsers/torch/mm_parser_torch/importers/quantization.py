"""What quantized programs hold: tensors quantized and dequantized for a tensor, a channel, a token or a group."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mm_core.ir import Graph, Value
from mm_core.rewrite import constant_of
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, as_value, axis_of, cast, dtype, rank
from mm_parser_torch.sizes import Size, reshape, size_of, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_FLOAT, _WIDE = BY_NAME["float32"], BY_NAME["float64"]
_LIBRARY = "quantized_decomposed"
_PER_TENSOR = ("default", "tensor", "tensor2")
_CODES = frozenset(BY_NAME[name] for name in ("int8", "uint8", "int32"))
"""Types that `mm.dequantize` takes; those of one byte are what `mm.quantize` is asked for."""


def _numbers(g: Graph, value: Any, to: DType) -> Any:
    """A scale, zero point or limit in a type. Constants are converted here: passes look for them as they stand."""
    data = constant_of(value) if isinstance(value, Value) else None
    return as_value(g, value, to) if data is None else g.constant(data.numpy().astype(to.numpy), to)


def _single(g: Graph, value: Any, to: DType) -> Any:
    """The same as a scalar."""
    found = _numbers(g, value, to)
    if not rank(found):
        return found
    data = constant_of(found)
    return g.reshape(found, []) if data is None else g.constant(data.numpy().reshape(()), to)


def _number(value: Any) -> float | None:
    """A scale, zero point or limit that is known while parsing."""
    data = constant_of(value) if isinstance(value, Value) else None
    if data is not None and data.size == 1:
        return float(data.numpy().reshape(()))
    return None if isinstance(value, Value) else float(value)


# --- quantize ---------------------------------------------------------------------------------------------------------


@op(*(f"{_LIBRARY}.quantize_per_tensor.{overload}" for overload in _PER_TENSOR))
def quantize_per_tensor(
    g: Graph, call: Call, x: Value, scale: Any, zero_point: Any, low: Any, high: Any, to: Any
) -> Any:
    """PyTorch multiplies by 1 / scale. Where that is known, `mm.quantize` rounds: backends count with its codes."""
    step, zero, least, most = map(_number, (scale, zero_point, low, high))
    codes = call.dtype()
    if step is None or zero is None or least is None or most is None or codes not in _CODES or codes.bits > 8:
        # The reciprocal is a number of Python's, of float64.
        inverse = g.cast(g.reciprocal(_single(g, scale, _WIDE)), to=_FLOAT)
        return _quantize(g, call, x, inverse, _single(g, zero_point, _FLOAT), low, high)
    steps = g.mul(cast(g, x, _FLOAT), 1.0 / step)
    limits = np.iinfo(codes.numpy)
    if (least, most) != (limits.min, limits.max):
        steps = g.clip(steps, least - zero, most - zero)
    return g.quantize(steps, g.constant(1.0, _FLOAT), g.constant(int(zero), codes), to=codes)


@op(f"{_LIBRARY}.quantize_per_channel.default")
def quantize_per_channel(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value, axis: int, low: int, high: int, to: Any
) -> Any:
    scale, zero = (_along(g, _numbers(g, value, _FLOAT), x, axis) for value in (scales, zero_points))
    return _quantize(g, call, x, g.reciprocal(scale), zero, low, high)


def _quantize(g: Graph, call: Call, x: Value, inverse: Value, zero: Value, low: Any, high: Any) -> Any:
    """round(x * inverse) + zero point, kept within limits."""
    code = g.add(g.round(g.mul(cast(g, x, _FLOAT), inverse)), zero)
    return g.cast(g.clip(code, *(_single(g, limit, _FLOAT) for limit in (low, high))), to=call.dtype())


def _along(g: Graph, vector: Value, x: Value, axis: int) -> Any:
    """A vector shaped to stand along one of x's axes."""
    return g.reshape(vector, [-1, *[1] * (rank(x) - 1 - axis_of(x, axis))])


@op(f"{_LIBRARY}.quantize_per_token.default")
def quantize_per_token(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value, low: int, high: int, to: Any
) -> Any:
    return _quantize_rows(g, call, x, scales, zero_points, low, high)


@op(f"{_LIBRARY}.quantize_per_channel_group.default")
def quantize_per_channel_group(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value, low: int, high: int, to: Any, group: int
) -> Any:
    rows, scale, zero = _grouped(g, x, group, scales, zero_points)
    return reshape(g, _quantize_rows(g, call, rows, scale, zero, low, high), sizes_of(g, x))


def _quantize_rows(g: Graph, call: Call, x: Value, scale: Value, zero: Value, low: int, high: int) -> Any:
    """Here the zero point is added before rounding; float64 scales make the whole of it float64."""
    wide = _WIDE if _WIDE in (dtype(scale), dtype(x)) else _FLOAT
    steps = g.mul(cast(g, x, wide), cast(g, g.reciprocal(scale), wide))
    code = g.round(g.add(steps, cast(g, zero, wide)))
    return g.cast(g.clip(code, *(as_value(g, limit, wide) for limit in (low, high))), to=call.dtype())


def _grouped(g: Graph, x: Value, group: int, *grains: Value | None) -> list[Any]:
    """x as rows of one group each, and what counts for a group as a column."""
    width = size_of(g, x, 1)
    size: Size = width if isinstance(width, int) and group > width else group
    return [reshape(g, x, [-1, size]), *(None if grain is None else g.reshape(grain, [-1, 1]) for grain in grains)]


# --- dequantize -------------------------------------------------------------------------------------------------------


@op(*(f"{_LIBRARY}.dequantize_per_tensor.{overload}" for overload in _PER_TENSOR))
def dequantize_per_tensor(
    g: Graph, call: Call, x: Value, scale: Any, zero_point: Any, low: Any, high: Any, to: Any, out_dtype: Any
) -> Any:
    return _dequantize(g, call, x, scale, zero_point, None)


@op(f"{_LIBRARY}.dequantize_per_channel.default")
def dequantize_per_channel(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value | None, axis: int, *limits: Any
) -> Any:
    return _dequantize(g, call, x, scales, zero_points, axis)


def _dequantize(g: Graph, call: Call, x: Value, scale: Any, zero_point: Any, axis: int | None) -> Any:
    """One operator where the zero point has the codes' type, as constants do: backends compute with the codes."""
    own = dtype(x)
    prepare = _single if axis is None else _numbers
    scales = prepare(g, scale, _FLOAT)
    if own not in _CODES or (isinstance(zero_point, Value) and dtype(zero_point).is_float):
        zeros = prepare(g, 0 if zero_point is None else zero_point, _FLOAT)
        if axis is not None:
            scales, zeros = (_along(g, value, x, axis) if rank(value) else value for value in (scales, zeros))
        return cast(g, g.mul(g.sub(g.cast(x, to=_FLOAT), zeros), scales), call.dtype())
    zero = None if zero_point is None else prepare(g, zero_point, own)
    return cast(g, g.dequantize(x, scales, zero, axis=0 if axis is None else axis_of(x, axis)), call.dtype())


@op(f"{_LIBRARY}.dequantize_per_token.default")
def dequantize_per_token(g: Graph, call: Call, x: Value, scales: Value, zero_points: Value, *limits: Any) -> Any:
    return _dequantize_rows(g, call, x, scales, zero_points)


@op(f"{_LIBRARY}.dequantize_per_channel_group.default")
def dequantize_per_channel_group(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value | None, low: int, high: int, to: Any, group: int,
    out_dtype: Any,
) -> Any:  # fmt: skip
    rows, scale, zero = _grouped(g, x, group, scales, zero_points)
    return reshape(g, _dequantize_rows(g, call, rows, scale, zero), sizes_of(g, x))


def _dequantize_rows(g: Graph, call: Call, x: Value, scale: Value, zero: Value | None) -> Any:
    """(x - zero point) * scale in the scale's type, which is float64 where the program chose it."""
    distance = cast(g, x, dtype(scale))
    if zero is not None:
        distance = g.sub(distance, cast(g, zero, dtype(scale)))
    return cast(g, g.mul(distance, scale), call.dtype())


# --- scales found while running ---------------------------------------------------------------------------------------


@op(f"{_LIBRARY}.choose_qparams.tensor")
def choose_qparams(g: Graph, call: Call, x: Value, low: int, high: int, epsilon: float, to: Any) -> Any:
    """Scale and zero point, each a vector of one, that take the tensor's range, with zero in it, to the codes."""
    least, most = _range(g, x)
    scale = g.maximum(g.div(g.sub(most, least), float(high - low)), float(epsilon))
    zero = g.clip(g.sub(float(low), g.round(g.div(least, scale))), float(low), float(high))
    return g.cast(scale, to=call.dtype(0)), g.cast(zero, to=call.dtype(1))


@op(f"{_LIBRARY}.choose_qparams_symmetric.tensor")
def choose_qparams_symmetric(g: Graph, call: Call, x: Value, low: int, high: int, epsilon: float, to: Any) -> Any:
    """The side of the range that is longer counts for both; codes without a sign have zero in the middle."""
    least, most = _range(g, x)
    scale = g.maximum(g.div(g.maximum(g.neg(least), most), (high - low) / 2), float(epsilon))
    return g.cast(scale, to=call.dtype(0)), g.constant([128 if to is torch.uint8 else 0], call.dtype(1))


def _range(g: Graph, x: Value) -> list[Value]:
    """The least and the greatest element, with zero between them, each a vector of one."""
    wide = g.reshape(cast(g, x, _FLOAT), [-1])
    found = g.reduce_min(wide, axes=(0,), keepdims=True), g.reduce_max(wide, axes=(0,), keepdims=True)
    return [g.minimum(found[0], 0.0), g.maximum(found[1], 0.0)]
