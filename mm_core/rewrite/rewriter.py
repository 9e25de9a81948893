"""What a rule holds while it rewrites: a builder that remembers what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mm_core.errors import PassError
from mm_core.ir import Builder, Graph, Operation, Value, compatible
from mm_core.ops import OpDef, Trait
from mm_core.types import SymDim, TensorType, ValueType

IMPURE = frozenset({Trait.RANDOM, Trait.EFFECT})


class Rewriter(Builder):
    """Builds in front of `root`. New operations carry the locations of everything that they replace.

    A rule changes the graph only through this object, so that the driver knows what to look at again.
    """

    __slots__ = ("_touch", "changed", "created", "root")

    def __init__(self, root: Operation, touch: Callable[[Operation], None]) -> None:
        if root.parent is None:
            raise PassError(f"{root.name} is in no graph", where=root.where)
        super().__init__(root.parent, root, root.locations)
        self.root = root
        self.changed = False
        self.created: list[Operation] = []
        self._touch = touch

    def absorb(self, *operations: Operation) -> None:
        """Operations built from now on also carry the locations of these."""
        self.locations = self.locations.union(*(operation.locations for operation in operations))

    def create(
        self,
        definition: OpDef,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        regions: Sequence[Graph] = (),
        result_types: Sequence[ValueType] | None = None,
        locations: Any = None,
    ) -> Operation:
        operation = super().create(definition, operands, attributes, regions, result_types, locations)
        self.created.append(operation)
        return operation

    def inline(self, region: Graph, operands: Sequence[Value | None]) -> tuple[Value, ...]:
        before = self.graph.terminator if self.before is None else self.before
        previous = before.previous
        outputs = super().inline(region, operands)
        current = before.previous
        while current is not None and current is not previous:
            self.created.append(current)
            current = current.previous
        return outputs

    @contextmanager
    def in_front_of(self, operation: Operation) -> Iterator[None]:
        """Build before another operation of any graph inside the block."""
        graph, before = self.graph, self.before
        assert operation.parent is not None
        self.graph, self.before = operation.parent, operation
        try:
            yield
        finally:
            self.graph, self.before = graph, before

    def replace(self, operation: Operation, values: Sequence[Value]) -> None:
        """Uses of the operation's results read `values`; it is erased, and whatever only it used with it.

        PassError if a value cannot stand for its result: another element type, or a shape that contradicts.
        """
        if len(values) != len(operation.results):
            raise PassError(
                f"{operation.name} has {len(operation.results)} results, got {len(values)} to replace them",
                where=operation.where,
            )
        fresh = set(self.created)
        for result, value in zip(operation.results, values):
            if not compatible(value.type, result.type) or not compatible(result.type, value.type):
                raise PassError(f"a value of type {value.type} cannot replace {result.type}", where=operation.where)
            if value.defining_op in fresh:
                value.type = _refined(value.type, result.type)
            elif value.defining_op is not None and value.defining_op.name != "mm.constant":
                value.defining_op.locations |= self.locations
            for user in result.users:
                self._touch(user)
        operands = operation.operands
        operation.replace_with(values)
        self.changed = True
        self._erase_unused(operands)

    def erase(self, operation: Operation) -> None:
        """Erase an operation whose results are unused, and whatever only it used."""
        operands = operation.operands
        operation.erase()
        self.changed = True
        self._erase_unused(operands)

    def modified(self, operation: Operation) -> None:
        """Say that the rule has changed an operation in place (operands, attributes, regions)."""
        self.changed = True
        self._touch(operation)
        for result in operation.results:
            for user in result.users:
                self._touch(user)

    def discard(self) -> None:
        """Take back what was created and is not used."""
        for operation in reversed(self.created):
            if operation.parent is not None and is_dead(operation):
                operation.erase()
        self.created.clear()

    def _erase_unused(self, values: Sequence[Value | None]) -> None:
        pending = [value.defining_op for value in values if value is not None]
        while pending:
            operation = pending.pop()
            if operation is None or operation.parent is None:
                continue
            if is_dead(operation):
                pending.extend(value.defining_op for value in operation.operands if value is not None)
                operation.erase()
            elif operation.name != "mm.constant" and all(result.use_count <= 1 for result in operation.results):
                # A single use is what many patterns wait for.
                self._touch(operation)
                for result in operation.results:
                    for user in result.users:
                        self._touch(user)


def has_effect(operation: Operation) -> bool:
    """Whether the operation, or one in its regions, must run even if nobody reads its results."""
    return any(Trait.EFFECT in inner.definition.traits for inner in operation.walk())


def is_pure(operation: Operation) -> bool:
    """Whether the operation gives the same results each time and does nothing else."""
    return IMPURE.isdisjoint(operation.definition.traits)


def is_dead(operation: Operation) -> bool:
    """Whether nobody would notice if the operation were gone."""
    if any(result.is_used for result in operation.results):
        return False
    return not has_effect(operation)


def _refined(type_: ValueType, known: ValueType) -> ValueType:
    """The type with unknown parts taken from another type of the same value."""
    if not isinstance(type_, TensorType) or not isinstance(known, TensorType) or known.shape is None:
        return type_
    if type_.shape is None:
        return known
    return type_.with_shape(
        theirs if isinstance(mine, SymDim) else mine for mine, theirs in zip(type_.shape, known.shape)
    )
