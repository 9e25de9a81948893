"""ONNX's QLinear products, written as what they stand for: dequantize, multiply, quantize again."""

from __future__ import annotations

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.rewrite import Reason, Rewriter, constant_of, rule
from mm_core.types import Array
from mm_passes_quantization.grain import FLOAT32, distances_are_bytes


@rule("mm.qlinear_matmul", "mm.qlinear_conv")
def qlinear_as_pairs(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Where weights are constant. Their product is then recognized like those of networks that have the pairs."""
    x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero, *rest = operation.operands
    is_conv = operation.name == "mm.qlinear_conv"
    weights, zeros = constant_of(weight), constant_of(w_zero)
    left, right, after = (_scale(value) for value in (x_scale, w_scale, y_scale))
    if weights is None or zeros is None or left is None or right is None or after is None:
        return "weights, scales of float32 or zero points are known only when running"
    axis = 0 if is_conv else 1
    if left.size != 1 or after.size != 1 or not (is_conv or len(weights.shape) == 2):
        return "scales for rows, or more than one matrix of weights"
    if not distances_are_bytes(weights, zeros.numpy().reshape(-1), axis):
        return "weights whose distances from their zero points need more than eight bits"
    zero = np.broadcast_to(zeros.numpy().reshape(zeros.shape if zeros.size > 1 else ()), right.shape)
    bias = rest[0] if rest else None
    if bias is not None:
        bias = rewriter.dequantize(bias, left * right, None, axis=0)
    numbers = rewriter.dequantize(x, left, x_zero)
    factors = rewriter.dequantize(weight, right, np.ascontiguousarray(zero), axis=axis)
    made = (
        rewriter.conv(numbers, factors, bias, **operation.attributes) if is_conv else rewriter.matmul(numbers, factors)
    )
    to = operation.result.type.dtype  # type: ignore[union-attr]  # it is a tensor
    rewriter.replace(operation, [rewriter.quantize(made, after, y_zero, to=to)])
    return None


def _scale(value: Value | None) -> Array | None:
    """A known scale of float32: a number without dimensions, or a vector of them."""
    data = constant_of(value)
    if data is None or data.dtype is not FLOAT32:
        return None
    return data.numpy().reshape(() if data.size == 1 else -1)
