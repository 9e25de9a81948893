"""Gradients of a network's own values, by differentiating backwards the operations that lead to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.ir import Graph, Operation, Value
from mm_core.types import TensorType
from mm_parser_onnx.derivatives import derivatives_of, zeros_like

MAX_OPERATIONS = 1_000_000
"""A graph may grow to this size: gradients of gradients of gradients double it each time."""


def gradients(g: Graph, y: Value, names: Sequence[Value], given: Sequence[Value], wanted: int) -> list[Value]:
    """The gradients of the sum of y with respect to the first `wanted` of the values `names`.

    y is taken as a function of these values and computed at `given`. UnsupportedOpError names the first operation
    that has no derivative.
    """
    # Values of their own where they are others, so that one value given twice is two variables.
    points = [point if point is name else g.identity(point) for name, point in zip(names, given)]
    return _Differentiation(g, dict(zip(names, points)), points[:wanted]).run(y)


class _Differentiation:
    """`moved` says where the function's values are found at the points given, `parts` which value stands for another.

    `active` values change with the variables; `tape` holds, in order, the operations between these.
    """

    def __init__(self, g: Graph, points: dict[Value, Value], variables: list[Value]) -> None:
        self.g = g
        self.variables = variables
        self.moved: dict[Value, Value] = dict(points)
        self.parts: dict[Value, Value] = {}
        self.active = set(variables)
        self.tape: list[Operation] = []

    def run(self, y: Value) -> list[Value]:
        for operation in self._leading_to(y):
            self._record(self._moved(operation))
        target = self._part(self.moved.get(y, y))
        sums = {target: self.g.add(zeros_like(self.g, target), 1.0)}
        for operation in reversed(self.tape):
            if len(self.g) > MAX_OPERATIONS:
                raise ParseError(f"the graph and its gradients grow beyond {MAX_OPERATIONS} operations")
            dy = sums.pop(operation.results[0], None)
            if dy is None:
                continue
            for operand, derivative in zip_longest(operation.operands, derivatives_of(operation) or ()):
                if operand is None or derivative is None or operand not in self.active:
                    continue
                place, more = self._part(operand), derivative(self.g, dy, operation)
                sums[place] = self.g.add(sums[place], more) if place in sums else more
        return [sums[x] if x in sums else zeros_like(self.g, x) for x in self.variables]

    def _leading_to(self, y: Value) -> list[Operation]:
        """The operations between the variables and y, in order."""
        found: set[Operation] = set()
        pending = [y]
        while pending:
            value = pending.pop()
            operation = value.defining_op
            if value not in self.moved and operation is not None and operation not in found:
                found.add(operation)
                pending.extend(operand for operand in operation.operands if operand is not None)
        return [operation for operation in self.g.operations if operation in found]

    def _moved(self, operation: Operation) -> Operation:
        """The operation at the points given: itself, or a copy that reads them."""
        operands = [None if operand is None else self.moved.get(operand, operand) for operand in operation.operands]
        if all(new is old for new, old in zip(operands, operation.operands)):
            return operation
        regions = [region.clone() for region in operation.regions]
        copy = self.g.create(operation.definition, operands, operation.attributes, regions)
        self.moved.update(zip(operation.results, copy.results))
        return copy

    def _record(self, operation: Operation) -> None:
        """Put an operation on the tape if it is between active values; its parts where it has no derivative itself."""
        if not any(operand in self.active for operand in operation.operands):
            return
        if not any(isinstance(result.type, TensorType) and result.type.dtype.is_float for result in operation.results):
            return
        self.active.update(operation.results)
        if derivatives_of(operation) is not None:
            self.tape.append(operation)
            return
        last = self.g.terminator.previous
        missing = [None] * (len(operation.definition.operands) - len(operation.operands))
        built = None
        if not operation.regions:
            built = operation.definition.decompose(self.g, *operation.operands, *missing, **operation.attributes)
        if built is None:
            raise UnsupportedOpError(
                f"no derivative is known of {operation.name}, which {operation.where} needs",
                remedy="compute the gradient of something that does not depend on it",
            )
        for part in list(_after(last, self.g)):
            self._record(part)
        self.parts.update(zip(operation.results, [built] if isinstance(built, Value) else built))

    def _part(self, value: Value) -> Value:
        while value in self.parts:
            value = self.parts[value]
        return value


def _after(operation: Operation | None, g: Graph) -> Iterator[Operation]:
    """The operations of the graph that follow."""
    found = []
    current = g.terminator.previous
    while current is not None and current is not operation:
        found.append(current)
        current = current.previous
    return reversed(found)
