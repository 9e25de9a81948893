"""Layer and RMS normalisation, alone or fused with the element-wise operations that make its rows."""

from __future__ import annotations

from mm_backend_cpu.codegen.expression import Node, Ref, vectorizable
from mm_backend_cpu.codegen.normalization import NormalizationSpec, normalization
from mm_backend_cpu.codegen.rows import RowInputs, RowOperand
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_cpu.lowering.lowering import Lowering, outside, shape_of, tensor_type
from mm_core.ir import Operation, Value
from mm_core.types import Dim


def check_normalization(operation: Operation) -> str:
    """Why a normalisation, plain or fused, has no generated kernel."""
    before, norm, alias = _split(operation)
    shape = shape_of(norm.result)
    if 0 in shape or not shape:
        return "an empty operand"
    if reason := refusal(before, alias):
        return reason
    builder = _rows(before, norm, alias)
    rows = shape[norm.attributes["axis"] % len(shape) :]
    vectors = [outside(value, alias) for value in norm.operands[1:] if value is not None]
    for value in (*builder.inputs, *vectors):
        if tensor_type(value).dtype.text != "f32":
            return f"no generated code for {tensor_type(value).dtype.name}"
    if any(shape_of(value) != rows for value in vectors):
        return "a scale or bias that does not cover the normalised axes"
    if not vectorizable(builder.expression, ["f32"] * len(builder.inputs)):
        return "what precedes the normalisation has no vector form in float32"
    if not all(shape_of(value) == shape or _is_row(value, rows) for value in builder.inputs):
        return "an operand that is neither of the normalised shape nor one row of it"
    return ""


def lower_normalization(low: Lowering, operation: Operation) -> None:
    """One pass over the rows; what is normalised is a second result where it is read again."""
    before, norm, alias = _split(operation)
    builder = _rows(before, norm, alias)
    shape = shape_of(norm.result)
    axis = norm.attributes["axis"] % len(shape)
    kinds: list[RowOperand] = ["tensor" if shape_of(value) == shape else "column" for value in builder.inputs]
    buffers = [low.dense(value) for value in builder.inputs]
    vectors: list[tuple[str, int]] = []
    for op, vector in zip(("mul", "add"), (*norm.operands[1:], None, None)):
        if vector is not None:
            vectors.append((op, len(kinds)))
            kinds.append("column")
            buffers.append(low.dense(outside(vector, alias)))
    epilogue: list[Node] = []
    for op, number in vectors:
        so_far: Ref = ("node", len(epilogue) - 1) if epilogue else ("input", len(kinds))
        epilogue.append(Node(op, (so_far, ("input", number))))
    spec = NormalizationSpec(
        "layer" if norm.name == "mm.layer_norm" else "rms",
        product(shape[:axis]),
        product(shape[axis:]),
        norm.attributes["epsilon"],
        RowInputs(tuple(kinds), builder.expression),
        tuple(epilogue),
        keep_values=len(operation.results) > 1,
    )
    name = "+".join(op.name.removeprefix("mm.") for op in (*before, norm))
    low.generated(normalization(spec), buffers, [low.result(value) for value in operation.results], name)


def _split(operation: Operation) -> tuple[list[Operation], Operation, dict[Value, Value | None]]:
    """What precedes the normalisation, itself, and what a region's arguments stand for."""
    operations, alias, _ = parts_of(operation)
    *before, norm = (op for op in operations if op.name != "mm.constant")
    return before, norm, alias


def _rows(before: list[Operation], norm: Operation, alias: dict[Value, Value | None]) -> ExpressionBuilder:
    """The expression of what is normalised, its inputs those of the kernel."""
    builder = ExpressionBuilder(alias)
    for operation in before:
        builder.add(operation)
    if not before and norm.operands[0] is not None:
        builder.input(outside(norm.operands[0], alias))
    return builder


def _is_row(value: Value, rows: tuple[Dim, ...]) -> bool:
    shape = shape_of(value)
    return shape == (1,) * (len(shape) - len(rows)) + rows
