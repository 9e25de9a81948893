"""A scan whose body has sizes of its own only where the scan has them: its steps repeat inside the program.

States have a buffer of their own that the body reads and, at its end, writes. What is scanned or stacked is read and
written through buffers that move by one slice in each repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import prod
from typing import Any

from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View
from mm_core.ir import Builder, Graph, Operation, Value, sizes_of
from mm_core.types import Dim, TensorType


def check_scan(operation: Operation, refusal: Callable[[Operation], str]) -> str:
    """Why a scan does not run inside the program; `refusal` says why an operation of its body does not."""
    body = operation.regions[0]
    values = [*body.arguments, *chain.from_iterable(op.results for op in body.operations)]
    if not all(isinstance(value.type, TensorType) and value.type.shape is not None for value in values):
        return "the body has values that are no tensors of known rank"
    if any(value.type.dtype.kind == "string" for value in values if isinstance(value.type, TensorType)):
        return "strings"
    known = {name for value in operation.operands if value is not None for name in sizes_of(value)}
    unknown = {name for value in values for name in sizes_of(value)} - known
    if unknown:
        return f"sizes in the body differ from step to step: {', '.join(sorted(unknown))}"
    states = operation.attributes["states"]
    for argument, output, result in zip(body.arguments, body.outputs, operation.results[:states]):
        if not shape_of(argument) == shape_of(output) == shape_of(result):
            return "a state changes its shape"
    for op in body.operations:
        if op.name != "mm.constant" and (reason := refusal(op)):
            return f"in the body {op.name}: {reason}"
    return ""


def lower_scan(low: Lowering, operation: Operation, lower: Callable[[Lowering, Iterable[Operation]], None]) -> None:
    """Steps that repeat; `lower` appends those of the body's operations."""
    body, attributes = operation.regions[0], operation.attributes
    states, scans = attributes["states"], attributes["scans"]
    operands: list[Value] = [value for value in operation.operands if value is not None]
    arguments, results = body.arguments, operation.results
    held = [_state(low, operand, argument) for operand, argument in zip(operands, arguments[:states])]
    for operand, argument in zip(operands[states + scans :], arguments[states + scans :]):
        data = constant_data(operand)
        if data is None:
            low.alias(argument, operand)
        else:  # Kernels pack constants, which a region does not see through its arguments.
            argument.replace_all_uses_with(Builder(body, next(body.operations, None)).constant(data))
    scanned = _places(operands[states:], attributes, "input", scans)
    stacked = _places(results[states:], attributes, "output", len(results) - states)
    read = [low.resting(value, order) for value, order, _ in scanned]
    written = [low.result(value, order) for value, order, _ in stacked]
    repetitions = shape_of(scanned[0][0])[scanned[0][1][0]]
    with low.repeated(repetitions) as moved:
        for argument, buffer, (_, _, backwards) in zip(arguments[states:], read, scanned):
            shape = shape_of(argument)
            low.define(argument, View.dense(moved(buffer, shape, *_travel(shape, repetitions, backwards)), shape))
        lower(low, body.operations)
        for value, buffer, (_, _, backwards) in zip(body.outputs[states:], written, stacked):
            shape = shape_of(value)
            low.copy_dense(value, moved(buffer, shape, *_travel(shape, repetitions, backwards)))
        _next_states(low, body, states, held)
    for buffer, result in zip(held, results[:states]):
        low.define(result, View.dense(buffer, shape_of(result)))


def _state(low: Lowering, initial: Value, argument: Value) -> int:
    """A buffer for a state, with its first value."""
    buffer = low.temporary(tensor_type(argument).dtype.text, shape_of(argument))
    low.copy_dense(initial, buffer)
    low.define(argument, View.dense(buffer, shape_of(argument)))
    return buffer


def _next_states(low: Lowering, body: Graph, states: int, held: list[int]) -> None:
    """Write the states for the next step. One that is another's old value is saved before that is overwritten."""
    saved: dict[int, int] = {}
    for value, target in zip(body.outputs[:states], held):
        if low.view(value).buffer in held and low.view(value).buffer != target:
            saved[target] = low.temporary(tensor_type(value).dtype.text, shape_of(value))
            low.copy_dense(value, saved[target])
    for value, target in zip(body.outputs[:states], held):
        if target in saved:
            low.copy_buffer(saved[target], target)
        elif low.view(value).buffer != target or not low.view(value).is_dense:
            low.copy_dense(value, target)


def _places(
    values: Sequence[Value], attributes: Mapping[str, Any], kind: str, count: int
) -> list[tuple[Value, tuple[int, ...], bool]]:
    """Scanned or stacked values with the order of axes that puts the scanned one first, and whether it is reversed."""
    axes = attributes[f"{kind}_axes"] or (0,) * count
    backwards = attributes[f"{kind}_reverse"] or (False,) * count
    found = []
    for value, axis, reverse in zip(values, axes, backwards):
        rank = len(shape_of(value))
        first = axis % rank
        found.append((value, (first, *(other for other in range(rank) if other != first)), reverse))
    return found


def _travel(slice_: tuple[Dim, ...], repetitions: Dim, backwards: bool) -> tuple[Dim, Dim]:
    """Where a buffer of one slice starts, and how far it moves each time, in elements."""
    size: Dim = prod(slice_, start=1)
    return ((repetitions - 1) * size, size * -1) if backwards else (0, size)
