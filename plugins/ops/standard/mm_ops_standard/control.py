"""Control flow: if, loop and scan. A region gets what it needs from outside as arguments after its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import VerifyError
from mm_core.ir import Graph, Value
from mm_core.ops import BOOL, Arity, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, TensorType, agree, evaluate, symbols
from mm_core.types.dtypes import bool_, int64
from mm_ops_standard.checks import require
from mm_ops_standard.joining import join, visible_symbols
from mm_ops_standard.shapes import axis_of

_SCALAR_INDEX = frozenset({BY_NAME["int64"]})


class If(OpDef):
    """The outputs of the first region where the condition holds, else of the second. Both get the inputs."""

    name = "mm.if"
    tier = Tier.HOST
    operands = (Operand("condition", BOOL), Operand("inputs", None, Arity.VARIADIC))
    results = (Result("outputs", None, variadic=True),)
    regions = 2
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, regions: Any) -> Any:
        inputs, (then_types, else_types) = types[1:], (region.output_types for region in regions)
        for region in regions:
            check_arguments(self.name, region, inputs)
        if len(then_types) != len(else_types):
            raise VerifyError(f"{self.name}: one branch has {len(then_types)} outputs, the other {len(else_types)}")
        visible = visible_symbols(inputs)
        pairs = enumerate(zip(then_types, else_types))
        return [join(pair, f"{self.name}: output {index}", visible) for index, pair in pairs]

    def reference(self, condition: Any, *inputs: Any, regions: Any) -> Any:
        return regions[0 if np.asarray(condition).item() else 1](*inputs)


class Loop(OpDef):
    """Runs the region while the condition holds, at most `trip_count` times; without either, the other decides.

    The first `carried` values go from one iteration to the next, the others stay the same. The region's arguments:
    the iteration's number (int64 scalar), the condition (bool scalar), carried values, the others. Its outputs: the
    next condition, the next carried values, and values collected from each iteration. Results: the last carried
    values, then the collected ones, stacked along a new first axis.
    """

    name = "mm.loop"
    tier = Tier.HOST
    operands = (
        Operand("trip_count", _SCALAR_INDEX, Arity.OPTIONAL),
        Operand("condition", BOOL, Arity.OPTIONAL),
        Operand("values", None, Arity.VARIADIC),
    )
    results = (Result("outputs", None, variadic=True),)
    attributes = (Attribute("carried", int, 0),)
    regions = 1
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, carried: int, regions: Any) -> Any:
        body, inputs = regions[0], types[2:]
        outputs = body.output_types
        if not 0 <= carried <= len(inputs) or len(outputs) < 1 + carried:
            raise VerifyError(
                f"{self.name}: {carried} carried values, {len(inputs)} values, {len(outputs)} outputs of the region",
                remedy="the region gives the condition, every carried value, then what is collected",
            )
        scalars = (TensorType(int64, ()), TensorType(bool_, ()))
        check_arguments(self.name, body, (*scalars, *inputs))
        visible = visible_symbols(inputs)
        results = []
        for index in range(carried):
            what = f"{self.name}: carried value {index}"
            check_carried(what, body.argument_types[2 + index], outputs[1 + index], visible)
            results.append(join([inputs[index], outputs[1 + index]], what, visible))
        trips: Any = None
        if types[0] is not None and _always_goes_on(types[1], values, body):
            known = values[0]
            trips = None if known is None else known.flat[0]
        for index, type_ in enumerate(outputs[1 + carried :]):
            if not isinstance(type_, TensorType):
                raise VerifyError(f"{self.name}: collected value {index} is {type_}, a tensor is needed")
            inner = join([type_], self.name, visible)
            results.append(inner if inner.shape is None else TensorType(inner.dtype, (trips, *inner.shape)))
        return results

    def reference(self, trip_count: Any, condition: Any, *values: Any, carried: int, regions: Any) -> Any:
        state, fixed = values[:carried], values[carried:]
        going = condition is None or bool(np.asarray(condition).item())
        limit = None if trip_count is None else np.asarray(trip_count).item()
        collected: list[tuple[Any, ...]] = []
        while going and (limit is None or len(collected) < limit):
            step = regions[0](np.array(len(collected), np.int64), np.array(going), *state, *fixed)
            going, state = bool(np.asarray(step[0]).item()), step[1 : 1 + carried]
            collected.append(step[1 + carried :])
        if not collected:
            return *state, *_nothing_collected(regions[0], 1 + carried, (None, None, *values))
        return *state, *map(np.stack, zip(*collected))


def _nothing_collected(region: Any, first: int, arguments: Any) -> list[Any]:
    """Outputs from number `first` on, stacked over no iteration. Sizes that only an iteration would tell are 0."""
    sizes = {
        str(dim): size
        for type_, value in zip(region.argument_types, arguments)
        if isinstance(type_, TensorType) and isinstance(value, np.ndarray)
        for dim, size in zip(type_.shape or (), value.shape)
    }
    found = []
    for type_ in region.output_types[first:]:
        dims = [evaluate(dim, sizes) for dim in type_.shape or ()]
        found.append(np.empty([0, *(dim if isinstance(dim, int) else 0 for dim in dims)], type_.dtype.numpy))
    return found


def check_arguments(op: str, region: Any, given: Any) -> None:
    """Each argument of a region must be able to hold its operand."""
    expected = region.argument_types
    if len(expected) != len(given):
        raise VerifyError(f"{op}: the region takes {len(expected)} arguments, gets {len(given)}")
    for index, (mine, theirs) in enumerate(zip(expected, given)):
        join([mine, theirs], f"{op}: argument {index} of the region")
        shapes = [getattr(type_, "shape", None) for type_ in (mine, theirs)]
        if None not in shapes and any(isinstance(dim, int) and dim != other for dim, other in zip(*shapes)):
            raise VerifyError(f"{op}: argument {index} of the region is {mine}, its operand {theirs}")


def check_carried(what: str, argument: Any, output: Any, visible: set[str]) -> None:
    """A size that the region takes as fixed must come out as it went in, for the next iteration relies on it."""
    join([argument, output], what)
    shapes: list[Any] = [getattr(type_, "shape", None) for type_ in (argument, output)]
    if None in shapes:
        return
    fixed = [(dim, other) for dim, other in zip(*shapes) if symbols(dim) <= visible]
    if len(shapes[0]) != len(shapes[1]) or any(dim != other for dim, other in fixed):
        raise VerifyError(
            f"{what} enters as {argument} and leaves as {output}",
            remedy="give the region's argument a new symbol where the size changes, or an unknown shape",
        )


def _always_goes_on(condition: Any, values: Any, body: Graph) -> bool:
    """Whether only the trip count ends the loop."""
    if condition is not None:
        known = values[1]
        if known is None or known.flat[0] is not True:
            return False
    following = body.outputs[0]
    if following is body.arguments[1]:
        return True
    source = following.defining_op
    if source is not None and source.name == "mm.identity":
        return source.operands[0] is body.arguments[1]
    return source is not None and source.name == "mm.constant" and bool(source.attributes["value"].numpy().all())


class Scan(OpDef):
    """Runs the region once for each slice of the scanned values, with states that go from one to the next.

    Values: `states` of them are states, the next `scans` are cut along `input_axes` (default 0; backwards where
    `input_reverse`), the others stay the same. The region's arguments are in this order, with slices for the scanned;
    its outputs are the next states, then values stacked along `output_axes` (first to last, or `output_reverse`).
    """

    name = "mm.scan"
    tier = Tier.HOST
    operands = (Operand("values", None, Arity.VARIADIC),)
    results = (Result("outputs", None, variadic=True),)
    attributes = (
        Attribute("states", int),
        Attribute("scans", int),
        Attribute("input_axes", (int,), ()),
        Attribute("input_reverse", (bool,), ()),
        Attribute("output_axes", (int,), ()),
        Attribute("output_reverse", (bool,), ()),
    )
    regions = 1
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, states: int, scans: int, regions: Any, **places: Any) -> Any:
        body = regions[0]
        if states < 0 or scans < 1 or len(types) < states + scans or len(body.output_types) < states:
            raise VerifyError(f"{self.name}: {states} states and {scans} scanned values do not fit {len(types)} values")
        for name, count in (("input", scans), ("output", len(body.output_types) - states)):
            for given in (places[f"{name}_axes"], places[f"{name}_reverse"]):
                require(len(given) in (0, count), f"{self.name}: {len(given)} {name} axes or directions for {count}")
        ranked = all(getattr(type_, "shape", None) is not None for type_ in types[states : states + scans])
        require(ranked, f"{self.name}: what is scanned must be tensors of known rank")
        axes, _ = self._inputs(types, states, scans, places)
        length, slices = None, []
        for type_, axis in zip(types[states:], axes):
            length = type_.shape[axis] if length is None else agree(length, type_.shape[axis], f"{self.name}: lengths")
            slices.append(type_.with_shape(type_.shape[:axis] + type_.shape[axis + 1 :]))
        check_arguments(self.name, body, (*types[:states], *slices, *types[states + scans :]))
        visible = visible_symbols(types)
        results = []
        for index, (type_, output) in enumerate(zip(types[:states], body.output_types)):
            check_carried(f"{self.name}: state {index}", body.argument_types[index], output, visible)
            results.append(join([type_, output], f"{self.name}: state {index}", visible))
        stacked = [join([type_], self.name, visible) for type_ in body.output_types[states:]]
        for type_, (axis, _) in zip(stacked, self._outputs(stacked, places)):
            shape = type_.shape
            results.append(TensorType(type_.dtype, None if shape is None else shape[:axis] + (length,) + shape[axis:]))
        return results

    def _inputs(self, items: Any, states: int, scans: int, places: Any) -> tuple[list[int], list[bool]]:
        """Axis and direction of each scanned value."""
        axes = places["input_axes"] or (0,) * scans
        ranks = [len(item.shape) for item in items[states : states + scans]]
        reverse = places["input_reverse"] or (False,) * scans
        return [axis_of(self.name, axis, rank) for axis, rank in zip(axes, ranks)], list(reverse)

    def _outputs(self, items: Any, places: Any) -> list[tuple[int, bool]]:
        """Axis and direction of each stacked value; an axis counts in the result."""
        axes = places["output_axes"] or (0,) * len(items)
        reverse = places["output_reverse"] or (False,) * len(items)
        return [
            (axis if item.shape is None else axis_of(self.name, axis, len(item.shape) + 1), backwards)
            for item, axis, backwards in zip(items, axes, reverse)
        ]

    def reference(self, *values: Any, states: int, scans: int, regions: Any, **places: Any) -> Any:
        axes, reverse = self._inputs(values, states, scans, places)
        scanned = [
            np.moveaxis(np.flip(value, axis) if backwards else value, axis, 0)
            for value, axis, backwards in zip(values[states:], axes, reverse)
        ]
        state, fixed = values[:states], values[states + scans :]
        collected: list[tuple[Any, ...]] = []
        for slices in zip(*scanned):
            step = regions[0](*state, *map(np.asarray, slices), *fixed)
            state = step[:states]
            collected.append(step[states:])
        if collected:
            stacks = [np.stack(column) for column in zip(*collected)]
        else:
            empty = [np.empty(value.shape[1:], value.dtype) for value in scanned]
            stacks = _nothing_collected(regions[0], states, (*state, *empty, *fixed))
        outputs = self._outputs(regions[0].output_types[states:], places)
        return *state, *(
            np.moveaxis(np.flip(stack, 0) if backwards else stack, 0, axis)
            for stack, (axis, backwards) in zip(stacks, outputs)
        )

    def decompose(self, graph: Any, *values: Any, states: int, scans: int, regions: Any, **places: Any) -> Any:
        """A loop that gathers one slice of each scanned value."""
        axes, reverse = self._inputs([value.type for value in values], states, scans, places)
        scanned = [
            graph.reverse(value, axes=(axis,)) if backwards else value
            for value, axis, backwards in zip(values[states:], axes, reverse)
        ]
        region, body = regions[0], Graph(within=graph.graph)
        iteration = body.add_argument(TensorType(int64, ()))
        going = body.add_argument(TensorType(bool_, ()))
        state = [body.add_argument(type_) for type_ in region.argument_types[:states]]
        whole = [body.add_argument(value.type) for value in (*scanned, *values[states + scans :])]
        slices = [body.gather(value, iteration, axis=axis) for value, axis in zip(whole, axes)]
        body.set_outputs([going, *body.inline(region, [*state, *slices, *whole[scans:]])])
        trips = graph.reshape(graph.shape(scanned[0], start=axes[0], end=axes[0] + 1), graph.constant([], "int64"))
        inputs = (*values[:states], *scanned, *values[states + scans :])
        results = graph.loop(trips, None, *inputs, carried=states, regions=(body,))
        stacked = results[states:]
        outputs = self._outputs(region.output_types[states:], places)
        return *results[:states], *(
            _place(graph, value, axis, backwards) for value, (axis, backwards) in zip(stacked, outputs)
        )


def _place(graph: Any, value: Value, axis: int, backwards: bool) -> Value:
    """A stacked value turned round where asked, its first axis moved to `axis`."""
    if backwards:
        value = graph.reverse(value, axes=(0,))
    if axis == 0:
        return value
    rank = len(value.type.shape)  # type: ignore[union-attr, arg-type]
    order = list(range(1, rank))
    order.insert(axis, 0)
    return graph.transpose(value, permutation=order)  # type: ignore[no-any-return]


OPS: tuple[type[OpDef], ...] = (If, Loop, Scan)
