"""Calls and control flow: bodies of calls are inlined, those of branches and loops become regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mm_core.ir import Graph, Value
from mm_core.types import Dim, TensorType
from mm_parser_tensorflow.importers.lists import TensorList
from mm_parser_tensorflow.node import Node, weight_of
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Moves, View, dtype_of, rank_of, shape_of, tensor_type

if TYPE_CHECKING:
    from mm_parser_tensorflow.reader import Function

FAMILY = Family()
op = FAMILY.op
_ATTEMPTS = 4
"""Times that a loop's body is read until the sizes that change are found."""


@op("PartitionedCall", "StatefulPartitionedCall", "RemoteCall")
def call(g: Graph, node: Node) -> Any:
    return node.reader.call(node, _function(node, "f"), node.operands())


def _function(node: Node, attribute: str) -> Function:
    return node.reader.function(str(node.proto.attr[attribute].func.name))


# --- what goes into a region and comes out ----------------------------------------------------------------------------


class Ports:
    """What a construct's functions take: values that go into a region as arguments, and what is the same inside."""

    def __init__(self, node: Node, operands: Sequence[Any]) -> None:
        self.operands = [node.scope.moves.plain(item) if isinstance(item, View) else item for item in operands]
        self.values: list[Value] = []
        for item in self.operands:
            value = item.rows if isinstance(item, TensorList) else item
            if isinstance(value, Value) and weight_of(value) is None and value not in self.values:
                self.values.append(value)
            if isinstance(item, TensorList) and item.rows is None and item.count is not None:
                self.values += [item.count] if weight_of(item.count) is None else []

    def inside(self, node: Node, region: Graph, arguments: Sequence[Value]) -> list[Any]:
        """The operands as a region sees them: its arguments, constants of its own, resources."""
        known = dict(zip(self.values, arguments))

        def seen(value: Value) -> Value:
            weight = weight_of(value)
            return known[value] if weight is None else node.reader.constant(region, weight)

        found: list[Any] = []
        for item in self.operands:
            if isinstance(item, TensorList):
                rows, count = (None if part is None else seen(part) for part in (item.rows, item.count))
                found.append(TensorList(item.dtype, rows, count))
            else:
                found.append(seen(item) if isinstance(item, Value) else item)
        return found


def _given(node: Node, region: Graph, result: Any) -> Value:
    """A result as a value that a region gives."""
    if isinstance(result, TensorList):
        if result.rows is None:
            raise node.unsupported("a list leaves a branch before any of its elements was set")
        result = result.rows
    if isinstance(result, View):
        result = Moves(region).plain(result)
    if not isinstance(result, Value):
        raise node.unsupported(f"{result} leaves a branch or loop")
    own = result.defining_op is not None and result.defining_op.parent is region
    return result if own else region.identity(result)


def _taken(result: Any, value: Value) -> Any:
    return TensorList(result.dtype, rows=value) if isinstance(result, TensorList) else value


# --- branches ---------------------------------------------------------------------------------------------------------


@op("If", "StatelessIf")
def if_(g: Graph, node: Node) -> Any:
    functions = [_function(node, name) for name in ("then_branch", "else_branch")]
    return _branch(g, node, truth(g, node.input(0)), functions, node.operands()[1:])


@op("Case", "StatelessCase")
def case(g: Graph, node: Node) -> Any:
    """An index outside of the branches takes the last one."""
    functions = [node.reader.function(str(item.name)) for item in node.proto.attr["branches"].list.func]
    return _cases(g, node, node.input(0), 0, functions, node.operands()[1:])


def _cases(g: Graph, node: Node, index: Value, first: int, functions: Sequence[Function], operands: list[Any]) -> Any:
    if len(functions) == 1:
        return node.reader.call(node, functions[0], operands, g)
    ports = Ports(node, [*operands, index])
    regions, results = [], []
    for rest, start in ((functions[:1], first), (functions[1:], first + 1)):
        region = _region(g, ports)
        *inside, number = ports.inside(node, region, region.arguments)
        found = _cases(region, node, number, start, rest, inside)
        results = found
        region.set_outputs([_given(node, region, item) for item in found])
        regions.append(region)
    made = g.if_(g.equal(index, first), *ports.values, regions=tuple(regions))
    return [_taken(result, value) for result, value in zip(results, made)]


