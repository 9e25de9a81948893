"""The scale and zero point of a quantized tensor, where they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mm_core.ir import Builder, Operation, Value
from mm_core.rewrite import constant_of
from mm_core.types import BY_NAME, Array, DType, TensorData, TensorType

BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})
"""The types that contractions of integers take."""
FLOAT32 = BY_NAME["float32"]


@dataclass(frozen=True)
class Grain:
    """One scale and zero point for all of a tensor of `dtype`."""

    dtype: DType
    scale: float
    zero_point: int


def grain_of(operation: Operation | None) -> Grain | None:
    """How an `mm.quantize` to bytes or `mm.dequantize` of them to float32 counts; None for anything else."""
    if operation is None or operation.name not in ("mm.quantize", "mm.dequantize"):
        return None
    x, scale, *rest = operation.operands
    assert x is not None
    small, real = (operation.result, x) if operation.name == "mm.quantize" else (x, operation.result)
    steps, zero = constant_of(scale), rest[0] if rest else None
    offset = constant_of(zero)
    if not isinstance(small.type, TensorType) or small.type.dtype not in BYTES:
        return None
    if not isinstance(real.type, TensorType) or real.type.dtype is not FLOAT32:
        return None
    if steps is None or steps.size != 1 or steps.dtype is not FLOAT32:
        return None
    if zero is not None and (offset is None or offset.size != 1):
        return None
    number = float(steps.numpy().reshape(()))
    if not (np.isfinite(number) and number > 0.0):
        return None
    return Grain(small.type.dtype, number, 0 if offset is None else int(offset.numpy().reshape(())))


def distances_are_bytes(weights: TensorData, zeros: Array, axis: int) -> bool:
    """Whether what constant bytes are away from their zero points, one or one for each index of an axis, fits s8."""
    if weights.dtype is BY_NAME["int8"] and not zeros.any():
        return True
    distances = np.moveaxis(weights.numpy().astype(np.int16), axis, -1) - zeros.astype(np.int16)
    return bool(distances.min(initial=0) >= -128 and distances.max(initial=0) <= 127)


def dequantized(value: Value | None) -> Operation | None:
    """The `mm.dequantize` of bytes, with one known grain, that made a value."""
    maker = None if value is None else value.defining_op
    if maker is None or maker.name != "mm.dequantize" or grain_of(maker) is None:
        return None
    return maker


def own(maker: Operation, user: Operation, index: int) -> Operation:
    """The maker of an operand if this is its only use, else a copy for it."""
    if len(maker.result.uses) == 1:
        return maker
    assert user.parent is not None
    copy = Builder(user.parent, user, maker.locations).create(
        maker.definition, maker.operands, maker.attributes, result_types=[maker.result.type]
    )
    user.set_operand(index, copy.result)
    return copy
