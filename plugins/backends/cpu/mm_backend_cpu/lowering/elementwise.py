"""Element-wise operations, alone or fused, as one generated loop in the order in which their operands lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_cpu.lowering.group import Group, GroupRule
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View, broadcast_strides
from mm_core.ir import Operation, Value
from mm_core.ops import Trait
from mm_core.types import Shape

MOST_TOGETHER = 32
"""How many operations may become one loop: beyond, registers do not hold what lies between."""
TOGETHER_LEVEL = 2
"""The optimisation level from which operations that passes left apart may be one step."""
LONG_ROW = 16
"""Elements in a row from which reading them where they lie is not slower than from a copy."""


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
    _lower_loop(low, *parts_of(operation), operation.results)


def match_elementwise(operation: Operation) -> Group:
    """The operations of one shape that end in what the first leads to, of which no other reads a result between."""
    last = operation
    while last.results[0].users and _goes_with(last.results[0].users[0], operation):
        last = last.results[0].users[0]
    group, pending = {last}, [last]
    while pending and len(group) < MOST_TOGETHER:
        for value in pending.pop().operands:
            maker = None if value is None else value.defining_op
            if maker is None or maker in group or len(group) == MOST_TOGETHER or not _goes_with(maker, last):
                continue
            if group.issuperset(maker.result.users):
                group.add(maker)
                pending.append(maker)
    if operation not in group:
        return ()
    members, current = [last], last.previous
    while current is not None and len(members) < len(group):
        if current in group:
            members.append(current)
        current = current.previous
    return tuple(reversed(members))


def _goes_with(operation: Operation, other: Operation) -> bool:
    """Whether an operation may be in one loop with another."""
    fused = operation.name == "mm.fused" and operation.attributes["kind"] == "elementwise"
    traits = operation.definition.traits
    if len(operation.results) != 1 or not (fused or (Trait.ELEMENTWISE in traits and Trait.MOVEMENT not in traits)):
        return False
    return operation.parent is other.parent and shape_of(operation.result) == shape_of(other.results[0])


def lower_together(low: Lowering, group: Group) -> bool:
    """One loop for several operations that placement made, or that passes left apart."""
    if low.opt_level < TOGETHER_LEVEL:
        return False
    operations: list[Operation] = []
    alias: dict[Value, Value | None] = {}
    for member in group:
        inside, own, results = parts_of(member)
        alias |= {argument: value if value is None else alias.get(value, value) for argument, value in own.items()}
        if member.regions:
            alias |= {made: alias.get(value, value) for made, value in zip(member.results, results)}
        operations += inside
    if refusal(operations, alias):
        return False
    _lower_loop(low, operations, alias, results, group[-1].results)
    return True


ELEMENTWISE = GroupRule(match_elementwise, lower_elementwise, lower_together)


def _lower_loop(
    low: Lowering,
    operations: Sequence[Operation],
    alias: Mapping[Value, Value | None],
    results: Sequence[Value],
    targets: Sequence[Value],
) -> None:
    builder = ExpressionBuilder(alias)
    names = []
    for op in operations:
        if op.name != "mm.constant":
            builder.add(op)
            names.append(op.name.removeprefix("mm."))
    emit_elementwise(low, builder, results, targets, names)


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
        operands.append(Operand(tensor_type(value).dtype.text, tuple(strides[axis] for axis in order), view.offset))
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
    """A view to read an operand by: where it lies, unless it is of full shape and the loop would jump in it."""
    view = low.view(value)
    if shape_of(value) != shape or view.lies_in(order):
        return view
    innermost = next((axis for axis in reversed(order) if shape[axis] != 1), None)
    if innermost is not None and view.strides[innermost] == 1 and low.estimate(shape[innermost]) >= LONG_ROW:
        return view
    return low.ordered(value, order)


def parts_of(operation: Operation) -> tuple[list[Operation], dict[Value, Value | None], list[Value]]:
    """The operations inside, what the region's arguments stand for, and the results inside; a plain one is its own."""
    if operation.regions:
        region = operation.regions[0]
        return list(region.operations), dict(zip(region.arguments, operation.operands)), list(region.outputs)
    return [operation], {}, list(operation.results)