def truth(g: Graph, value: Value) -> Value:
    """A condition as a bool scalar: of a number whether it is not zero, of a tensor whether it has elements."""
    if rank_of(value):
        return g.greater(g.size(value), 0)  # type: ignore[no-any-return]
    return value if dtype_of(value).kind == "bool" else g.not_equal(value, 0)


def _region(g: Graph, ports: Ports) -> Graph:
    region = Graph(within=g)
    region.locations = g.locations
    for value in ports.values:
        region.add_argument(value.type)
    return region


def _branch(g: Graph, node: Node, condition: Value, functions: Sequence[Function], operands: list[Any]) -> Any:
    known = weight_of(condition)
    if known is not None:
        return node.reader.call(node, functions[0 if known.numpy() else 1], operands, g)
    ports = Ports(node, operands)
    regions, found = [], []
    for function in functions:
        region = _region(g, ports)
        results = node.reader.call(node, function, ports.inside(node, region, region.arguments), region)
        found.append(results)
        regions.append(region)
    # What both branches hand through, or is no value, needs no result.
    kept = [place for place, pair in enumerate(zip(*found)) if not _is_same(*pair)]
    for region, results in zip(regions, found):
        region.set_outputs([_given(node, region, results[place]) for place in kept])
    made = dict(zip(kept, g.if_(condition, *ports.values, regions=tuple(regions))))
    return [_taken(result, made[place]) if place in made else result for place, result in enumerate(found[0])]


def _is_same(first: Any, second: Any) -> bool:
    return first is second and not isinstance(first, (Value, TensorList))


# --- loops ------------------------------------------------------------------------------------------------------------


@op("While", "StatelessWhile")
def while_(g: Graph, node: Node) -> Any:
    """What the body hands through as it came is no part of the loop's state."""
    body, condition = _function(node, "body"), _function(node, "cond")
    fixed = _handed_through(body)
    operands = node.operands()
    for place, item in enumerate(operands):
        if isinstance(item, View):
            operands[place] = node.scope.moves.plain(item)
    states = [place for place in range(len(operands)) if place not in fixed]
    loop = _Loop(g, node, body, condition, operands, states)
    return loop.build()


def _handed_through(body: Function) -> set[int]:
    """The places of arguments that the body gives back as they are."""
    nodes = {str(node.name): node for node in body.nodes}
    found = set()
    for place, result in enumerate(body.results):
        name = result.partition(":")[0]
        while name in nodes and nodes[name].op == "Identity":
            name = str(nodes[name].input[0]).partition(":")[0]
        if place < len(body.arguments) and name == body.arguments[place]:
            found.add(place)
    return found


