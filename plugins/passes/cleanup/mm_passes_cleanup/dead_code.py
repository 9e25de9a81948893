"""Operations that nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Graph, Network, Operation
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import is_dead


@dataclass(frozen=True)
class EliminateDeadCode(Pass):
    """Operations without an effect whose results are not used are erased, in regions too."""

    name: ClassVar[str] = "eliminate-dead-code"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    phases_again: ClassVar[tuple[Phase, ...]] = (Phase.FINALIZE,)
    after: ClassVar[tuple[str, ...]] = (
        "simplify", "prune-branches", "eliminate-common-subexpressions", "fold-constants",
    )

    def run(self, network: Network, context: PassContext) -> PassResult:
        return PassResult.counted(erased=_erase_dead(network))


def _erase_dead(graph: Graph) -> int:
    erased = 0
    current: Operation | None = graph.terminator.previous
    while current is not None:
        previous = current.previous
        if is_dead(current):
            current.erase()
            erased += 1
        else:
            erased += sum(_erase_dead(region) for region in current.regions)
        current = previous
    return erased
