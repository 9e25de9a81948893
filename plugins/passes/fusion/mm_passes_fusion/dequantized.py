"""Products with weights that are kept in few bits, so that a backend may read the codes themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Network, Operation, Value
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, operations_to_rewrite
from mm_passes_fusion.epilogue import epilogue_of
from mm_passes_fusion.regions import fuse


@dataclass(frozen=True)
class FuseDequantizedWeights(Pass):
    """The dequantization of constant weights, their transposition, the product and what follows it become one.

    Expanded, the weights would be read in full size at every request; decoding is bound by just that. Weights that
    several products share stay as they are, and so do products of two quantized operands: those are for integers.
    """

    name: ClassVar[str] = "fuse-dequantized-weights"
    phase: ClassVar[Phase] = Phase.FUSE
    before: ClassVar[tuple[str, ...]] = ("fuse-epilogue", "fuse-elementwise")
    opt_level: ClassVar[int] = 2
    max_operations: int = 8

    def run(self, network: Network, context: PassContext) -> PassResult:
        count = 0
        for operation in operations_to_rewrite(network):
            if operation.name != "mm.matmul" or _is_dequantized(operation.operands[0]):
                continue
            if weights := _made_of_codes(operation):
                fuse([*weights, *epilogue_of(operation, self.max_operations)], "dequantized_matmul")
                count += 1
        return PassResult.counted(dequantized_matmul=count)


def _is_dequantized(value: Value | None) -> bool:
    return value is not None and value.defining_op is not None and value.defining_op.name == "mm.dequantize"


def _made_of_codes(product: Operation) -> list[Operation]:
    """The dequantization that the right operand comes from and the transposition after it; empty if it does not."""
    made: list[Operation] = []
    value: Value | None = product.operands[1]
    while value is not None and (maker := value.defining_op) is not None and len(value.uses) == 1:
        made.insert(0, maker)
        if maker.name == "mm.dequantize":
            constant = all(operand is None or constant_of(operand) is not None for operand in maker.operands)
            return made if constant and maker.parent is product.parent else []
        if maker.name != "mm.transpose" or maker.parent is not product.parent:
            return []
        value = maker.operands[0]
    return []
