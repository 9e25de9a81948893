"""Quantization: real numbers as small ones times a scale, for a tensor, a channel or a block of elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import (
    FLOATS,
    INTEGERS,
    SMALL_FLOATS,
    SMALL_INTEGERS,
    Arity,
    Attribute,
    KnownValues,
    OpDef,
    Operand,
    Result,
    Tier,
    lookup,
)
from mm_core.types import BY_NAME, Array, Dim, DType, as_dtype, ceildiv
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.precision import wide
from mm_ops_standard.shapes import axis_of

_QUANTIZED = SMALL_FLOATS | SMALL_INTEGERS | frozenset(dtype for dtype in INTEGERS if dtype.bits <= 32)
_UINT8, _FLOAT32 = BY_NAME["uint8"], BY_NAME["float32"]
_GRAIN = (Attribute("axis", int, 1), Attribute("block_size", int, 0))


def _check_grain(op: str, x: tuple[Dim, ...], scale: tuple[Dim, ...], zero: Any, axis: int, block_size: int) -> None:
    """Scale and zero point are for the tensor (one element), for each index of `axis`, or for each block along it."""
    require(block_size >= 0, f"{op}: block_size must not be negative, it is {block_size}")
    if block_size:
        place = axis_of(op, axis, len(x))
        require_rank(op, "scale", scale, len(x))
        for index, (left, right) in enumerate(zip(scale, x)):
            wanted = ceildiv(right, block_size) if index == place else right
            same(left, wanted, f"{op}: sizes of the scale and numbers of blocks along axis {index}")
    else:
        require_rank(op, "scale", scale, 0, 1)
        if len(scale) == 1 and scale[0] != 1:
            same(scale[0], x[axis_of(op, axis, len(x))], f"{op}: scales and elements along axis {axis}")
    if zero is not None:
        # One element may be written as a scalar or as a vector of it.
        single = all(shape in ((), (1,)) for shape in (zero.shape, scale))
        require_rank(op, "zero_point", zero.shape, *((0, 1) if single else (len(scale),)))
        for left, right in () if single else zip(zero.shape, scale):
            same(left, right, f"{op}: sizes of the zero point and the scale")


def _spread(vector: Array, shape: tuple[int, ...], axis: int, block_size: int) -> Array:
    """Scales or zero points shaped to broadcast over x."""
    if block_size:
        axis %= len(shape)
        return np.repeat(vector, block_size, axis)[tuple(map(slice, shape))]
    if vector.size == 1:
        return vector.reshape(())
    return vector.reshape(-1, *[1] * (len(shape) - 1 - axis % len(shape)))


class Quantize(OpDef):
    """round(x / scale) + zero_point, halves to even, in the range of the type `to` (ONNX QuantizeLinear).

    `scale` is for the whole tensor, for each index of `axis`, or for each block of `block_size` elements along it.
    Float types take x / scale cast to them; `saturate` bounds float8 to its finite values.
    """

    name = "mm.quantize"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("scale", "S"), Operand("zero_point", "Q", Arity.OPTIONAL))
    results = (Result("y", "@to"),)
    dtypes = {"T": FLOATS | {BY_NAME["int32"]}, "S": FLOATS | SMALL_FLOATS | {BY_NAME["int32"]}, "Q": _QUANTIZED}
    attributes = (Attribute("to", DType, "uint8"), *_GRAIN, Attribute("saturate", bool, True))

    def infer(self, types: Any, values: KnownValues, *, to: DType, axis: int, block_size: int, saturate: bool) -> Any:
        x, scale, zero = types
        require(to in _QUANTIZED, f"{self.name}: {to.name} is not a quantized type")
        if zero is not None:
            require(zero.dtype is to, f"{self.name}: the zero point is {zero.dtype.name}, the result {to.name}")
        _check_grain(self.name, x.shape, scale.shape, zero, axis, block_size)
        return x.shape

    def reference(
        self,
        x: Array,
        scale: Array,
        zero_point: Array | None = None,
        *,
        to: DType,
        axis: int,
        block_size: int,
        saturate: bool,
    ) -> Array:
        steps = _spread(_real(scale), x.shape, axis, block_size)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.asarray(_real(x) / steps)
        if to.is_float:
            cast = lookup("mm.cast")
            return np.asarray(cast.reference(ratio, to=to, saturate=saturate, round_mode="up"))
        rounded = np.rint(ratio)
        if zero_point is not None:
            rounded = rounded + _spread(zero_point.astype(ratio.dtype), x.shape, axis, block_size)
        low, high = integer_range(to)
        inside = np.asarray(np.clip(np.nan_to_num(rounded, nan=0), low, high))
        return inside.astype(np.int64).astype(to.numpy)

    def decompose(self, graph: Any, x: Any, scale: Any, zero_point: Any = None, **how: Any) -> Any:
        """Numbers and scales in one type, float32 or float64, if they are not so already."""
        if x.type.dtype is scale.type.dtype and scale.type.dtype in FLOATS:
            return None
        return graph.quantize(_real_value(graph, x, scale), _real_value(graph, scale, x), zero_point, **how)


def _real_value(graph: Any, value: Any, other: Any) -> Any:
    """The numbers in float32, or float64 where they or others are."""
    wanted = BY_NAME["float64"] if BY_NAME["float64"] in (value.type.dtype, other.type.dtype) else _FLOAT32
    return value if value.type.dtype is wanted else graph.cast(value, to=wanted)


def _real(array: Array) -> Array:
    """The numbers in float32, or float64 where they are."""
    return array if array.dtype == np.float64 else array.astype(np.float32)


def integer_range(dtype: DType) -> tuple[int, int]:
    """The least and the largest value of an integer type."""
    if dtype.kind == "unsigned":
        return 0, 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1


class Dequantize(OpDef):
    """(x - zero_point) * scale as type `to`, by default the scale's (ONNX DequantizeLinear). Grains as in quantize."""

    name = "mm.dequantize"
    tier = Tier.DEVICE
    operands = (Operand("x", "Q"), Operand("scale", "S"), Operand("zero_point", "Q", Arity.OPTIONAL))
    results = (Result("y", None),)
    dtypes = {"Q": _QUANTIZED, "S": FLOATS | SMALL_FLOATS}
    attributes = (Attribute("to", DType, None), *_GRAIN)

    def infer(self, types: Any, values: KnownValues, *, to: DType | None, axis: int, block_size: int) -> Any:
        x, scale, zero = types
        _check_grain(self.name, x.shape, scale.shape, zero, axis, block_size)
        return x.with_dtype(to or scale.dtype)

    def reference(
        self,
        x: Array,
        scale: Array,
        zero_point: Array | None = None,
        *,
        to: DType | None,
        axis: int,
        block_size: int,
    ) -> Array:
        # int32 is exact only in wider steps than float32 has.
        steps = np.float64 if as_dtype(x.dtype).bits == 32 else np.float32
        number = x.astype(steps)
        if zero_point is not None:
            number = number - _spread(zero_point.astype(steps), x.shape, axis, block_size)
        y = number.astype(_real(scale).dtype) * _spread(_real(scale), x.shape, axis, block_size)
        return np.asarray(y).astype(scale.dtype if to is None else to.numpy)

    def decompose(self, graph: Any, x: Any, scale: Any, zero_point: Any = None, *, to: Any, **grain: Any) -> Any:
        """The result in the scale's type, float32 if that is small, and then cast."""
        if scale.type.dtype in FLOATS and to in (None, scale.type.dtype):
            return None
        y = graph.dequantize(x, _real_value(graph, scale, scale), zero_point, **grain)
        return graph.cast(y, to=to or scale.type.dtype)


