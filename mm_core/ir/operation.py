"""Values and operations: SSA in a doubly linked list, with exact use lists.

Operations are linked into their graph, so inserting, erasing and moving are constant time and safe while iterating.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm_core.errors import VerifyError
from mm_core.ops import Arity, OpDef, Partial
from mm_core.types import SymDim, TensorType, ValueType, symbols

if TYPE_CHECKING:
    from mm_core.ir.graph import Graph


@dataclass(frozen=True, slots=True)
class Location:
    """Where an operation came from: the framework, the user's node name, and the node's kind there."""

    source: str
    name: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})" if self.kind else self.name


class Use:
    """One operand slot that reads a value."""

    __slots__ = ("index", "operation")

    def __init__(self, operation: Operation, index: int) -> None:
        self.operation = operation
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Use) and self.operation is other.operation and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.operation), self.index))


class Value:
    """A result of an operation or an argument of a graph. `uses` lists every operand slot that reads it."""

    __slots__ = ("_known", "_uses", "index", "name", "owner", "type")

    def __init__(self, type_: ValueType, owner: Operation | Graph, index: int, name: str = "") -> None:
        self.type = type_
        self.owner = owner
        self.index = index
        self.name = name
        self._uses: dict[tuple[int, int], Use] = {}
        self._known: Any = None

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(self._uses.values())

    @property
    def is_used(self) -> bool:
        return bool(self._uses)

    @property
    def use_count(self) -> int:
        """How many operand slots read the value, without listing them."""
        return len(self._uses)

    @property
    def users(self) -> list[Operation]:
        """Operations that read the value, each once, in the order in which they began to."""
        return list({id(use.operation): use.operation for use in self._uses.values()}.values())

    @property
    def defining_op(self) -> Operation | None:
        """The operation whose result this is; None for a graph's argument."""
        return self.owner if isinstance(self.owner, Operation) else None

    @property
    def graph(self) -> Graph | None:
        return self.owner.parent if isinstance(self.owner, Operation) else self.owner

    def replace_all_uses_with(self, other: Value) -> None:
        """Every slot that reads this value reads `other` afterwards."""
        if other is self:
            return
        for use in self.uses:
            use.operation.set_operand(use.index, other)

    def __repr__(self) -> str:
        owner = self.owner.name if isinstance(self.owner, Operation) else "argument"
        return f"<Value {self.name or owner}#{self.index}: {self.type}>"

    # Arithmetic on values lives in the graph's methods; a value in a boolean test is always a mistake.
    def __bool__(self) -> bool:
        raise TypeError("a Value has no truth value while a network is built; use graph.select or an If operation")


