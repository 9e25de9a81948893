"""What rules ask of operations and values of the IR."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from mm_core.errors import CompileError
from mm_core.ir import Operation, Value
from mm_core.types import DType, TensorData, TensorType

ALIASES = frozenset(f"mm.{name}" for name in ("identity", "reshape", "squeeze", "unsqueeze", "flatten"))
"""Operators whose result is the same bytes as their first operand, where that lies dense."""


def tensor_type(value: Value) -> TensorType:
    """A value's type; everything inside a part is a tensor."""
    assert isinstance(value.type, TensorType)
    return value.type


def dtype_of(value: Value) -> DType:
    return tensor_type(value).dtype


def shape_of(value: Value) -> tuple[int, ...]:
    """A value's shape, of integers; CompileError for any other."""
    sizes = tuple(dim for dim in tensor_type(value).shape or () if isinstance(dim, int))
    if len(sizes) != len(tensor_type(value).shape or ()):
        raise CompileError("a tensor of unknown size reached the MLU backend")
    return sizes


def elements(value: Value) -> int:
    return prod(shape_of(value))


def source(operation: Operation) -> Value:
    """The first operand."""
    value = operation.operands[0]
    assert value is not None
    return value


def constant_data(value: Value | None) -> TensorData | None:
    """The data of a constant value; None for others."""
    operation = None if value is None else value.defining_op
    if operation is None or operation.name != "mm.constant":
        return None
    data: TensorData = operation.attributes["value"]
    return data


def parts_of(operation: Operation) -> tuple[list[Operation], dict[Value, Value | None], list[Value]]:
    """The operations inside, what the region's arguments stand for, and the results inside; a plain one is its own."""
    if operation.regions:
        region = operation.regions[0]
        return list(region.operations), dict(zip(region.arguments, operation.operands)), list(region.outputs)
    return [operation], {}, list(operation.results)


def outside(value: Value, alias: Mapping[Value, Value | None]) -> Value:
    """What a region's argument stands for; other values stand for themselves."""
    found = alias.get(value)
    return value if found is None else found
