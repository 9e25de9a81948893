"""Control flow: subgraphs become regions, and what they read from outside becomes operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, Dim, OptionalType, TensorType, ValueType
from mm_parser_onnx.captures import Captures
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_INT64, _BOOL = BY_NAME["int64"], BY_NAME["bool"]


@op("If")
def if_(g: Graph, node: Node) -> Any:
    """A branch that can be chosen while parsing is read in place of the node."""
    branches, reader = (node.graph("then_branch"), node.graph("else_branch")), node.reader
    known = node.constant(0)
    if known is not None:
        return reader.read_inline(node, branches[0 if known.all() else 1])
    captures = reader.captures(node.scope, *branches)
    regions = tuple(
        reader.read_region(node, branch, (), captures, label) for branch, label in zip(branches, ("then", "else"))
    )
    return g.if_(node.input(), *captures.operands, regions=regions)


@op("Loop")
def loop(g: Graph, node: Node) -> Any:
    trips, condition = (None if node.optional(index) is None else node.scalar(index) for index in (0, 1))
    initial = [node.input(index) for index in range(2, len(node.inputs))]
    body = node.graph("body")
    captures = node.reader.captures(node.scope, body)
    scalars = (TensorType(_INT64, ()), TensorType(_BOOL, ()))

    def read(types: Sequence[ValueType]) -> tuple[Graph, Sequence[ValueType]]:
        region = node.reader.read_region(node, body, (*scalars, *types), captures, "body")
        return region, region.output_types[1:]

    initial = _ranked(g, initial, read)
    region = _settled(node, [value.type for value in initial], read)
    return g.loop(trips, condition, *initial, *captures.operands, carried=len(initial), regions=(region,))


@op("Scan")
def scan_8(g: Graph, node: Node) -> Any:
    """The first axis of everything is the batch: a scan over it, of the scan over the second axis."""
    operands, lens = [node.input(index) for index in range(1, len(node.inputs))], node.optional(0)
    captures = node.reader.captures(node.scope, node.graph("body"))
    outer = Graph(within=g)
    scanned = operands if lens is None else [*operands, lens]
    rows = [outer.add_argument(value.type.with_shape(value.type.shape[1:])) for value in scanned]  # type: ignore
    captured = [outer.add_argument(value.type) for value in captures.operands]
    reverse = tuple(map(bool, node.ints("directions", ())))
    states = len(operands) - node.int("num_scan_inputs", 0)
    if lens is None:
        results = _scan(outer, node, rows, captured, captures, input_reverse=reverse)
    else:
        # What is behind a sequence's end is cut off before, and zeros take its place afterwards.
        end, length = outer.sizes(outer.reshape(rows.pop(), [1])), outer.shape(rows[-1], start=0, end=1)
        rows[states:] = [outer.slice(row, [0], end, [0]) for row in rows[states:]]
        missing = outer.sub(length, outer.shape(rows[-1], start=0, end=1))
        results = _scan(outer, node, rows, captured, captures, input_reverse=reverse)
        padded = [outer.pad(y, outer.concat([0], missing, axis=0), axes=(0,)) for y in results[states:]]
        results = (*results[:states], *padded)
    outer.set_outputs(results)
    return list(g.scan(*scanned, *captures.operands, states=0, scans=len(scanned), regions=(outer,)))


@op("Scan", since=9)
def scan_9(g: Graph, node: Node) -> Any:
    captures = node.reader.captures(node.scope, node.graph("body"))
    return _scan(
        g,
        node,
        node.operands(),
        captures.operands,
        captures,
        input_axes=node.ints("scan_input_axes", ()),
        input_reverse=tuple(map(bool, node.ints("scan_input_directions", ()))),
        output_axes=node.ints("scan_output_axes", ()),
        output_reverse=tuple(map(bool, node.ints("scan_output_directions", ()))),
    )


def _scan(
    g: Graph, node: Node, operands: Sequence[Value], captured: Sequence[Value], captures: Captures, **places: Any
) -> Any:
    """A scan in `g`, where `captured` are the values that the body reads from outside."""
    scans = node.int("num_scan_inputs", 0)
    states = len(operands) - scans
    if not 1 <= scans <= len(operands):
        raise node.unsupported(f"num_scan_inputs is {scans} of {len(operands)} inputs")
    slices = [
        _slice_type(node, value, axis)
        for value, axis in zip(operands[states:], places.get("input_axes") or (0,) * scans)
    ]

    def read(types: Sequence[ValueType]) -> tuple[Graph, Sequence[ValueType]]:
        region = node.reader.read_region(node, node.graph("body"), (*types, *slices), captures, "body")
        return region, region.output_types

    region = _settled(node, [value.type for value in operands[:states]], read)
    return g.scan(*operands, *captured, states=states, scans=scans, regions=(region,), **places)


def _slice_type(node: Node, value: Value, axis: int) -> ValueType:
    type_ = value.type
    if not isinstance(type_, TensorType) or type_.shape is None or not -len(type_.shape) <= axis < len(type_.shape):
        raise node.unsupported(f"a {type_} cannot be scanned along axis {axis}")
    shape = list(type_.shape)
    del shape[axis]
    return type_.with_shape(shape)


def _ranked(
    g: Graph, initial: list[Value], read: Callable[[Sequence[ValueType]], tuple[Graph, Sequence[ValueType]]]
) -> list[Value]:
    """The values that enter a loop; empty sequences of a known rank where the loop fills them with such tensors."""
    empty = [index for index, value in enumerate(initial) if _is(value, "mm.sequence_empty")]
    if not empty:
        return initial
    region, _ = read([value.type for value in initial])
    found = list(initial)
    for index in empty:
        output = region.outputs[1 + index]
        inserted = output.defining_op.operands[1] if _is(output, "mm.sequence_insert") else None  # type: ignore[union-attr]
        if inserted is not None and isinstance(inserted.type, TensorType) and inserted.type.shape is not None:
            found[index] = g.sequence_empty(dtype=inserted.type.dtype, rank=len(inserted.type.shape))
    return found


def _is(value: Value, operator: str) -> bool:
    return value.defining_op is not None and value.defining_op.name == operator


def _settled(
    node: Node, types: list[ValueType], read: Callable[[Sequence[ValueType]], tuple[Graph, Sequence[ValueType]]]
) -> Graph:
    """The region of a loop. Sizes that change from one iteration to the next are made unknown, until none does."""
    changing: set[Dim] = set()

    def fresh() -> Dim:
        dim = node.reader.symbols.fresh(node.scope.graph)
        changing.add(dim)
        return dim

    for last in (False, True):
        region, outputs = read(types)
        wider = [_wider(before, after, changing, None if last else fresh) for before, after in zip(types, outputs)]
        if wider == types:
            return region
        types = wider
    return read(types)[0]


def _wider(before: ValueType, after: ValueType, changing: set[Dim], fresh: Callable[[], Dim] | None) -> ValueType:
    """A type that holds both; `before` itself if it does. Without `fresh` any difference gives the shape up."""
    if isinstance(before, OptionalType):
        present = after.element if isinstance(after, OptionalType) else after
        return OptionalType(_wider(before.element, present, changing, fresh))
    if not isinstance(before, TensorType) or not isinstance(after, TensorType):
        if type(before) is not type(after) or isinstance(before, TensorType) or isinstance(after, TensorType):
            return before  # The operator's own check says what is wrong.
        return type(before)(_wider(before.element, after.element, changing, fresh))
    if before.shape is None or before.shape == after.shape:
        return before
    if after.shape is None or len(after.shape) != len(before.shape):
        return TensorType(before.dtype, None)
    fixed = [mine == other or mine in changing for mine, other in zip(before.shape, after.shape)]
    if all(fixed):
        return before
    if fresh is None:
        return TensorType(before.dtype, None)
    return before.with_shape(mine if stays else fresh() for mine, stays in zip(before.shape, fixed))
