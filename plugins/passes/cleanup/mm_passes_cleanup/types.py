"""Types as precise as inference can make them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mm_core.ir import Graph, Network, OperandValues, Operation
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.types import OptionalType, SequenceType, SymDim, TensorType


@dataclass(frozen=True)
class RefineTypes(Pass):
    """Result types are inferred anew: what was a fresh symbol may follow from the operands after rewriting.

    A dimension that inference does not know keeps its name. Arguments of regions keep their types, but for `mm.fused`.
    """

    name: ClassVar[str] = "refine-types"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    phases_again: ClassVar[tuple[Phase, ...]] = (Phase.FOLD, Phase.FINALIZE)
    before: ClassVar[tuple[str, ...]] = ("eliminate-dead-code",)
    after: ClassVar[tuple[str, ...]] = (
        "simplify", "eliminate-common-subexpressions", "prune-branches", "fold-constants",
    )

    def run(self, network: Network, context: PassContext) -> PassResult:
        for operation in network.walk():
            operation.forget_known()
        return PassResult.counted(refined=_refine_graph(network))


def _refine_graph(graph: Graph) -> int:
    refined = 0
    for operation in graph.operations:
        if operation.name == "mm.fused":
            for argument, operand in zip(operation.regions[0].arguments, operation.operands):
                assert operand is not None
                argument.type = operand.type
        refined += sum(map(_refine_graph, operation.regions)) + _refine(operation)
    return refined


def _refine(operation: Operation) -> int:
    inferred = operation.definition.infer_types(
        [None if operand is None else operand.type for operand in operation.operands],
        OperandValues(operation.operands),
        operation.attributes,
        operation.regions,
    )
    refined = 0
    for result, type_ in zip(operation.results, inferred):
        better = _better(result.type, type_)
        if better != result.type:
            result.type = better
            refined += 1
    return refined


def _better(declared: Any, inferred: Any) -> Any:
    if isinstance(declared, TensorType) and isinstance(inferred, TensorType):
        if inferred.shape is None:
            return declared
        if declared.shape is None:
            return declared if None in inferred.shape else inferred
        return declared.with_shape(
            mine if theirs is None or (isinstance(mine, int) and isinstance(theirs, SymDim)) else theirs
            for mine, theirs in zip(declared.shape, inferred.shape)
        )
    if isinstance(declared, (SequenceType, OptionalType)) and type(inferred) is type(declared):
        return type(declared)(_better(declared.element, inferred.element))
    return declared
