"""Element-wise operations, alone or fused, as one generated loop in the order in which their operands lie."""

from __future__ import annotations

from collections.abc import Sequence

from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View, broadcast_strides
from mm_core.ir import Operation, Value
from mm_core.types import Shape


def check_elementwise(operation: Operation) -> str:
    """Why an operation, or a fused region of element-wise ones, has no generated loop."""
    operations, alias, results = parts_of(operation)
    shape = shape_of(results[0])
    if any(shape_of(value) != shape for value in results):
        return "results of different shapes"
    reason = refusal(operations, alias)
    if reason:
        return reason
    inside = {value for op in operations for value in op.results}
    for value in {value for op in operations for value in op.operands if value is not None} - inside:
        if broadcast_strides(View.dense(0, shape_of(value)), shape) is None:
            return "whether a dimension is broadcast is known only when running"
    return ""


def lower_elementwise(low: Lowering, operation: Operation) -> None:
    """One loop for an operation or a fused region."""
    operations, alias, results = parts_of(operation)
    builder = ExpressionBuilder(alias)
    names = []
    for op in operations:
        if op.name != "mm.constant":
            builder.add(op)
            names.append(op.name.removeprefix("mm."))
    emit_elementwise(low, builder, results, operation.results, names)


def emit_elementwise(
    low: Lowering,
    builder: ExpressionBuilder,
    results: Sequence[Value],
    targets: Sequence[Value],
    names: Sequence[str],
) -> None:
    """A loop over an expression; `results` are the values inside it that `targets` stand for outside."""
    shape = shape_of(targets[0])
    references = tuple(builder.read(value) for value in results)
    order = preferred_order(low, builder.inputs, shape)
    operands, buffers = [], []
    for value in builder.inputs:
        view = operand_view(low, value, shape, order)
        strides = broadcast_strides(view, shape)
        assert strides is not None
        operands.append(Operand(tensor_type(value).dtype.text, tuple(strides[axis] for axis in order)))
        buffers.append(view.buffer)
    outputs = [low.result(value, order) for value in targets]
    physical = tuple(shape[axis] for axis in order)
    spec = ElementwiseSpec(physical, tuple(operands), builder.expression, references)
    low.generated(elementwise(spec), buffers, outputs, "+".join(names[:4]) + ("+..." if len(names) > 4 else ""))


def preferred_order(low: Lowering, values: Sequence[Value], shape: Shape) -> tuple[int, ...]:
    """The order of axes of the first operand of full shape; row-major if none fills its buffer."""
    for value in values:
        if shape_of(value) == shape and constant_data(value) is None:
            order = low.view(value).order()
            if order is not None:
                return order
    return tuple(range(len(shape)))


def operand_view(low: Lowering, value: Value, shape: Shape, order: Sequence[int]) -> View:
    """A view to read an operand by: one of full shape in `order`, a smaller one where it lies."""
    if shape_of(value) == shape:
        return low.ordered(value, order)
    view = low.view(value)
    return view if view.offset == 0 else low.ordered(value, range(len(view.shape)))


def parts_of(operation: Operation) -> tuple[list[Operation], dict[Value, Value | None], list[Value]]:
    """The operations inside, what the region's arguments stand for, and the results inside; a plain one is its own."""
    if operation.regions:
        region = operation.regions[0]
        return list(region.operations), dict(zip(region.arguments, operation.operands)), list(region.outputs)
    return [operation], {}, list(operation.results)
