"""What PT2E quantization writes: tensors quantized and dequantized, per tensor, per channel and per token."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, as_value, axis_of, cast, dtype, rank
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_FLOAT = BY_NAME["float32"]
_LIBRARY = "quantized_decomposed"
_PER_TENSOR = ("default", "tensor", "tensor2")


@op(*(f"{_LIBRARY}.quantize_per_tensor.{overload}" for overload in _PER_TENSOR))
def quantize_per_tensor(
    g: Graph, call: Call, x: Value, scale: Any, zero_point: Any, low: Any, high: Any, to: Any
) -> Any:
    return _quantize(g, call, x, _scalar(g, scale, _FLOAT), _scalar(g, zero_point, _FLOAT), low, high)


def _scalar(g: Graph, value: Any, to: DType) -> Any:
    found = as_value(g, value, to)
    return g.reshape(found, []) if rank(found) else found


@op(f"{_LIBRARY}.quantize_per_channel.default")
def quantize_per_channel(
    g: Graph, call: Call, x: Value, scales: Value, zero_points: Value, axis: int, low: int, high: int, to: Any
) -> Any:
    scale, zero = (_along(g, cast(g, value, _FLOAT), x, axis) for value in (scales, zero_points))
    return _quantize(g, call, x, scale, zero, low, high)


def _quantize(g: Graph, call: Call, x: Value, scale: Value, zero: Value, low: Any, high: Any) -> Any:
    """round(x * (1 / scale)) + zero point, kept within limits: PyTorch multiplies by the reciprocal."""
    code = g.add(g.round(g.mul(cast(g, x, _FLOAT), g.reciprocal(scale))), zero)
    limits = (_scalar(g, limit, _FLOAT) for limit in (low, high))
    return g.cast(g.clip(code, *limits), to=call.dtype())


def _along(g: Graph, vector: Value, x: Value, axis: int) -> Any:
    """A vector shaped to stand along one of x's axes."""
    return g.reshape(vector, [-1, *[1] * (rank(x) - 1 - axis_of(x, axis))])


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
    scales = as_value(g, scale, _FLOAT)
    if axis is None:
        scales = _scalar(g, scales, _FLOAT)
    fits = own.name in ("int8", "uint8", "int32") and not (isinstance(zero_point, Value) and dtype(zero_point).is_float)
    if not fits:
        zeros = as_value(g, zero_point if zero_point is not None else 0, _FLOAT)
        if axis is not None:
            scales, zeros = (_along(g, value, x, axis) if rank(value) else value for value in (scales, zeros))
        return cast(g, g.mul(g.sub(g.cast(x, to=_FLOAT), zeros), scales), call.dtype())
    zero = None if zero_point is None else as_value(g, zero_point, own)
    if axis is None and zero is not None:
        zero = _scalar(g, zero, own)
    return cast(g, g.dequantize(x, scales, zero, axis=0 if axis is None else axis_of(x, axis)), call.dtype())


@op(f"{_LIBRARY}.choose_qparams.tensor")
def choose_qparams(g: Graph, call: Call, x: Value, low: int, high: int, epsilon: float, to: Any) -> Any:
    """Scale and zero point that take the tensor's range, with zero in it, to the codes."""
    least = g.minimum(g.reduce_min(x, keepdims=False), 0.0)
    most = g.maximum(g.reduce_max(x, keepdims=False), 0.0)
    scale = g.maximum(g.div(g.sub(most, least), float(high - low)), float(epsilon))
    zero = g.clip(g.sub(float(low), g.round(g.div(least, scale))), float(low), float(high))
    return g.cast(scale, to=call.dtype(0)), g.cast(zero, to=call.dtype(1))
