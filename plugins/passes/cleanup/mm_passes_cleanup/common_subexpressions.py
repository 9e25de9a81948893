"""Operations that compute the same thing twice."""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from blake3 import blake3

from mm_core.ir import Graph, Network, Operation
from mm_core.ops import Trait
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import is_pure
from mm_core.types import TensorData


@dataclass(frozen=True)
class EliminateCommonSubexpressions(Pass):
    """Of operations with equal names, operands and attributes the first stays.

    Constants of at most `max_constant_bytes` are compared by content, larger ones by identity or key alone: their bytes
    may not have been read yet.
    """

    name: ClassVar[str] = "eliminate-common-subexpressions"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    phases_again: ClassVar[tuple[Phase, ...]] = (Phase.FINALIZE,)
    after: ClassVar[tuple[str, ...]] = ("simplify", "prune-branches")
    max_constant_bytes: int = 1 << 16

    def run(self, network: Network, context: PassContext) -> PassResult:
        return PassResult.counted(merged=self._merge(network))

    def _merge(self, graph: Graph) -> int:
        merged = 0
        seen: dict[Hashable, Operation] = {}
        for operation in graph.operations:
            if operation.regions:
                if operation.name != "mm.fused":
                    merged += sum(self._merge(region) for region in operation.regions)
                continue
            if not operation.results or not is_pure(operation):
                continue
            first = seen.setdefault(self._key(operation), operation)
            if first is not operation:
                first.locations |= operation.locations
                operation.replace_with(first.results)
                merged += 1
        return merged

    def _key(self, operation: Operation) -> Hashable:
        operands = list(map(id, operation.operands))
        if Trait.COMMUTATIVE in operation.definition.traits:
            operands[:2] = sorted(operands[:2])
        attributes = tuple(self._attribute(value) for value in operation.attributes.values())
        return operation.name, tuple(operands), attributes

    def _attribute(self, value: Any) -> Hashable:
        if isinstance(value, TensorData):
            if value.size and value.nbytes <= self.max_constant_bytes and value.dtype.kind != "string":
                content: Hashable = blake3(value.numpy().tobytes()).digest()
            else:
                content = value.key or id(value)
            return value.dtype.name, value.shape, content
        if isinstance(value, (tuple, list)):
            return tuple(map(self._attribute, value))
        if isinstance(value, float):
            return struct.pack("d", value)  # 0.0 and -0.0 are equal, and not the same
        return type(value), value
