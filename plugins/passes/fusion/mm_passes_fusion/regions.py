"""Moving operations into a `mm.fused` region."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.ir import Builder, Graph, Operation, Value, copy_operation
from mm_core.ops import lookup


def fuse(operations: Sequence[Operation], kind: str) -> Operation:
    """Replace operations, given in their order, by one `mm.fused` in the place of the last.

    Only the last one's results may be used outside. Operands become the region's arguments in the order of first use.
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
    region.set_outputs([mapping[result] for result in last.results])
    locations = frozenset().union(*(operation.locations for operation in operations))
    builder = Builder(last.parent, last, locations)
    types = [result.type for result in last.results]
    fused = builder.create(lookup("mm.fused"), operands, {"kind": kind}, [region], types)
    for operation in reversed(operations):
        if operation is last:
            operation.replace_with(fused.results)
        else:
            operation.erase()
    return fused
