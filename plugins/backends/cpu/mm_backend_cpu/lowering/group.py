"""Groups: consecutive operations that one kernel may compute, found before lowering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mm_backend_cpu.lowering.lowering import Lowering
from mm_core.ir import Operation, Value

Group = tuple[Operation, ...]
"""Operations of which each but the last has one result, which nothing but the next one reads."""


@dataclass(frozen=True, slots=True)
class GroupRule:
    """One way to run several operations at once.

    `match` gives the group that begins with an operation, one of which every operation is lowered by `apart` if alone;
    empty if there is none. `lower` appends its steps and states where the last result lies, or does nothing and
    gives False where the operations are better lowered one by one.
    """

    match: Callable[[Operation], Group]
    apart: Callable[[Lowering, Operation], None]
    lower: Callable[[Lowering, Group], bool]


def only_reader(value: Value) -> Operation | None:
    """The operation that alone reads a value, and reads it once."""
    return value.users[0] if value.use_count == 1 else None


def in_groups(operations: Iterable[Operation], match: Callable[[Operation], Group]) -> Iterator[Group]:
    """Operations in order, those of a group together in place of its last: all that it reads is computed by then."""
    group_of: dict[Operation, Group] = {}
    for operation in operations:
        if operation not in group_of:
            group = match(operation) or (operation,)
            if not any(member in group_of for member in group):
                group_of |= dict.fromkeys(group, group)
            else:
                group_of[operation] = (operation,)
        if group_of[operation][-1] is operation:
            yield group_of[operation]