class _Loop:
    """One loop while it is read. `states` are the places of the operands that the body changes."""

    def __init__(
        self, g: Graph, node: Node, body: Function, condition: Function, operands: list[Any], states: list[int]
    ) -> None:
        self.g, self.node, self.body, self.condition = g, node, body, condition
        self.operands, self.states = operands, states
        self.changing: set[Dim] = set()
        """Sizes of the state that a turn changes."""

    def build(self) -> Any:
        self._fill_lists()
        carried = [self._value(self.operands[place]) for place in self.states]
        ports = Ports(self.node, [item for place, item in enumerate(self.operands) if place not in self.states])
        types = [tensor_type(value) for value in carried]
        for _ in range(_ATTEMPTS):
            region, wider = self._read(types, ports)
            if wider == types:
                break
            types = wider
        else:
            raise self.node.unsupported("the shapes of the loop's state do not settle")
        start = self._asked(self.g, self.operands)
        made = self.g.loop(None, start, *carried, *ports.values, carried=len(carried), regions=(region,))
        results = list(self.operands)
        for place, value in zip(self.states, made):
            results[place] = _taken(self.operands[place], value)
        return results

    def _value(self, item: Any) -> Value:
        value = item.rows if isinstance(item, TensorList) else item
        if not isinstance(value, Value):
            raise self.node.unsupported(f"the loop changes {item}")
        return value

    def _read(self, types: list[TensorType], ports: Ports) -> tuple[Graph, list[TensorType]]:
        """The loop's region for a state of the types given, and the types that the state must have at least."""
        region = Graph(within=self.g)
        region.locations = self.g.locations
        region.add_input("", "int64", ())
        region.add_input("", "bool", ())
        state = [region.add_argument(type_) for type_ in types]
        others = [region.add_argument(value.type) for value in ports.values]
        arguments = self._arguments(region, state, ports, others)
        results = self.node.reader.call(self.node, self.body, arguments, region)
        after = list(arguments)
        for place in self.states:
            after[place] = results[place]
        given = [_given(self.node, region, after[place]) for place in self.states]
        going = self._asked(region, after)
        region.set_outputs([_given(self.node, region, going), *given])
        return region, [self._wider(type_, tensor_type(value)) for type_, value in zip(types, given)]

    def _arguments(self, region: Graph, state: list[Value], ports: Ports, others: list[Value]) -> list[Any]:
        inside = iter(ports.inside(self.node, region, others))
        values = iter(state)
        return [
            _taken(item, next(values)) if place in self.states else next(inside)
            for place, item in enumerate(self.operands)
        ]

    def _asked(self, g: Graph, arguments: list[Any]) -> Value:
        """Whether the loop goes on."""
        (answer,) = self.node.reader.call(self.node, self.condition, arguments, g)
        return truth(g, answer)

    def _wider(self, before: TensorType, after: TensorType) -> TensorType:
        """The type before, with a size of its own for each that a turn changes."""
        if before == after:
            return before
        if before.dtype is not after.dtype or len(before.shape or ()) != len(after.shape or ()):
            raise self.node.unsupported(f"a turn of the loop makes {after} of {before}")
        pairs = zip(before.shape or (), after.shape or ())
        return before.with_shape(old if old == new or old in self.changing else self._fresh() for old, new in pairs)

    def _fresh(self) -> Dim:
        size = self.g.fresh_symbol()
        self.changing.add(size)
        return size

    # Lists that are empty at first: the shape of their elements shows in the body.

    def _fill_lists(self) -> None:
        waiting = [
            place
            for place in self.states
            if isinstance(self.operands[place], TensorList) and self.operands[place].rows is None
        ]
        if not waiting:
            return
        region = Graph(within=self.g)
        ports = Ports(self.node, self.operands)
        arguments = ports.inside(self.node, region, [region.add_argument(value.type) for value in ports.values])
        results = self.node.reader.call(self.node, self.body, arguments, region)
        for place in waiting:
            found = results[place]
            if not isinstance(found, TensorList) or found.rows is None:
                raise self.node.unsupported("a list is not set in the body of the loop")
            shape = shape_of(found.rows)[1:]
            self.operands[place] = TensorList(found.dtype, rows=self._zeros(self.operands[place], found, shape, ports))

    def _zeros(self, before: TensorList, found: TensorList, shape: Sequence[Dim], ports: Ports) -> Value:
        g = self.g
        assert before.count is not None
        sizes = [g.reshape(before.count, [1]), *(self._size(dim, ports) for dim in shape)]
        return g.expand(g.constant(0, found.dtype), g.concat(*sizes, axis=0))  # type: ignore[no-any-return]

    def _size(self, dim: Dim, ports: Ports) -> Value:
        """A size as a vector of one: a number, or read from an operand that has it."""
        if isinstance(dim, int):
            return self.g.constant([dim], "int64")
        for value in ports.values:
            for axis, own in enumerate(shape_of(value)):
                if own == dim:
                    return self.g.shape(value, start=axis, end=axis + 1)  # type: ignore[no-any-return]
        raise self.node.unsupported(f"the size {dim} of a list's elements is that of no operand of the loop")
