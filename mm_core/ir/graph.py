"""Graphs: one block of operations with arguments and outputs; an operation's regions are graphs too.

Every registered operator of the `mm` dialect is a method: `graph.relu(x)`. Other dialects go through
`graph.op("vendor.scale", x, factor=2.0)`. Regions are isolated: a region reads its own arguments and operations only,
and what it needs from outside is passed to it as an operand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np

from mm_core.errors import MMError, UnsupportedOpError, VerifyError
from mm_core.ir.operation import Location, OperandValues, Operation, Value, known_value, sizes_of
from mm_core.ops import Arity, OpDef, lookup
from mm_core.types import (
    Dim,
    DType,
    SymDim,
    TensorData,
    TensorType,
    ValueType,
    as_dtype,
    as_shape,
    evaluate,
    map_tensors,
    symbol,
    symbols,
)

_FRESH = re.compile(r"d[0-9]{1,9}")


class Builder:
    """Creates operations at one place of a graph: at its end, or before `before`.

    `locations` mark every operation made. Operands may be values, arrays and Python scalars; the latter two become
    constants, scalars of the element type that the other operands have.
    """

    __slots__ = ("before", "graph", "locations")

    def __init__(self, graph: Graph, before: Operation | None = None, locations: Iterable[Location] = ()) -> None:
        self.graph = graph
        self.before = before
        self.locations: frozenset[Location] = frozenset(locations)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            definition = lookup(f"mm.{name.rstrip('_')}")
        except MMError as error:
            raise AttributeError(str(error)) from None

        def build(*operands: Any, **keywords: Any) -> Any:
            return self._build(definition, operands, keywords)

        build.__name__, build.__doc__ = name, definition.__doc__
        return build

    def op(self, op_name: str, /, *operands: Any, **keywords: Any) -> Any:
        """Build any registered operator by its full name. Returns its value, or a tuple of several."""
        return self._build(lookup(op_name), operands, keywords)

    @contextmanager
    def at(self, *locations: Location) -> Iterator[None]:
        """Operations built inside the block carry these source locations."""
        before, self.locations = self.locations, frozenset(locations)
        try:
            yield
        finally:
            self.locations = before

    def constant(self, value: Any, dtype: Any = None, *, key: str | None = None) -> Value:
        """A constant from an array, a TensorData or anything numpy takes."""
        if not isinstance(value, TensorData):
            array = np.asarray(value)
            if dtype is None and array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
                dtype = "float32"
            wanted = None if dtype is None else as_dtype(dtype)
            value = TensorData.of(array if wanted is None else array.astype(wanted.numpy), key=key)
        operation = self.create(lookup("mm.constant"), (), {"value": value})
        return operation.results[0]

    def sizes(self, x: Value) -> Value:
        """The integers of `x` (int32 or int64, a scalar or a vector of static length) as sizes: `mm.sizes`.

        Elements that are not known while building are symbols from here on; if all are known this is `x` itself.
        """
        known = known_value(x)
        if known is not None and all(element is not None for element in known.reshape(-1).tolist()):
            return x
        count = x.type.element_count() if isinstance(x.type, TensorType) else None
        if not isinstance(count, int):
            raise VerifyError(f"sizes cannot be read from {x.type}", remedy="give a vector of static length")
        names = tuple(str(self.graph.fresh_symbol()) for _ in range(count))
        return self.create(lookup("mm.sizes"), (x,), {"names": names}).results[0]

    def _build(self, definition: OpDef, operands: Sequence[Any], keywords: dict[str, Any]) -> Any:
        name = keywords.pop("name", None)
        regions = keywords.pop("regions", ())
        if definition.name == "mm.constant":
            return self.constant(*operands, **keywords)
        operands = list(operands)
        for index, schema in enumerate(definition.operands):
            if schema.name in keywords and schema.arity is not Arity.VARIADIC:
                operands.extend([None] * (index + 1 - len(operands)))
                operands[index] = keywords.pop(schema.name)
        if definition.operands and definition.operands[-1].arity is Arity.VARIADIC:
            last = len(definition.operands) - 1
            if len(operands) == last + 1 and isinstance(operands[last], (list, tuple)):
                operands[last:] = operands[last]
        locations = self.locations if name is None else frozenset({Location("", name)})
        values = self._as_values(definition, operands)
        while values and values[-1] is None:
            values.pop()
        operation = self.create(definition, values, keywords, regions, locations=locations)
        if name is not None and len(operation.results) == 1:
            operation.results[0].name = name
        results = operation.results
        return results[0] if len(definition.results) == 1 and not definition.results[0].variadic else results

    def _as_values(self, definition: OpDef, operands: Sequence[Any]) -> list[Value | None]:
        bound: dict[object, DType] = {}
        for index, operand in enumerate(operands):
            if isinstance(operand, Value) and isinstance(operand.type, TensorType) and definition.operands:
                bound.setdefault(definition.operand_schema(index).dtype, operand.type.dtype)
        values: list[Value | None] = []
        for index, operand in enumerate(operands):
            if operand is None or isinstance(operand, Value):
                values.append(operand)
            elif isinstance(operand, (np.ndarray, np.generic, TensorData)):
                values.append(self.constant(operand))
            elif isinstance(operand, (bool, int, float, complex, str, list, tuple)) and definition.operands:
                schema = definition.operand_schema(index).dtype
                dtype = bound.get(schema)
                if dtype is None and schema is not None:
                    allowed = definition.dtypes[schema] if isinstance(schema, str) else schema
                    dtype = _natural_dtype(operand, allowed)
                values.append(self.constant(operand, dtype))
            else:
                raise UnsupportedOpError(
                    f"{definition.name}: operand {index} is a {type(operand).__name__}",
                    remedy="pass values of this graph, arrays or numbers",
                )
        return values

    def create(
        self,
        definition: OpDef,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        regions: Sequence[Graph] = (),
        result_types: Sequence[ValueType] | None = None,
        locations: Iterable[Location] | None = None,
    ) -> Operation:
        """Create and insert an operation; result types are inferred unless given."""
        places = self.locations if locations is None else frozenset(locations)
        try:
            normal = definition.normalize_attributes(attributes)
            if result_types is None:
                result_types = self.infer(definition, operands, normal, regions)
            operation = Operation(definition, operands, result_types, normal, regions, places)
        except MMError as error:
            raise error.located(", ".join(sorted(map(str, places)))) from None
        self.graph.insert(operation, self.before)
        return operation

    def infer(
        self,
        definition: OpDef,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        regions: Sequence[Graph] = (),
    ) -> list[ValueType]:
        """Result types by the operator's definition, with fresh symbols for sizes that only running tells."""
        types = [None if operand is None else operand.type for operand in operands]
        inferred = definition.infer_types(types, OperandValues(operands), attributes, regions)
        return [map_tensors(type_, self._name_unknown) for type_ in inferred]

    def _name_unknown(self, type_: TensorType) -> TensorType:
        if type_.shape is None or None not in type_.shape:
            return type_
        return type_.with_shape(self.graph.fresh_symbol() if dim is None else dim for dim in type_.shape)

    def inline(self, region: Graph, operands: Sequence[Value | None]) -> tuple[Value, ...]:
        """Copy a region's operations here, its arguments replaced by `operands`; returns its outputs' values."""
        mapping = dict(zip(region.arguments, operands))
        for operation in region.operations:
            copy_operation(operation, mapping, self)
        return tuple(mapping[value] for value in region.outputs)  # type: ignore[misc]


