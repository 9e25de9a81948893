"""Numbers as small whole ones times a scale, and back, by generated loops."""

from __future__ import annotations

from mm_backend_mlu.codegen.expression import FLOATS, Ref
from mm_backend_mlu.lowering.elementwise import emit_loop
from mm_backend_mlu.lowering.expressions import ExpressionBuilder
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.values import constant_data, dtype_of, elements, shape_of, source
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value

_EXACT = ("i8", "ui8", "i16", "ui16")
"""Types whose numbers, and differences of them, float holds exactly."""


def check_quantization(operation: Operation, target: Target) -> str:
    """Why a quantization, or what takes it back, has no generated loop."""
    number, small = source(operation), operation.result
    if operation.name == "mm.dequantize":
        number, small = small, number
    for value in (number, _scale(operation)):
        if dtype_of(value).text not in FLOATS:
            return f"no code for {operation.name} with numbers of type {dtype_of(value).name}"
    is_bias = operation.name == "mm.dequantize" and dtype_of(small).text == "i32" and _zero(operation) is None
    if dtype_of(small).text not in _EXACT and not is_bias:
        return f"no code for {operation.name} with steps of type {dtype_of(small).name}"
    return "a scale for each block" if operation.attributes["block_size"] else ""


def _scale(operation: Operation) -> Value:
    scale = operation.operand("scale")
    assert scale is not None
    return scale


def _zero(operation: Operation) -> Value | None:
    """The zero point; None where it is known to be zero."""
    value = operation.operand("zero_point")
    data = constant_data(value)
    return None if data is not None and not data.numpy().any() else value


class _Loop:
    """A loop of one quantization; scales and zero points are single ones, or vectors along an axis."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.builder = ExpressionBuilder()
        self.x = self.builder.input(source(operation))
        self.scale = self.builder.read(_scale(operation))
        zero = _zero(operation)
        self.zero: Ref = ("scalar", 0) if zero is None else self.builder.read(zero)

    def emit(self, low: Lowering) -> None:
        operation, rank = self.operation, len(shape_of(self.operation.result))
        shapes = {}
        for value in (_scale(operation), operation.operand("zero_point")):
            if value is not None and elements(value) > 1:
                following = rank - 1 - operation.attributes["axis"] % rank
                shapes[value] = (*shape_of(value), *(1,) * following)
        name = operation.name.removeprefix("mm.")
        emit_loop(low, self.builder, [operation.result], [operation.result], name, shapes)


def lower_quantize(low: Lowering, operation: Operation) -> None:
    """Quotients rounded to even, counted from the zero point, as near as the type has them."""
    loop = _Loop(operation)
    dtype, small = dtype_of(source(operation)).text, dtype_of(operation.result).text
    loop.builder.refs[operation.result] = loop.builder.node("quantize", (loop.x, loop.scale, loop.zero), dtype, small)
    loop.emit(low)


def lower_dequantize(low: Lowering, operation: Operation) -> None:
    """Steps from the zero point times the scale, in float."""
    loop = _Loop(operation)
    builder = loop.builder
    small, scale, result = (
        dtype_of(value).text for value in (source(operation), _scale(operation), operation.result)
    )

    def real(ref: Ref, dtype: str) -> Ref:
        return ref if ref[0] == "scalar" or dtype == "f32" else builder.node("cast", (ref,), dtype, "f32")

    steps = real(loop.x, small)
    if _zero(operation) is not None:
        steps = builder.node("sub", (steps, real(loop.zero, small)), "f32", "f32")
    number = builder.node("mul", (steps, real(loop.scale, scale)), "f32", "f32")
    builder.refs[operation.result] = number if result == "f32" else builder.node("cast", (number,), "f32", result)
    loop.emit(low)


RULES = {
    "mm.quantize": Rule(check_quantization, lower_quantize),
    "mm.dequantize": Rule(check_quantization, lower_dequantize),
}
