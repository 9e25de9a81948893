"""Results whose size follows from the data: what a mask selects, repetitions by counts, distinct elements."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, axis_of, cast, rank
from mm_parser_torch.sizes import expand, reshape, sizes_of, vector
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_INT = BY_NAME["int64"]


def _flat(g: Graph, value: Value) -> Any:
    return value if rank(value) == 1 else g.reshape(value, [-1])


def _places(g: Graph, mask: Value) -> Any:
    """Where a vector is true."""
    return g.reshape(g.nonzero(mask), [-1])


@op("nonzero")
def nonzero(g: Graph, call: Call, x: Value) -> Any:
    return g.transpose(g.nonzero(x), permutation=(1, 0))


@op("masked_select")
def masked_select(g: Graph, call: Call, x: Value, mask: Value) -> Any:
    sizes = sizes_of(g, g.select(mask, x, x))
    x, mask = expand(g, x, sizes), expand(g, mask, sizes)
    return g.gather(_flat(g, x), _places(g, _flat(g, mask)), axis=0)


@op("repeat_interleave.Tensor")
def repeat_interleave(g: Graph, call: Call, repeats: Value, output_size: Any) -> Any:
    """Each index as often as its count says: a place's index is the number of counts that end at or before it."""
    counts = cast(g, repeats, _INT)
    total = g.reduce_sum(counts, axes=(0,), keepdims=False) if output_size is None else output_size
    ends = g.cumsum(counts, axis=0)
    begun = expand(g, g.constant(0, _INT), [g.add(total, 1)])
    begun = g.scatter_elements(begun, ends, expand(g, g.constant(1, _INT), sizes_of(g, ends)), axis=0, reduction="add")
    indices = g.slice(g.cumsum(begun, axis=0), [0], vector(g, [total]), [0])
    return cast(g, indices, call.dtype())


@op("_unique2")
def unique(g: Graph, call: Call, x: Value, *wanted: bool) -> Any:
    """Distinct elements in ascending order."""
    y, _, inverse, counts = g.unique(x)
    return y, reshape(g, inverse, sizes_of(g, x)), counts


@op("unique_dim")
def unique_dim(g: Graph, call: Call, x: Value, dim: int, *wanted: bool) -> Any:
    """Distinct slices along an axis in ascending order."""
    y, _, inverse, counts = g.unique(x, axis=axis_of(x, dim))
    return y, inverse, counts


@op("unique_consecutive")
def unique_consecutive(
    g: Graph, call: Call, x: Value, return_inverse: bool, return_counts: bool, dim: int | None
) -> Any:
    """The first of each run of equal elements."""
    if dim is not None and rank(x) > 1:
        raise call.unsupported("slices along an axis are not offered", remedy="flatten the tensor, or use torch.unique")
    flat = _flat(g, x)
    numbers = g.sub(g.cumsum(expand(g, g.constant(1, _INT), sizes_of(g, flat)), axis=0), 1)
    before = g.gather(flat, g.maximum(g.sub(numbers, 1), 0), axis=0)
    begins = g.logical_or(g.logical_not(g.equal(flat, before)), g.equal(numbers, 0))
    runs = g.sub(g.cumsum(g.cast(begins, to=_INT), axis=0), 1)
    first = _places(g, begins)
    ends = g.concat(g.slice(first, [1], [2**63 - 1], [0]), vector(g, sizes_of(g, flat)), axis=0)
    # Of no elements there is no run, but one end.
    counts = g.sub(g.slice(ends, [0], g.shape(first), [0]), first)
    return g.gather(flat, first, axis=0), reshape(g, runs, sizes_of(g, x)), counts
