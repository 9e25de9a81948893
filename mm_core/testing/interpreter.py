"""Runs a graph by its operators' numpy references. The yardstick of the checks here; not built for speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.build.placement import decompose, replace
from mm_core.errors import VerifyError
from mm_core.ir import Graph, Network, Operation, Value
from mm_core.ops import Tier
from mm_core.types import TensorType, ValueType

MAX_DEPTH = 32
"""Decompositions nested deeper than this go round in circles."""


class Region:
    """A region as references see it: called with arguments, returns its outputs."""

    __slots__ = ("graph",)

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def argument_types(self) -> tuple[ValueType, ...]:
        return self.graph.argument_types

    @property
    def output_types(self) -> tuple[ValueType, ...]:
        return self.graph.output_types

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        return interpret(self.graph, arguments)


def interpret(graph: Graph, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of a graph for its arguments: arrays, lists for sequences, None for absent optionals."""
    if len(arguments) != len(graph.arguments):
        raise VerifyError(f"the graph takes {len(graph.arguments)} arguments, got {len(arguments)}")
    values: dict[Value, Any] = dict(zip(graph.arguments, arguments))
    for operation in graph.operations:
        operands = [None if operand is None else values[operand] for operand in operation.operands]
        values.update(zip(operation.results, evaluate(operation, operands)))
    return tuple(values[value] for value in graph.outputs)


def evaluate(operation: Operation, operands: Sequence[Any]) -> list[Any]:
    """The results of one operation; VerifyError if their number or an element type is not the declared one."""
    definition = operation.definition
    if operation.name == "mm.fused":
        results: Any = interpret(operation.regions[0], operands)
    else:
        padded = [*operands, *[None] * (len(operation.operand_types()) - len(operands))]
        extra = {"regions": tuple(map(Region, operation.regions))} if operation.regions else {}
        results = definition.reference(*padded, **operation.attributes, **extra)
        if len(definition.results) == 1 and not definition.results[0].variadic:
            results = (results,)
    if len(results) != len(operation.results):
        raise VerifyError(f"the reference of {operation.name} gave {len(results)} results", where=operation.where)
    return [_checked(operation, value.type, result) for value, result in zip(operation.results, results)]


def _checked(operation: Operation, type_: ValueType, result: Any) -> Any:
    if not isinstance(type_, TensorType):
        return result
    array = np.asarray(result)
    if array.dtype != type_.dtype.numpy:
        raise VerifyError(
            f"the reference of {operation.name} gave {array.dtype}, its type says {type_}", where=operation.where
        )
    return array


def lower(network: Network) -> list[str]:
    """Replace composites by their decompositions until only primitives are left.

    Returns the names of composites that have no decomposition for their case; they stay. VerifyError for circles.
    """
    refused: list[str] = []
    for _ in range(MAX_DEPTH):
        composites = [operation for operation in network.walk() if operation.definition.tier is Tier.COMPOSITE]
        open_ = [operation for operation in composites if operation.name not in refused]
        if not open_:
            return refused
        for operation in open_:
            built = decompose(operation)
            if built is None:
                refused.append(operation.name)
            else:
                replace(operation, built)
    raise VerifyError(f"decompositions go round in circles: {', '.join(sorted({op.name for op in open_}))}")