class DynamicQuantize(OpDef):
    """x as uint8 with the scale and zero point that its own range asks for (ONNX DynamicQuantizeLinear).

    Results: the quantized tensor, the scale and the zero point. The range always holds zero; an empty one has scale 1.
    """

    name = "mm.dynamic_quantize"
    operands = (Operand("x"),)
    results = (Result("y", _UINT8), Result("scale", _FLOAT32), Result("zero_point", _UINT8))
    dtypes = {"T": frozenset({_FLOAT32})}

    def infer(self, types: Any, values: KnownValues) -> Any:
        return [types[0].shape, (), ()]

    def reference(self, x: Array) -> tuple[Array, ...]:
        signal = wide(x)
        high, low = signal.max(initial=0), signal.min(initial=0)
        scale = np.float32(1.0) if high == low else (high - low) / np.float32(255)
        zero = np.rint(np.clip(-low / scale, 0, 255)).astype(np.uint8)
        settings = lookup("mm.quantize").normalize_attributes({"to": "uint8"})
        y = lookup("mm.quantize").reference(x, np.asarray(scale), np.asarray(zero), **settings)
        return y, np.asarray(scale, np.float32), np.asarray(zero)

    def decompose(self, graph: Any, x: Any) -> Any:
        high = graph.maximum(graph.reduce_max(x, axes=None, keepdims=False), 0.0)
        low = graph.minimum(graph.reduce_min(x, axes=None, keepdims=False), 0.0)
        span = graph.sub(high, low)
        scale = graph.select(graph.equal(span, 0.0), 1.0, graph.div(span, 255.0))
        zero = graph.round(graph.minimum(graph.maximum(graph.div(graph.neg(low), scale), 0.0), 255.0))
        zero = graph.cast(zero, to="uint8")
        return graph.quantize(x, scale, zero, to="uint8"), scale, zero


OPS: tuple[type[OpDef], ...] = (Quantize, Dequantize, DynamicQuantize)