class Operation:
    """One node: an operator's name, operands (None for an absent optional), results, attributes and regions."""

    __slots__ = (
        "_next", "_operands", "_previous", "attributes", "definition", "locations", "parent", "regions", "results",
    )  # fmt: skip

    def __init__(
        self,
        definition: OpDef,
        operands: Iterable[Value | None],
        result_types: Iterable[ValueType],
        attributes: dict[str, Any],
        regions: Sequence[Graph] = (),
        locations: Iterable[Location] = (),
    ) -> None:
        self.definition = definition
        self.attributes = attributes
        self.regions: tuple[Graph, ...] = tuple(regions)
        self.locations: frozenset[Location] = frozenset(locations)
        self.parent: Graph | None = None
        self._previous: Operation | None = None
        self._next: Operation | None = None
        self.results: tuple[Value, ...] = tuple(Value(t, self, i) for i, t in enumerate(result_types))
        self._operands: tuple[Value | None, ...] = ()
        self.set_operands(operands)
        for region in self.regions:
            region.owner = self

    @property
    def name(self) -> str:
        """The operator's full name, such as `mm.conv`."""
        return self.definition.name

    @property
    def operands(self) -> tuple[Value | None, ...]:
        return self._operands

    @property
    def result(self) -> Value:
        """The only result. VerifyError if there are several or none."""
        if len(self.results) != 1:
            raise VerifyError(f"{self.name} has {len(self.results)} results, one was expected", where=self.where)
        return self.results[0]

    @property
    def where(self) -> str:
        """The user's names for this node, for messages."""
        names = sorted(map(str, self.locations))
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or self.name

    @property
    def next(self) -> Operation | None:
        return self._next

    @property
    def previous(self) -> Operation | None:
        return self._previous

    def operand_types(self) -> tuple[ValueType | None, ...]:
        """Types of the operands, padded with None up to the number that the definition names."""
        types = tuple(None if operand is None else operand.type for operand in self._operands)
        schema = self.definition.operands
        fixed = len(schema) - bool(schema and schema[-1].arity is Arity.VARIADIC)
        return types + (None,) * (fixed - len(types))

    def operand(self, name: str) -> Value | None:
        """The operand that the definition calls `name`; None if it is absent."""
        for index, schema in enumerate(self.definition.operands):
            if schema.name == name:
                return self._operands[index] if index < len(self._operands) else None
        raise VerifyError(f"{self.name} has no operand '{name}'", where=self.where)

    def set_operands(self, operands: Iterable[Value | None]) -> None:
        """Replace all operands at once."""
        for index, value in enumerate(self._operands):
            if value is not None:
                del value._uses[id(self), index]
        self._operands = tuple(operands)
        for index, value in enumerate(self._operands):
            if value is not None:
                value._uses[id(self), index] = Use(self, index)
        self.forget_known()

    def set_operand(self, index: int, value: Value | None) -> None:
        """Replace one operand."""
        before = self._operands[index]
        if before is not None:
            del before._uses[id(self), index]
        self._operands = (*self._operands[:index], value, *self._operands[index + 1 :])
        if value is not None:
            value._uses[id(self), index] = Use(self, index)
        self.forget_known()

    def set_attribute(self, name: str, value: Any) -> None:
        """Change an attribute to a value that the definition allows."""
        self.attributes = self.definition.normalize_attributes({**self.attributes, name: value})
        self.forget_known()

    def forget_known(self) -> None:
        """Drop what `known_value` has kept for the results: something it rests on has changed."""
        for result in self.results:
            result._known = None

    def erase(self) -> None:
        """Unlink and drop. VerifyError if a result is still used."""
        for result in self.results:
            if result.is_used:
                raise VerifyError(f"{self.name} cannot be erased, its results are used", where=self.where)
        if self.parent is not None:
            self.parent.unlink(self)
        self.set_operands(())

    def replace_with(self, values: Sequence[Value]) -> None:
        """All uses of the results read `values` instead; the operation is erased."""
        if len(values) != len(self.results):
            raise VerifyError(
                f"{self.name} has {len(self.results)} results, got {len(values)} to replace them", where=self.where
            )
        for result, value in zip(self.results, values):
            if result.name and not value.name and isinstance(value.owner, Operation):
                value.name = result.name
            result.replace_all_uses_with(value)
        self.erase()

    def walk(self) -> Iterator[Operation]:
        """This operation and all in its regions, outer ones first."""
        yield self
        for region in self.regions:
            yield from region.walk()

    def __repr__(self) -> str:
        return f"<Operation {self.name} at {self.where}>"


def known_value(value: Value | None) -> Partial | None:
    """What is known of an integer tensor while building, found through the operations that make it; else None.

    Answers are kept on the values; iterative, so chains of any length are followed.
    """
    if value is None or value._known is False:
        return None
    if value._known is not None:
        return value._known  # type: ignore[no-any-return]
    pending = [value]
    while pending:
        current = pending[-1]
        operation = current.defining_op
        if current._known is not None or operation is None:
            if current._known is None:
                current._known = False
            pending.pop()
            continue
        definition = operation.definition
        if type(definition).known is OpDef.known:
            for result in operation.results:
                result._known = False
            continue
        wanted = _Wanted(operation)
        known = definition.known(operation.operand_types(), wanted, **operation.attributes)
        if wanted.missing:
            pending.extend(wanted.missing)
            continue
        answers = known if isinstance(known, list) else [known]
        for result, answer in zip(operation.results, answers):
            result._known = False if answer is None else answer
    return None if value._known is False else value._known


def assume_known(argument: Value, known: Partial | None) -> None:
    """State what is known of the argument of a graph that was cut out of a larger one."""
    argument._known = known


def sizes_of(value: Value) -> set[str]:
    """Names of the sizes that a value brings: in its shape, and in what is known of its contents."""
    names: set[str] = set()
    if isinstance(value.type, TensorType):
        names.update(*map(symbols, value.type.shape or ()))
        if (known := known_value(value)) is not None:
            names.update(*(symbols(element) for element in known.reshape(-1) if isinstance(element, SymDim)))
    return names


class _Wanted:
    """Operand values on demand; remembers which are not computed yet, so that the caller can compute them first."""

    __slots__ = ("missing", "operation")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.missing: list[Value] = []

    def __getitem__(self, index: int) -> Partial | None:
        operands = self.operation.operands
        value = operands[index] if index < len(operands) else None
        if value is None or value._known is False:
            return None
        if value._known is None:
            self.missing.append(value)
            return None
        return value._known  # type: ignore[no-any-return]


class OperandValues:
    """`values` as inference sees them: known values of operands, computed when indexed."""

    __slots__ = ("operands",)

    def __init__(self, operands: Sequence[Value | None]) -> None:
        self.operands = operands

    def __getitem__(self, index: int) -> Partial | None:
        return known_value(self.operands[index]) if index < len(self.operands) else None
