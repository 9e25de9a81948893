"""Scales and shifts of channels move into the weights of the convolution or product beside them.

Batch normalization at inference is such a scale and shift (arXiv 1502.03167). Factors are computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, constant_of, rule, shape_of
from mm_core.types import Array

_WEIGHTED = ("mm.conv", "mm.conv_transpose", "mm.matmul")
"""What has weights that a scale and shift of its results can move into."""


@dataclass(frozen=True)
class Affine:
    """y = x * scale + shift for each channel; float64 vectors."""

    scale: Array
    shift: Array


def batch_norm_affine(operation: Operation) -> Affine | Reason:
    """The scale and shift of a batch normalization with constant statistics."""
    data = [constant_of(operand) for operand in operation.operands[1:5]]
    if any(item is None for item in data):
        return "the statistics are not constant"
    scale, bias, mean, variance = (item.numpy().astype(np.float64) for item in data if item is not None)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + operation.attributes["epsilon"])
    return Affine(factor, bias - mean * factor)


def arithmetic_affine(operation: Operation, x: Value, channels: int, axis: int) -> Affine | Reason | None:
    """The scale and shift that a mul, div, add or sub with a constant is for x; None if it is something else."""
    position = 0 if operation.operands[0] is x else 1
    data = constant_of(operation.operands[1 - position])
    if data is None or operation.operands[0] is operation.operands[1]:
        return None
    if operation.result.type != x.type:
        return "the constant broadcasts the result"
    vector = channel_vector(data.numpy(), len(shape_of(x) or ()), axis, channels)
    if vector is None:
        return "the constant is not one for each channel"
    ones, zeros = np.ones(channels), np.zeros(channels)
    kind = operation.name.removeprefix("mm.")
    if kind == "mul":
        return Affine(vector, zeros)
    if kind == "add":
        return Affine(ones, vector)
    if kind == "sub":
        return Affine(ones, -vector) if position == 0 else Affine(-ones, vector)
    if position == 1:
        return "the result divides the constant"
    with np.errstate(all="ignore"):
        return Affine(1 / vector, zeros)


def channel_vector(array: Array, rank: int, axis: int, channels: int) -> Array | None:
    """A constant that broadcasts along all axes but the channels' as a float64 vector; else None."""
    if array.ndim > rank:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(size != 1 for place, size in enumerate(shape) if place != axis % rank):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (channels,)).copy()


