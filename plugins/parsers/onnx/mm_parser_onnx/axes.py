"""Axes that are an operand. Ours are attributes: where only running tells them, the operator is built for each choice
there is, and a tree of `mm.if` takes the one that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node

_MOST_AXES = 10
"""Beyond this rank there are too many sets of axes to build an operator for each."""

Axes = tuple[int, ...]
Build = Callable[[Graph, Sequence[Value], Axes], Value]
"""Builds an operator on the values in a graph, for the axes, which count from the front where running tells them."""


def over_axes(
    g: Graph, node: Node, index: int, values: Sequence[Value], among: Iterable[int], rank: int, build: Build
) -> Any:
    """`build` for the set of axes in operand `index`, out of `among`, of a tensor of the rank. No operand: no axes."""
    if node.optional(index) is None:
        return build(g, values, ())
    known = node.constant(index)
    if known is not None:
        return build(g, values, tuple(map(int, known.reshape(-1))))
    if rank > _MOST_AXES:
        raise node.unsupported(f"axes that depend on data, of a tensor of rank {rank}", "make them an initializer")
    shape = node.shape(index)
    count = shape[0] if shape else 1
    counts = [count] if isinstance(count, int) else range(rank + 1)
    choices = list(chain.from_iterable(combinations(among, size) for size in counts))
    if not choices:
        raise node.unsupported(f"no {count} axes of a tensor of rank {rank} can be meant")
    number = _number(g, node.input(index), choices, rank)
    return _tree(g, number, values, choices, 0, build)


def _number(g: Graph, axes: Value, choices: Sequence[Axes], rank: int) -> Value:
    """Which of the choices the axes are, as a scalar. Running refuses others: they are outside of both tables."""
    numbers = np.arange(rank)
    places = g.gather(numbers, g.reshape(axes, [-1, 1]))
    hits = g.reduce_sum(g.cast(g.equal(places, numbers), to="int64"), axes=(0,), keepdims=False)
    code = g.reduce_sum(g.mul(g.minimum(hits, 1), 2**numbers), keepdims=False)
    table = np.full(2**rank, len(choices))
    for number, choice in enumerate(choices):
        table[sum(2**axis for axis in choice)] = number
    return g.gather(np.arange(len(choices)), g.gather(table, code))  # type: ignore[no-any-return]


def _tree(g: Graph, number: Value, values: Sequence[Value], choices: Sequence[Axes], first: int, build: Build) -> Any:
    """`build` for choice `number` of those given, which are numbered from `first` on."""
    if len(choices) == 1:
        return build(g, values, choices[0])
    half = len(choices) // 2
    regions = []
    for start, part in ((first, choices[:half]), (first + half, choices[half:])):
        region = Graph(within=g)
        region.locations = g.locations
        inner, *inside = (region.add_argument(value.type) for value in (number, *values))
        region.set_outputs([_tree(region, inner, inside, part, start, build)])
        regions.append(region)
    (result,) = g.if_(g.less(number, first + half), number, *values, regions=tuple(regions))
    return result
