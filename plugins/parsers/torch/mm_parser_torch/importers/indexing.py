"""Elements fetched from, and put at, places that tensors name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, as_value, axis_of, cast, dtype, rank, shape
from mm_parser_torch.sizes import expand, reshape, sizes_of, vector
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_BOOL, _BYTE, _INT = BY_NAME["bool"], BY_NAME["uint8"], BY_NAME["int64"]


@op("embedding")
def embedding(g: Graph, call: Call, weight: Value, indices: Value, *ignored: Any) -> Any:
    return g.gather(weight, _index(g, indices), axis=0)


def _index(g: Graph, value: Value) -> Value:
    return value if dtype(value).name in ("int32", "int64") else g.cast(value, to=_INT)


@op("index_select", "index_select_copy")
def index_select(g: Graph, call: Call, x: Value, dim: int, index: Value) -> Any:
    places = _index(g, index) if rank(index) else g.reshape(_index(g, index), [1])
    if rank(x):
        return g.gather(x, places, axis=axis_of(x, dim))
    return g.reshape(g.gather(g.reshape(x, [1]), places, axis=0), [])


@op("gather")
def gather(g: Graph, call: Call, x: Value, dim: int, index: Value, sparse: bool) -> Any:
    if 0 in shape(index):
        return expand(g, g.constant(0, dtype(x)), sizes_of(g, index))
    return _with_axes(g, lambda x, index: g.gather_elements(x, index, axis=axis_of(x, dim)), x, _index(g, index))


def _with_axes(g: Graph, build: Any, *values: Value) -> Any:
    """Scalars among the values count as vectors of one element; the result has the last value's shape."""
    widened = [value if rank(value) else g.reshape(value, [1]) for value in values]
    y = build(*widened)
    return y if rank(values[-1]) else g.reshape(y, [])


# --- x[i, :, j] -------------------------------------------------------------------------------------------------------


@op("index.Tensor", "_unsafe_index.Tensor")
def index(g: Graph, call: Call, x: Value, indices: Sequence[Value | None]) -> Any:
    axes, places = _places(g, indices)
    if len(axes) == 1:
        return g.gather(x, places[0], axis=axes[0])
    order = (*axes, *(axis for axis in range(rank(x)) if axis not in axes))
    joined = _tuples(g, places)
    y = g.gather_nd(g.transpose(x, permutation=order), joined)
    return _indexed_axes_back(g, y, axes, rank(joined) - 1)


def _places(g: Graph, indices: Sequence[Value | None]) -> tuple[list[int], list[Value]]:
    """Axes that are indexed and the integer tensors that do it; a mask stands for the places where it is true."""
    axes: list[int] = []
    places: list[Value] = []
    axis = 0
    for given in indices:
        if given is None:
            axis += 1
        elif dtype(given) in (_BOOL, _BYTE):
            found = g.nonzero(cast(g, given, _BOOL))
            for part in range(rank(given)):
                axes.append(axis)
                places.append(g.gather(found, g.constant(part, "int64"), axis=0))
                axis += 1
        else:
            axes.append(axis)
            places.append(_index(g, given))
            axis += 1
    return axes, places


def _tuples(g: Graph, places: Sequence[Value]) -> Any:
    """Index tensors broadcast to each other, as tuples along a new last axis."""
    wide = [cast(g, place, _INT) for place in places]
    common = wide[0]
    for place in wide[1:]:
        common = g.add(common, g.mul(place, 0)) if shape(common) != shape(place) else common
    sizes = sizes_of(g, common)
    return g.concat(*(g.unsqueeze(expand(g, place, sizes), axes=(len(sizes),)) for place in wide), axis=len(sizes))


def _indexed_axes_back(g: Graph, y: Value, axes: Sequence[int], width: int) -> Any:
    """Axes made by indexing stand first in y; PyTorch puts them in place of indexed axes that are neighbours."""
    if axes[0] == 0 or list(axes) != list(range(axes[0], axes[0] + len(axes))):
        return y
    rest = list(range(width, rank(y)))
    return g.transpose(y, permutation=(*rest[: axes[0]], *range(width), *rest[axes[0] :]))


@op("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(
    g: Graph, call: Call, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool, *ignored: Any
) -> Any:
    values = cast(g, values, dtype(x))
    masks = [given for given in indices if given is not None]
    if len(masks) == 1 and dtype(masks[0]) is _BOOL and not accumulate and not rank(values):
        before = next(axis for axis, given in enumerate(indices) if given is not None)
        after = rank(x) - before - rank(masks[0])
        return g.select(g.unsqueeze(masks[0], axes=tuple(range(-after, 0))) if after else masks[0], values, x)
    axes, places = _places(g, indices)
    order = (*axes, *(axis for axis in range(rank(x)) if axis not in axes))
    back = tuple(sorted(range(rank(x)), key=order.__getitem__))
    joined = _tuples(g, places)
    target = g.transpose(x, permutation=order)
    width, rest = rank(joined) - 1, rank(x) - len(axes)
    updates = _spread(g, values, axes, width, rest, [*sizes_of(g, joined)[:-1], *sizes_of(g, target)[len(axes) :]])
    number = dtype(x)
    if accumulate and number is _BOOL:
        target, updates = (g.cast(value, to=_BYTE) for value in (target, updates))
        return g.transpose(g.cast(g.scatter_nd(target, joined, updates, reduction="max"), to=_BOOL), permutation=back)
    y = g.scatter_nd(target, joined, updates, reduction="add" if accumulate else "none")
    return g.transpose(y, permutation=back)


