"""Guards: what sizes must satisfy for operations to fit together, where only the request or running tells them."""

from __future__ import annotations

from collections.abc import Set

from mm_core.ir import Network, OperandValues
from mm_core.types import Guard, collect_guards, symbols


def input_guards(network: Network) -> list[tuple[Guard, str]]:
    """What the inputs' symbols must satisfy for the network's operations to fit together, with the user's nodes."""
    bound = network.symbols()
    found: dict[Guard, str] = {}
    for operation in network.operations:
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


def part_guards(part: Network, known: Set[str]) -> tuple[tuple[Guard, str], ...]:
    """Guards of a part that a request's inputs do not settle: those with a symbol beyond `known`."""
    if part.symbols() <= known:
        return ()
    guards = input_guards(part)
    return tuple((guard, where) for guard, where in guards if not symbols(guard.left) | symbols(guard.right) <= known)
