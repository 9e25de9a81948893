"""Control flow: PyTorch's higher-order operators as ours. Their graphs become regions, or are inlined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, as_value, cast, dtype, rank, tensor_type

_BOOL, _INT, _FLOAT = BY_NAME["bool"], BY_NAME["int64"], BY_NAME["float64"]
Module = torch.fx.GraphModule


def _value(g: Graph, operand: Any) -> Value:
    """A tensor or number as a value: one that a region gives or gets."""
    if isinstance(operand, Value):
        return operand
    return g.constant(operand, _BOOL if isinstance(operand, bool) else _FLOAT if isinstance(operand, float) else _INT)


def _truth(g: Graph, condition: Any) -> Value:
    """A condition as a bool scalar."""
    found = as_value(g, condition, _BOOL)
    return g.reshape(found, []) if rank(found) else found


def _region(g: Graph, call: Call, module: Module, inputs: Sequence[Value]) -> tuple[Graph, list[Any]]:
    return call.reader.region(module, g, [tensor_type(value) for value in inputs])


def cond(g: Graph, call: Call, condition: Any, then: Module, other: Module, operands: Sequence[Any] = ()) -> Any:
    """One of two graphs. Results that are None in both are left out and come back as None."""
    inputs = [_value(g, operand) for operand in operands]
    branches = [_region(g, call, module, inputs) for module in (then, other)]
    kept = [index for index, results in enumerate(zip(*(found for _, found in branches))) if results[0] is not None]
    for region, found in branches:
        region.set_outputs([_own(region, found[index]) for index in kept])
    regions = tuple(region for region, _ in branches)
    results = dict(zip(kept, g.if_(_truth(g, condition), *inputs, regions=regions)))
    return [results.get(index) for index in range(len(branches[0][1]))]


def _own(region: Graph, result: Any) -> Value:
    """A result as an operation of the region's: an argument goes through an identity."""
    value = _value(region, result)
    return region.identity(value) if value.defining_op is None else value


def while_loop(
    g: Graph, call: Call, condition: Module, body: Module, carried: Sequence[Any], others: Sequence[Any] = ()
) -> Any:
    """The body while the condition holds, which is asked before each turn."""
    inputs = [_value(g, operand) for operand in (*carried, *others)]
    region = Graph(within=g)
    region.add_input("", _INT, ())
    region.add_input("", _BOOL, ())
    arguments = [region.add_argument(tensor_type(value)) for value in inputs]
    results = call.reader.read(body, region, arguments)
    state = [_own(region, cast(region, _value(region, r), dtype(a))) for r, a in zip(results, arguments)]
    going = call.reader.read(condition, region, [*state, *arguments[len(carried) :]])[0]
    region.set_outputs([_truth(region, going), *state])
    start = call.reader.read(condition, g, inputs)[0]
    return list(g.loop(None, _truth(g, start), *inputs, carried=len(carried), regions=(region,)))


def scan(
    g: Graph, call: Call, step: Module, states: Sequence[Value], rows: Sequence[Value], others: Sequence[Any] = ()
) -> Any:
    """One step for each row of the scanned tensors."""
    inputs = [_value(g, operand) for operand in (*states, *rows, *others)]
    types = [tensor_type(value) for value in inputs]
    for index in range(len(states), len(states) + len(rows)):
        types[index] = types[index].with_shape((types[index].shape or ())[1:])
    region, results = call.reader.region(step, g, types)
    region.set_outputs([_own(region, result) for result in results])
    return list(g.scan(*inputs, states=len(states), scans=len(rows), regions=(region,)))


def map_(g: Graph, call: Call, step: Module, rows: Sequence[Value], others: Sequence[Any] = ()) -> Any:
    """The step for each row by itself."""
    return scan(g, call, step, (), rows, others)


def associative_scan(g: Graph, call: Call, combine: Module, rows: Sequence[Value], others: Sequence[Any] = ()) -> Any:
    """Running combinations: the first row, then one step for each further row."""
    inputs = [_value(g, operand) for operand in others]
    firsts = [g.gather(row, g.constant(0, "int64"), axis=0) for row in rows]
    rest = [g.slice(row, [1], [2**63 - 1], [0]) for row in rows]
    item_types = [tensor_type(first) for first in firsts]
    types = [*item_types, *item_types, *(tensor_type(value) for value in inputs)]
    region, results = call.reader.region(combine, g, types)
    state = [_own(region, result) for result in results]
    region.set_outputs([*state, *state])
    count = len(rows)
    stacked = g.scan(*firsts, *rest, *inputs, states=count, scans=count, regions=(region,))[count:]
    return [g.concat(g.unsqueeze(first, axes=(0,)), others, axis=0) for first, others in zip(firsts, stacked)]


def inlined(g: Graph, call: Call, *arguments: Any) -> Any:
    """A graph in place of its call: what stands before it says how gradients and types are handled, done by now."""
    place = next(index for index, argument in enumerate(arguments) if isinstance(argument, Module))
    operands = [argument for argument in arguments[place + 1 :] if not isinstance(argument, str)]
    return call.reader.read(arguments[place], g, operands)


HIGHER_ORDER: dict[str, Callable[..., Any]] = {
    "cond": cond,
    "while_loop": while_loop,
    "scan": scan,
    "map_impl": map_,
    "associative_scan": associative_scan,
    "wrap_with_set_grad_enabled": inlined,
    "wrap_with_autocast": inlined,
    "invoke_subgraph": inlined,
}
"""By the operator's name."""