def _spread(g: Graph, values: Value, axes: Sequence[int], width: int, rest: int, sizes: Sequence[Any]) -> Any:
    """Values broadcast to what is indexed, the axes made by indexing first."""
    if axes[0] == 0 or list(axes) != list(range(axes[0], axes[0] + len(axes))):
        return expand(g, values, sizes)
    missing = width + rest - rank(values)
    whole = g.unsqueeze(values, axes=tuple(range(missing))) if missing else values
    lead = axes[0]
    order = (*range(lead, lead + width), *range(lead), *range(lead + width, width + rest))
    return expand(g, g.transpose(whole, permutation=order), sizes)


# --- scatter ----------------------------------------------------------------------------------------------------------


@op("scatter.src")
def scatter(g: Graph, call: Call, x: Value, dim: int, index: Value, source: Value) -> Any:
    return _scatter(g, x, dim, index, source, "none")


@op("scatter.value")
def scatter_value(g: Graph, call: Call, x: Value, dim: int, index: Value, value: Any) -> Any:
    return _scatter(g, x, dim, index, expand(g, as_value(g, value, dtype(x)), sizes_of(g, index)), "none")


@op("scatter_add")
def scatter_add(g: Graph, call: Call, x: Value, dim: int, index: Value, source: Value) -> Any:
    if dtype(x) is _BOOL:
        own, updates = (g.cast(value, to=_BYTE) for value in (x, source))
        return g.cast(_scatter(g, own, dim, index, updates, "max"), to=_BOOL)
    return _scatter(g, x, dim, index, source, "add")


def _scatter(g: Graph, x: Value, dim: int, index: Value, source: Value, reduction: str) -> Any:
    """The part of the source that the index covers is put, or merged in."""
    if rank(index) and rank(source) and shape(source) != shape(index):
        axes = list(range(rank(index)))
        source = g.slice(source, [0] * len(axes), g.shape(index), axes)

    def build(index: Value, source: Value, x: Value) -> Any:
        return g.scatter_elements(x, index, source, axis=axis_of(x, dim), reduction=reduction)

    return _with_axes(g, build, _index(g, index), source, x)


_REDUCTIONS = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min", "mean": "add"}


@op("scatter_reduce.two")
def scatter_reduce(
    g: Graph, call: Call, x: Value, dim: int, index: Value, source: Value, reduce: str, include_self: bool
) -> Any:
    own, start = dtype(x), x
    if not include_self:
        neutral = _neutral(g, x, reduce)
        start = _scatter(g, x, dim, index, expand(g, neutral, sizes_of(g, index)), "none")
    total = _scatter(g, start, dim, index, source, _REDUCTIONS[reduce])
    if reduce != "mean":
        return total
    ones = expand(g, g.constant(1, own), sizes_of(g, index))
    zero_or_one = expand(g, g.constant(1, own), sizes_of(g, x))
    if not include_self:
        zero_or_one = _scatter(g, zero_or_one, dim, index, expand(g, g.constant(0, own), sizes_of(g, index)), "none")
    count = g.maximum(_scatter(g, zero_or_one, dim, index, ones, "add"), g.constant(1, own))
    if own.is_float:
        return g.div(total, count)
    return g.div(g.sub(total, g.mod(total, count)), count)


def _neutral(g: Graph, x: Value, reduce: str) -> Value:
    """What a reduction leaves as it is."""
    own = dtype(x)
    if reduce in ("sum", "mean", "prod"):
        return g.constant(int(reduce == "prod"), own)
    empty = expand(g, g.constant(0, own), [0])
    return g.op("mm.reduce_max" if reduce == "amax" else "mm.reduce_min", empty, axes=(0,), keepdims=False)  # type: ignore[no-any-return]


@op("masked_scatter")
def masked_scatter(g: Graph, call: Call, x: Value, mask: Value, source: Value) -> Any:
    """The true places of the mask take the source's elements in order."""
    sizes = sizes_of(g, g.select(mask, x, x))
    x, where = expand(g, x, sizes), expand(g, mask, sizes)
    flat = g.reshape(g.cast(where, to=_INT), [-1])
    order = g.maximum(g.sub(g.cumsum(flat, axis=0), 1), 0)
    elements = g.reshape(cast(g, source, dtype(x)), [-1])
    if shape(elements) == (0,):
        return g.identity(x)
    taken = g.minimum(order, g.sub(g.size(elements), 1))
    return g.select(where, reshape(g, g.gather(elements, taken, axis=0), sizes), x)


# --- order ------------------------------------------------------------------------------------------------------------


@op("topk")
def topk(g: Graph, call: Call, x: Value, k: Any, dim: int, largest: bool, sorted: bool) -> Any:
    return _ranked(g, x, k, dim, largest)


@op("sort", "sort.stable")
def sort(g: Graph, call: Call, x: Value, *order: Any) -> Any:
    """Equal elements keep their order, as with `stable`."""
    dim, descending = order[-2:]
    whole = shape(x)[axis_of(x, dim)] if rank(x) else 1
    count = whole if isinstance(whole, int) else g.shape(x, start=axis_of(x, dim), end=axis_of(x, dim) + 1)
    return _ranked(g, x, count, dim, descending)


def _ranked(g: Graph, x: Value, count: Any, dim: int, largest: bool) -> Any:
    own = dtype(x)
    numbers = g.cast(x, to=_BYTE) if own is _BOOL else x
    wide = numbers if rank(x) else g.reshape(numbers, [1])
    k = count if isinstance(count, Value) and rank(count) else vector(g, [count])
    values, places = g.topk(wide, k, axis=axis_of(x, dim), largest=largest)
    if not rank(x):
        values, places = g.reshape(values, []), g.reshape(places, [])
    return cast(g, values, own), places
