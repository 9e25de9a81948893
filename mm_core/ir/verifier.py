"""The rules every network keeps: SSA order, isolated regions, operators' schemas, types that inference agrees with."""

from __future__ import annotations

from mm_core.errors import MMError, VerifyError
from mm_core.ir.graph import Graph
from mm_core.ir.network import Network
from mm_core.ir.operation import OperandValues, Operation, Value
from mm_core.types import SymDim, TensorType, ValueType, provably_unequal

MAX_NESTING = 100


def verify(network: Network) -> None:
    """Raise VerifyError at the first broken rule, with the user's node name."""
    names = [argument.name for argument in network.arguments]
    if len(set(names)) != len(names) or not all(names):
        raise VerifyError("input names must be unique and not empty", where=network.name)
    if len(network.output_names) != len(network.outputs) or len(set(network.output_names)) != len(network.outputs):
        raise VerifyError("each output needs a name of its own", where=network.name)
    _verify_graph(network, 0)


def _verify_graph(graph: Graph, depth: int) -> None:
    if depth > MAX_NESTING:
        raise VerifyError(f"regions nest deeper than {MAX_NESTING}")
    defined: set[Value] = set(graph.arguments)
    for operation in (*graph.operations, graph.terminator):
        for index, value in enumerate(operation.operands):
            if value is None:
                continue
            if value not in defined:
                outside = "defined in another graph or later" if value.graph is not None else "erased"
                raise VerifyError(f"operand {index} of {operation.name} is {outside}", where=operation.where)
            if (id(operation), index) not in value._uses:
                raise VerifyError(f"operand {index} of {operation.name} is not among its uses", where=operation.where)
        for region in operation.regions:
            if region.owner is not operation:
                raise VerifyError(f"a region of {operation.name} belongs to another operation", where=operation.where)
            _verify_graph(region, depth + 1)
        if operation is not graph.terminator:
            _verify_types(operation)
        defined.update(operation.results)


def _verify_types(operation: Operation) -> None:
    definition = operation.definition
    try:
        inferred = definition.infer_types(
            [None if value is None else value.type for value in operation.operands],
            OperandValues(operation.operands),
            operation.attributes,
            operation.regions,
        )
    except MMError as error:
        raise VerifyError(error.what, where=operation.where, available=error.available) from error
    declared = [result.type for result in operation.results]
    if len(inferred) != len(declared):
        raise VerifyError(
            f"{operation.name} has {len(declared)} results, its definition gives {len(inferred)}", where=operation.where
        )
    for index, (mine, theirs) in enumerate(zip(declared, inferred)):
        if mine != theirs and not compatible(mine, theirs):
            raise VerifyError(
                f"result {index} of {operation.name} is declared {mine}, its definition gives {theirs}",
                where=operation.where,
            )


def compatible(declared: ValueType, inferred: ValueType) -> bool:
    """Whether both may describe the same value: unknown parts of either are compatible with anything."""
    if isinstance(declared, TensorType) and isinstance(inferred, TensorType):
        if declared.dtype is not inferred.dtype:
            return False
        if declared.shape is None or inferred.shape is None:
            return True
        if len(declared.shape) != len(inferred.shape):
            return False
        return not any(
            (theirs is not None and mine != theirs and not isinstance(mine, SymDim) and not isinstance(theirs, SymDim))
            or (theirs is not None and provably_unequal(mine, theirs))
            for mine, theirs in zip(declared.shape, inferred.shape)
        )
    if isinstance(declared, TensorType) or isinstance(inferred, TensorType) or type(declared) is not type(inferred):
        return False
    return compatible(declared.element, inferred.element)