@rule("mm.batch_norm", "mm.mul", "mm.div", "mm.add", "mm.sub")
def affine_after(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A scale and shift after a convolution or a product with constant weights."""
    for value in operation.operands[: 1 if operation.name == "mm.batch_norm" else 2]:
        producer = None if value is None else value.defining_op
        if value is None or producer is None or producer.name not in _WEIGHTED:
            continue
        return _fold_after(rewriter, operation, producer, value)
    return None


def _fold_after(rewriter: Rewriter, operation: Operation, producer: Operation, value: Value) -> Reason | None:
    weight = constant_of(producer.operands[1])
    bias = producer.operand("b") if producer.name != "mm.matmul" else None
    if weight is None or (bias is not None and constant_of(bias) is None):
        return "the weights are not constant"
    if not weight.dtype.is_float:
        return "the weights are integers"
    if producer.name == "mm.matmul" and (len(weight.shape) != 2 or operation.name in ("mm.add", "mm.sub")):
        return None  # what is added to a product is its bias already
    if len(value.users) > 1:
        return f"the result of {producer.name} is used elsewhere too"
    shape = shape_of(value) or ()
    axis = len(shape) - 1 if producer.name == "mm.matmul" else 1
    channels = shape[axis] if shape else None
    if not isinstance(channels, int):
        return "the number of channels is not known"
    if operation.name == "mm.batch_norm":
        affine: Affine | Reason | None = batch_norm_affine(operation) if axis == 1 else "channels are not the last axis"
    else:
        affine = arithmetic_affine(operation, value, channels, axis)
    if not isinstance(affine, Affine):
        return affine
    if not (np.isfinite(affine.scale).all() and np.isfinite(affine.shift).all()):
        return "the scale or shift is not finite"
    rewriter.absorb(producer)
    dtype = weight.dtype.numpy
    scaled = _scale_outputs(producer, weight.numpy(), affine.scale)
    if producer.name == "mm.matmul":
        result = rewriter.matmul(producer.operands[0], scaled)
        if affine.shift.any():
            result = rewriter.add(result, affine.shift.astype(dtype))
    else:
        before = constant_of(bias)
        start = np.zeros(channels) if before is None else before.numpy().astype(np.float64)
        shift = (start * affine.scale + affine.shift).astype(dtype)
        result = getattr(rewriter, producer.name.removeprefix("mm."))(
            producer.operands[0], scaled, shift, **producer.attributes
        )
    rewriter.replace(operation, [result])
    return None


def _scale_outputs(producer: Operation, weight: Array, scale: Array) -> Array:
    """The weights with each output channel multiplied by its factor, in their own element type."""
    wide = weight.astype(np.float64)
    if producer.name == "mm.conv":
        wide *= scale.reshape(-1, *[1] * (weight.ndim - 1))
    elif producer.name == "mm.matmul":
        wide *= scale
    else:  # [C, O / group, *kernel]: input channels of one group read that group's outputs
        group = producer.attributes["group"]
        by_group = wide.reshape(group, -1, *weight.shape[1:])
        by_group *= scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))
    return wide.astype(weight.dtype)


@rule("mm.conv")
def batch_norm_before(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A batch normalization before a convolution that pads nothing: padding zeros would not be shifted."""
    x, w = operation.operands[:2]
    producer = None if x is None else x.defining_op
    weight, bias = constant_of(w), constant_of(operation.operand("b"))
    if x is None or producer is None or producer.name != "mm.batch_norm":
        return None
    if weight is None or (operation.operand("b") is not None and bias is None):
        return "the weights are not constant"
    if len(x.users) > 1:
        return "the result of mm.batch_norm is used elsewhere too"
    affine = batch_norm_affine(producer)
    if not isinstance(affine, Affine):
        return affine
    attributes = operation.attributes
    if (any(attributes["pads"]) or attributes["auto_pad"].startswith("same")) and affine.shift.any():
        return "the convolution pads"
    if not (np.isfinite(affine.scale).all() and np.isfinite(affine.shift).all()):
        return "the scale or shift is not finite"
    wide = weight.numpy().astype(np.float64)
    outputs, group = wide.shape[0], attributes["group"]
    by_group = wide.reshape(group, outputs // group, *wide.shape[1:])
    tail = [1] * (wide.ndim - 2)
    added = (by_group * affine.shift.reshape(group, 1, -1, *tail)).reshape(outputs, -1).sum(1)
    by_group *= affine.scale.reshape(group, 1, -1, *tail)
    start = 0 if bias is None else bias.numpy().astype(np.float64)
    dtype = weight.dtype.numpy
    rewriter.absorb(producer)
    rewriter.replace(
        operation,
        [rewriter.conv(producer.operands[0], wide.astype(dtype), (start + added).astype(dtype), **attributes)],
    )
    return None


@rule("mm.batch_norm")
def batch_norm_apart(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A batch normalization with no weights beside it: a product and a sum, which fuse with what follows."""
    x = operation.operands[0]
    producer = None if x is None else x.defining_op
    if x is None or (producer is not None and producer.name in _WEIGHTED):
        return None
    if any(user.name == "mm.conv" for user in operation.result.users):
        return None
    shape = shape_of(x)
    if shape is None or len(shape) < 2 or x.type.dtype.name != "float32":  # type: ignore[union-attr]
        return "only images in float32 are scaled and shifted as well by two operations"
    affine = batch_norm_affine(operation)
    if not isinstance(affine, Affine):
        return affine
    scale, shift = (
        vector.astype(np.float32).reshape(-1, *[1] * (len(shape) - 2)) for vector in (affine.scale, affine.shift)
    )
    rewriter.replace(operation, [rewriter.add(rewriter.mul(x, scale), shift)])
    return None


@dataclass(frozen=True)
class FoldAffine(RewritePass):
    """Batch normalization and channel-wise mul, div, add and sub move into the weights that they stand beside."""

    name: ClassVar[str] = "fold-affine"
    phase: ClassVar[Phase] = Phase.FOLD
    after: ClassVar[tuple[str, ...]] = ("simplify",)
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (affine_after, batch_norm_before, batch_norm_apart)
