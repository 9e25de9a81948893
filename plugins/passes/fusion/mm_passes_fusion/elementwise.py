"""Chains of element-wise operations run as one loop, without writing what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Graph, Network, Operation, known_value
from mm_core.ops import Trait
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import shape_of
from mm_passes_fusion.regions import fuse


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """Element-wise operations of one result shape whose results only the group itself reads become one.

    At most `max_operations` to a group. Arithmetic on shapes stays as it is.
    """

    name: ClassVar[str] = "fuse-elementwise"
    phase: ClassVar[Phase] = Phase.FUSE
    opt_level: ClassVar[int] = 2
    max_operations: int = 32

    def run(self, network: Network, context: PassContext) -> PassResult:
        return PassResult.counted(elementwise=self._fuse_graph(network))

    def _fuse_graph(self, graph: Graph) -> int:
        fused = 0
        current = graph.terminator.previous
        while current is not None:
            group = self.group(current)
            if len(group) > 1:
                current = fuse(group, "elementwise")
                fused += 1
            elif current.name != "mm.fused":
                fused += sum(map(self._fuse_graph, current.regions))
            current = current.previous
        return fused

    def group(self, last: Operation) -> list[Operation]:
        """The largest group that ends in an operation, in the order of the graph."""
        if not self.is_candidate(last):
            return [last]
        group = {last}
        pending = [last]
        while pending and len(group) < self.max_operations:
            for value in pending.pop().operands:
                maker = None if value is None else value.defining_op
                if maker is None or maker in group or len(group) == self.max_operations or not self.is_candidate(maker):
                    continue
                if shape_of(maker.result) == shape_of(last.result) and group.issuperset(maker.result.users):
                    group.add(maker)
                    pending.append(maker)
        ordered: list[Operation] = []
        current: Operation | None = last
        while current is not None and len(ordered) < len(group):
            if current in group:
                ordered.append(current)
            current = current.previous
        return ordered[::-1]

    def is_candidate(self, operation: Operation) -> bool:
        """Whether an operation may be in a group."""
        if Trait.ELEMENTWISE not in operation.definition.traits or len(operation.results) != 1:
            return False
        return bool(shape_of(operation.result)) and known_value(operation.result) is None
