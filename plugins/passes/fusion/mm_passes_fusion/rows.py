"""A normalization and what makes its operand element by element run in one pass over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Network, Operation, Value
from mm_core.ops import Trait
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import operations_to_rewrite, shape_of
from mm_passes_fusion.elementwise import FuseElementwise
from mm_passes_fusion.regions import fuse

NORMALIZATIONS = ("mm.layer_norm", "mm.rms_norm")


@dataclass(frozen=True)
class FuseNormalization(Pass):
    """Layer or RMS normalization and the element-wise operations before it, above all the sum with a residual.

    Their operands have the shape of what is normalized, or of its normalized axes, or are single numbers. What is
    normalized becomes a second result where it is read elsewhere too.
    """

    name: ClassVar[str] = "fuse-normalization"
    phase: ClassVar[Phase] = Phase.FUSE
    after: ClassVar[tuple[str, ...]] = ("fuse-epilogue",)
    before: ClassVar[tuple[str, ...]] = ("fuse-elementwise",)
    opt_level: ClassVar[int] = 2
    max_operations: int = 8

    def run(self, network: Network, context: PassContext) -> PassResult:
        count = 0
        for operation in operations_to_rewrite(network):
            if operation.name in NORMALIZATIONS and (group := self._before(operation)):
                read_elsewhere = len(group[-1].result.uses) > 1
                fuse([*group, operation], "normalization", group[-1:] if read_elsewhere else ())
                count += 1
        return PassResult.counted(normalization=count)

    def _before(self, norm: Operation) -> list[Operation]:
        """The operations that make what is normalized; empty if they cannot move to the normalization."""
        value = norm.operands[0]
        maker = None if value is None else value.defining_op
        if value is None or maker is None or maker.parent is not norm.parent or len(maker.results) > 1:
            return []
        if Trait.ELEMENTWISE not in maker.definition.traits or value in norm.operands[1:]:
            return []
        if _is_read_between(maker, norm):
            return []
        group = FuseElementwise(self.max_operations).group(maker)
        inside = {operation.result for operation in group}
        operands = {v for operation in group for v in operation.operands if v is not None} - inside
        return group if all(_fits(operand, value, norm.attributes["axis"]) for operand in operands) else []


def _is_read_between(maker: Operation, norm: Operation) -> bool:
    """Whether an operation before the normalization reads what it normalizes."""
    users = set(maker.result.users)
    current = norm.previous
    while current is not None and current is not maker:
        if current in users:
            return True
        current = current.previous
    return False


def _fits(operand: Value, value: Value, axis: int) -> bool:
    shape, whole = shape_of(operand), shape_of(value)
    if shape is None or whole is None or operand.type.dtype is not value.type.dtype:  # type: ignore[union-attr]
        return False
    row = whole[axis % len(whole) :]
    return shape == whole or all(dim == 1 for dim in shape) or shape == (1,) * (len(shape) - len(row)) + row