def _natural_dtype(operand: Any, allowed: frozenset[DType]) -> DType | None:
    names = {bool: "bool", int: "int64", float: "float32", complex: "complex64", str: "string"}
    first = operand
    while isinstance(first, (list, tuple)):
        if not first:
            return as_dtype("int64") if as_dtype("int64") in allowed else None
        first = first[0]
    dtype = as_dtype(names[type(first)]) if type(first) in names else None
    return dtype if dtype in allowed else None


def copy_operation(operation: Operation, mapping: dict[Value, Any], builder: Builder) -> Operation:
    """Copy an operation, its operands read through `mapping`, to the builder's place; results join the mapping.

    Locations are the operation's own and the builder's; types are kept.
    """
    copy = Operation(
        operation.definition,
        [None if operand is None else mapping[operand] for operand in operation.operands],
        [result.type for result in operation.results],
        dict(operation.attributes),
        [region.clone() for region in operation.regions],
        operation.locations | builder.locations,
    )
    builder.graph.insert(copy, builder.before)
    for old, new in zip(operation.results, copy.results):
        new.name = old.name
        mapping[old] = new
    return copy


class Graph(Builder):
    """A single block of operations in SSA form. `outputs` are the operands of its terminator, `mm.yield`.

    A region is made with `within`, the graph it will belong to, so that fresh symbols are unique in both.
    """

    __slots__ = ("_counter", "_first", "_size", "arguments", "owner", "terminator")

    def __init__(self, within: Graph | None = None) -> None:
        super().__init__(self)
        self.arguments: list[Value] = []
        self.owner: Operation | None = None
        self._size = 0
        self._counter: list[int] = [0] if within is None else within._counter
        self.terminator = Operation(lookup("mm.yield"), (), (), {})
        self.terminator.parent = self
        self._first: Operation | None = self.terminator

    # --- arguments and outputs --------------------------------------------------------------------------------------

    def add_argument(self, type_: ValueType, name: str = "") -> Value:
        """A new argument of the given type."""
        value = Value(type_, self, len(self.arguments), name)
        self.arguments.append(value)
        self._reserve(type_)
        return value

    def add_input(self, name: str, dtype: object, shape: Iterable[object]) -> Value:
        """A new tensor argument; dimensions are ints, names (or expressions), or None for a fresh symbol."""
        element, dims = as_dtype(dtype), list(shape)
        self._reserve(TensorType(element, as_shape(dim for dim in dims if dim is not None)))
        known = as_shape(self.fresh_symbol() if dim is None else dim for dim in dims)
        return self.add_argument(TensorType(element, known), name)

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self.terminator.operands  # type: ignore[return-value]

    def set_outputs(self, values: Sequence[Value]) -> None:
        self.terminator.set_operands(values)

    def mark_output(self, value: Value, name: str | None = None) -> None:
        """Append an output."""
        if name:
            value.name = value.name or name
        self.set_outputs((*self.outputs, value))

    @property
    def argument_types(self) -> tuple[ValueType, ...]:
        return tuple(value.type for value in self.arguments)

    @property
    def output_types(self) -> tuple[ValueType, ...]:
        return tuple(value.type for value in self.outputs)

    # --- the list of operations ---------------------------------------------------------------------------------------

    @property
    def operations(self) -> Iterator[Operation]:
        """Operations in order, without the terminator. Erasing any of them while iterating is safe."""
        current = self._first
        while current is not None and current is not self.terminator:
            following = current._next
            yield current
            current = current._next if current.parent is self else following
            while current is not None and current.parent is not self:
                current = current._next

    def __iter__(self) -> Iterator[Operation]:
        return self.operations

    def __len__(self) -> int:
        return self._size

    def walk(self) -> Iterator[Operation]:
        """All operations, those in regions included, outer ones first."""
        for operation in self.operations:
            yield operation
            for region in operation.regions:
                yield from region.walk()

    def insert(self, operation: Operation, before: Operation | None = None) -> None:
        """Link an operation in front of `before`, or at the end."""
        place = before or self.terminator
        if operation.parent is not None or place.parent is not self:
            raise VerifyError(f"{operation.name} or its place is in another graph already", where=operation.where)
        previous = place._previous
        operation._previous, operation._next, operation.parent = previous, place, self
        place._previous = operation
        if previous is None:
            self._first = operation
        else:
            previous._next = operation
        self._size += 1
        for result in operation.results:
            self._reserve(result.type)
        for region in operation.regions:
            self._share_counter(region)

    def unlink(self, operation: Operation) -> None:
        """Take an operation out of the list; its operands and uses stay."""
        previous, following = operation._previous, operation._next
        if previous is None:
            self._first = following
        else:
            previous._next = following
        if following is not None:
            following._previous = previous
        # `_next` stays for an iteration that stands on this operation.
        operation._previous, operation.parent = None, None
        self._size -= 1

    def move(self, operation: Operation, before: Operation | None = None) -> None:
        """Move an operation in front of `before`, or to the end."""
        assert operation.parent is not None
        operation.parent.unlink(operation)
        self.insert(operation, before)

    # --- symbols, copies ----------------------------------------------------------------------------------------------

    def fresh_symbol(self) -> SymDim:
        """A dimension name that is new to this graph and, made with `within`, to the graphs around it."""
        self._counter[0] += 1
        return symbol(f"d{self._counter[0]}")

    def _reserve(self, type_: ValueType) -> None:
        """Keep fresh symbols apart from those of a type."""
        while not isinstance(type_, TensorType):
            type_ = type_.element
        for dim in type_.shape or ():
            if not isinstance(dim, int):
                for name in symbols(dim):
                    if _FRESH.fullmatch(name):
                        self._counter[0] = max(self._counter[0], int(name[1:]))

    def _share_counter(self, region: Graph) -> None:
        if region._counter is not self._counter:
            self._counter[0] = max(self._counter[0], region._counter[0])
            region._counter = self._counter
            for operation in region.operations:
                for inner in operation.regions:
                    self._share_counter(inner)

    def symbols(self) -> set[str]:
        """Names of the sizes that the arguments bring: in their shapes, and in what is known of their contents."""
        return {name for argument in self.arguments for name in sizes_of(argument)}

    def substitute(self, bindings: Mapping[str, Dim]) -> None:
        """Replace symbols in the types of all values, those of regions included."""

        def replaced(type_: TensorType) -> TensorType:
            return type_ if type_.shape is None else type_.with_shape(evaluate(dim, bindings) for dim in type_.shape)

        graphs = [self, *(region for operation in self.walk() for region in operation.regions)]
        for graph in graphs:
            for value in chain(graph.arguments, *(operation.results for operation in graph.operations)):
                value.type = map_tensors(value.type, replaced)
            for operation in graph.operations:
                operation.forget_known()

    @property
    def root(self) -> Graph:
        """The outermost graph: this one, or the one around all the operations that it is a region of."""
        graph = self
        while graph.owner is not None and graph.owner.parent is not None:
            graph = graph.owner.parent
        return graph

    def clone(self) -> Graph:
        """A deep copy; constant data is shared."""
        copy = type(self)()
        self._copy_into(copy)
        return copy

    def _copy_into(self, copy: Graph) -> dict[Value, Any]:
        mapping: dict[Value, Any] = {}
        for argument in self.arguments:
            mapping[argument] = copy.add_argument(argument.type, argument.name)
        for operation in self.operations:
            copy_operation(operation, mapping, copy)
        copy.set_outputs([mapping[value] for value in self.outputs])
        return mapping
