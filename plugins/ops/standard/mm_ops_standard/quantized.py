"""Products of quantized tensors: integers are multiplied exactly, then scaled and quantized again."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, Arity, KnownValues, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array
from mm_ops_standard.contraction import matmul_shape
from mm_ops_standard.convolution import Conv
from mm_ops_standard.eager import Eager, sizes

_BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})
_INT32 = frozenset({BY_NAME["int32"]})


class _Quantized(OpDef):
    """y = quantize(product * (left scale * right scale)); `product` is given as integers in int32."""

    results = (Result("y", "Y"),)

    def reference(self, *operands: Array, **attributes: Any) -> Array:
        padded = [*operands, *[None] * (len(self.operands) - len(operands))]
        return np.asarray(self._compute(Eager(), *padded, to=operands[7].dtype, **attributes))

    def decompose(self, graph: Any, *operands: Any, **attributes: Any) -> Any:
        return self._compute(graph, *operands, to=operands[7].type.dtype, **attributes)

    def _compute(self, g: Any, *operands: Any, **attributes: Any) -> Any:
        raise NotImplementedError


def _requantize(g: Any, total: Any, scale: Any, y_scale: Any, y_zero: Any, to: Any) -> Any:
    real = g.mul(g.cast(total, to="float32"), g.cast(scale, to="float32"))
    return g.quantize(real, g.cast(y_scale, to="float32"), y_zero, to=to)


class QLinearMatMul(_Quantized):
    """a @ b for quantized a and b, quantized again: ONNX QLinearMatMul. Scales and zero points as in matmul_integer."""

    name = "mm.qlinear_matmul"
    operands = (
        Operand("a", "A"), Operand("a_scale", "S"), Operand("a_zero_point", "A"),
        Operand("b", "B"), Operand("b_scale", "S"), Operand("b_zero_point", "B"),
        Operand("y_scale", "S"), Operand("y_zero_point", "Y"),
    )  # fmt: skip
    dtypes = {"A": _BYTES, "B": _BYTES, "Y": _BYTES, "S": FLOATS}

    def infer(self, types: Any, values: KnownValues) -> Any:
        return matmul_shape(self.name, types[0].shape, types[3].shape)

    def _compute(
        self, g: Any, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any, y_zero: Any,
        *, to: Any,
    ) -> Any:  # fmt: skip
        vector = sizes(g, a_scale)
        by_row = len(vector) == 1 and vector[0] != 1 and len(sizes(g, a)) > 1
        rows = g.reshape(a_scale, [-1, 1]) if by_row else a_scale
        return _requantize(g, g.matmul_integer(a, b, a_zero, b_zero), g.mul(rows, b_scale), y_scale, y_zero, to)


class QLinearConv(_Quantized):
    """Convolution of quantized x and w, quantized again (ONNX QLinearConv).

    The scale and zero point of w are scalars or one for each output channel; b is int32 in steps of x_scale * w_scale.
    """

    name = "mm.qlinear_conv"
    operands = (
        Operand("x", "X"), Operand("x_scale", "S"), Operand("x_zero_point", "X"),
        Operand("w", "W"), Operand("w_scale", "S"), Operand("w_zero_point", "W"),
        Operand("y_scale", "S"), Operand("y_zero_point", "Y"), Operand("b", _INT32, Arity.OPTIONAL),
    )  # fmt: skip
    dtypes = {"X": _BYTES, "W": _BYTES, "Y": _BYTES, "S": FLOATS}
    attributes = Conv.attributes

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return Conv().infer((types[0], types[3], types[8]), values, **attributes)

    def _compute(
        self, g: Any, x: Any, x_scale: Any, x_zero: Any, w: Any, w_scale: Any, w_zero: Any, y_scale: Any, y_zero: Any,
        b: Any, *, to: Any, **attributes: Any,
    ) -> Any:  # fmt: skip
        total = g.conv_integer(x, w, x_zero, w_zero, **attributes)
        column = [-1] + [1] * (len(sizes(g, x)) - 2)
        if b is not None:
            total = g.add(total, g.reshape(b, column))
        return _requantize(g, total, g.mul(x_scale, g.reshape(w_scale, column)), y_scale, y_zero, to)


OPS: tuple[type[OpDef], ...] = (QLinearMatMul, QLinearConv)
