"""Moving operations into a `mm.fused` region."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.ir import Builder, Graph, Operation, Value, copy_operation
from mm_core.ops import lookup


def fuse(operations: Sequence[Operation], kind: str, kept: Sequence[Operation] = ()) -> Operation:
    """Replace operations, given in their order, by one `mm.fused` in the place of the last.

    Only the results of the last one may be used outside, and those of `kept`, which then follow them; `kept` may not
    hold the last. Operands become the region's arguments in the order of first use.
    """
    last = operations[-1]
    assert last.parent is not None
    region = Graph(within=last.parent)
    mapping: dict[Value, Value] = {}
    operands: list[Value] = []
    inside = {result for operation in operations for result in operation.results}
    for operation in operations:
        for value in operation.operands:
            if value is not None and value not in inside and value not in mapping:
                mapping[value] = region.add_argument(value.type, value.name)
                operands.append(value)
        copy_operation(operation, mapping, region)
    results = {operation: operation.results for operation in (last, *kept)}
    region.set_outputs([mapping[result] for values in results.values() for result in values])
    locations = frozenset().union(*(operation.locations for operation in operations))
    builder = Builder(last.parent, last, locations)
    types = [result.type for values in results.values() for result in values]
    fused = builder.create(lookup("mm.fused"), operands, {"kind": kind}, [region], types)
    made = iter(fused.results)
    replaced = {operation: [next(made) for _ in values] for operation, values in results.items()}
    for operation in reversed(operations):
        if operation in replaced:
            operation.replace_with(replaced[operation])
        else:
            operation.erase()
    return fused
