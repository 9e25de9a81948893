"""Guards: what sizes must satisfy for operations to fit together, where only the request or running tells them."""

from __future__ import annotations

from collections.abc import Iterator, Set

from mm_core.ir import Graph, Network, OperandValues, Operation
from mm_core.types import Guard, collect_guards, symbols


def input_guards(network: Network) -> list[tuple[Guard, str]]:
    """What the inputs' symbols must satisfy for the network's operations to fit together, with the user's nodes."""
    bound = network.symbols()
    found: dict[Guard, str] = {}
    for operation in _always_run(network):
        with collect_guards() as guards:
            operation.definition.infer_types(
                [None if value is None else value.type for value in operation.operands],
                OperandValues(operation.operands),
                operation.attributes,
                operation.regions,
            )
        for guard in guards:
            if symbols(guard.left) | symbols(guard.right) <= bound:
                found.setdefault(guard, operation.where)
    return list(found.items())


def _always_run(graph: Graph) -> Iterator[Operation]:
    """The operations of a graph, those inside fused ones included; those of branches and bodies may never run."""
    for operation in graph.operations:
        yield operation
        if operation.name == "mm.fused":
            yield from _always_run(operation.regions[0])


def part_guards(part: Network, known: Set[str]) -> tuple[tuple[Guard, str], ...]:
    """Guards of a part that a request's inputs do not settle: those with a symbol beyond `known`."""
    if part.symbols() <= known:
        return ()
    guards = input_guards(part)
    return tuple((guard, where) for guard, where in guards if not symbols(guard.left) | symbols(guard.right) <= known)
