"""Bags of embeddings: sums, means or maxima over runs of indices."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, cast, dtype
from mm_parser_torch.sizes import expand, size_of
from mm_parser_torch.table import Family

FAMILY = Family()
_INT = BY_NAME["int64"]


@FAMILY.op("_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(
    g: Graph,
    call: Call,
    weight: Value,
    indices: Value,
    offsets: Value,
    by_frequency: bool,
    mode: int,
    sparse: bool,
    weights: Value | None,
    last: bool,
    padding: int,
) -> Any:
    """Rows go to the bag that begins last before them; what `padding` names goes to none."""
    if any(map(call.wants, (1, 2, 3))):
        raise call.unsupported("the further results are for the gradient")
    ids, starts = cast(g, indices, _INT), cast(g, offsets, _INT)
    count = size_of(g, starts, 0)
    bags = g.sub(count, 1) if last and isinstance(count, Value) else count - 1 if last else count  # type: ignore[operator]
    starts = g.slice(starts, [0], [-1], [0]) if last else starts
    rows = g.gather(weight, ids, axis=0)
    if weights is not None:
        rows = g.mul(rows, g.unsqueeze(weights, axes=(1,)))
    total = g.size(ids)
    numbers = g.range(g.constant(0, "int64"), total, g.constant(1, "int64"))
    begun = g.less_or_equal(g.unsqueeze(starts, axes=(0,)), g.unsqueeze(numbers, axes=(1,)))
    bag = g.sub(g.reduce_sum(g.cast(begun, to=_INT), axes=(1,), keepdims=False), 1)
    real = g.not_equal(ids, padding) if padding >= 0 else g.equal(ids, ids)
    # One bag more takes the rows that belong to none.
    spare = g.add(bags, 1) if isinstance(bags, Value) else bags + 1
    target = g.unsqueeze(g.select(real, bag, bags), axes=(1,))
    width = size_of(g, weight, 1)
    zeros = expand(g, g.constant(0, dtype(rows)), [spare, width])
    ones = expand(g, g.constant(1, dtype(rows)), [size_of(g, ids, 0)])
    counts = g.scatter_nd(expand(g, g.constant(0, dtype(rows)), [spare]), target, ones, reduction="add")
    counts = g.unsqueeze(counts, axes=(1,))
    if mode == 2:
        lowest = g.reduce_max(expand(g, g.constant(0, dtype(rows)), [0]), axes=(0,), keepdims=False)
        found = g.scatter_nd(expand(g, lowest, [spare, width]), target, rows, reduction="max")
        found = g.select(g.equal(counts, 0), 0, found)
    else:
        found = g.scatter_nd(zeros, target, rows, reduction="add")
        if mode == 1:
            found = g.div(found, g.maximum(counts, 1))
    return g.slice(found, [0], [-1], [0]), None, None, None
