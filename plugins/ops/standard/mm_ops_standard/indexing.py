"""Elements fetched from and put at places that integer tensors name. Negative indices count from the end."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.ops import (
    ALL,
    INDEX,
    NUMERIC,
    Arity,
    Attribute,
    KnownValues,
    OpDef,
    Operand,
    Partial,
    Result,
    Tier,
    Trait,
)
from mm_core.types import BY_NAME, Array, agree, is_non_negative
from mm_ops_standard.checks import checked_indices, require, require_rank, same
from mm_ops_standard.known import partial, smaller
from mm_ops_standard.places import places, places_along
from mm_ops_standard.precision import wide
from mm_ops_standard.shapes import axis_of, is_settled, sizes_of

_INT64 = BY_NAME["int64"]
_MOVEMENT = frozenset({Trait.MOVEMENT})
_REDUCTION = Attribute("reduction", str, "none", ("none", "add", "mul", "max", "min"))
_COMBINE: dict[str, np.ufunc] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


class Gather(OpDef):
    """Slices of x along `axis` chosen by `indices`, whose shape takes the axis' place (ONNX Gather)."""

    name = "mm.gather"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("indices", "I"))
    dtypes = {"T": ALL, "I": INDEX}
    attributes = (Attribute("axis", int, 0),)
    traits = _MOVEMENT

    def infer(self, types: Any, values: KnownValues, *, axis: int) -> Any:
        x, indices = types[0].shape, types[1].shape
        axis = axis_of(self.name, axis, len(x))
        return (*x[:axis], *indices, *x[axis + 1 :])

    def known(self, types: Any, values: KnownValues, *, axis: int) -> Partial | None:
        x, indices = values[0], values[1]
        if x is None or indices is None:
            return None
        axis %= x.ndim
        size = x.shape[axis]
        places = [item if isinstance(item, int) and -size <= item < size else None for item in indices.flat]
        rows = np.moveaxis(x, axis, 0)
        width = prod(rows.shape[1:])
        rows = rows.reshape(size, width)
        picked = [item for place in places for item in ([None] * width if place is None else rows[place])]
        rest = x.shape[:axis] + x.shape[axis + 1 :]
        order = tuple(range(axis, axis + indices.ndim))
        return np.moveaxis(partial(picked, (*indices.shape, *rest)), tuple(range(indices.ndim)), order)

    def reference(self, x: Array, indices: Array, *, axis: int) -> Array:
        return np.asarray(np.take(x, checked_indices(self.name, indices, x.shape[axis]), axis))


class GatherElements(OpDef):
    """y[i, j, ...] = x[i, indices[i, j, ...], ...], the index standing at `axis` (ONNX GatherElements)."""

    name = "mm.gather_elements"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("indices", "I"))
    dtypes = {"T": ALL, "I": INDEX}
    attributes = (Attribute("axis", int, 0),)
    traits = _MOVEMENT

    def infer(self, types: Any, values: KnownValues, *, axis: int) -> Any:
        x, indices = types[0].shape, types[1].shape
        axis_of(self.name, axis, len(x))
        require_rank(self.name, "indices", indices, len(x))
        return indices

    def reference(self, x: Array, indices: Array, *, axis: int) -> Array:
        axis %= x.ndim
        places = checked_indices(self.name, indices, x.shape[axis])
        return np.take_along_axis(_corner(x, indices.shape, axis), places, axis)


def _corner(x: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The view of x that has `shape` except along `axis`, which stays whole."""
    return x[tuple(slice(None) if place == axis else slice(size) for place, size in enumerate(shape))]


class GatherND(OpDef):
    """Slices of x that index tuples (last axis of `indices`) name after `batch_dims` shared axes (ONNX GatherND)."""

    name = "mm.gather_nd"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("indices", "I"))
    dtypes = {"T": ALL, "I": INDEX}
    attributes = (Attribute("batch_dims", int, 0),)
    traits = _MOVEMENT

    def infer(self, types: Any, values: KnownValues, *, batch_dims: int) -> Any:
        x, indices = types[0].shape, types[1].shape
        require_rank(self.name, "x", x, 1, 1000)
        require_rank(self.name, "indices", indices, 1, 1000)
        require(
            0 <= batch_dims < min(len(x), len(indices)),
            f"{self.name}: batch_dims {batch_dims} needs more axes than {list(x)} and {list(indices)} have",
        )
        for left, right in zip(x[:batch_dims], indices[:batch_dims]):
            same(left, right, f"{self.name}: batch axes of x and of indices")
        depth = indices[-1]
        require(isinstance(depth, int), f"{self.name}: the length {depth} of the index tuples must be known")
        require(
            batch_dims + depth <= len(x),
            f"{self.name}: index tuples of {depth} do not fit x of shape {list(x)} after {batch_dims} batch axes",
        )
        return (*indices[:-1], *x[batch_dims + depth :])

    def reference(self, x: Array, indices: Array, *, batch_dims: int) -> Array:
        depth = indices.shape[-1]
        grid = np.ogrid[tuple(slice(size) for size in indices.shape[:batch_dims])] if batch_dims else ()
        lead = tuple(part.reshape(part.shape + (1,) * (indices.ndim - 1 - batch_dims)) for part in grid)
        places = tuple(
            checked_indices(self.name, indices[..., place], x.shape[batch_dims + place]) for place in range(depth)
        )
        if not lead and not places:
            return np.broadcast_to(x, indices.shape[:-1] + x.shape).copy()
        lead = tuple(np.broadcast_to(part, indices.shape[:-1]) for part in lead)
        return np.asarray(x[lead + places])


class ScatterElements(OpDef):
    """A copy of x with updates[i, j, ...] put, or by `reduction` merged in, at x[i, indices[i, j, ...], ...].

    ONNX ScatterElements. Where two updates meet at one place without a reduction, the result is either.
    """

    name = "mm.scatter_elements"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("indices", "I"), Operand("updates"))
    dtypes = {"T": ALL, "I": INDEX}
    attributes = (Attribute("axis", int, 0), _REDUCTION)

    def infer(self, types: Any, values: KnownValues, *, axis: int, reduction: str) -> Any:
        x, indices, updates = (type_.shape for type_ in types)
        axis_of(self.name, axis, len(x))
        require_rank(self.name, "indices", indices, len(x))
        require_rank(self.name, "updates", updates, len(x))
        for left, right in zip(indices, updates):
            same(left, right, f"{self.name}: sizes of indices and updates")
        return x

    def reference(self, x: Array, indices: Array, updates: Array, *, axis: int, reduction: str) -> Array:
        axis %= x.ndim
        y = x.copy() if reduction == "none" else wide(x).copy()
        place = _corner(y, indices.shape, axis)
        spots = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
        spots[axis] = checked_indices(self.name, indices, x.shape[axis])
        _put(place, tuple(spots), updates, reduction)
        return y.astype(x.dtype)


def _put(y: Array, places: Any, updates: Array, reduction: str) -> None:
    if reduction == "none":
        y[places] = updates
    else:
        _COMBINE[reduction].at(y, places, updates.astype(y.dtype))


class ScatterND(OpDef):
    """A copy of x with `updates` put, or merged by `reduction`, at slices that index tuples name (ONNX ScatterND)."""

    name = "mm.scatter_nd"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("indices", "I"), Operand("updates"))
    dtypes = {"T": ALL, "I": INDEX}
    attributes = (_REDUCTION,)

    def infer(self, types: Any, values: KnownValues, *, reduction: str) -> Any:
        x, indices, updates = (type_.shape for type_ in types)
        require_rank(self.name, "indices", indices, 1, 1000)
        # The ranks tell how long the index tuples are, so that their own size may be a symbol.
        depth = len(indices) - 1 + len(x) - len(updates)
        fits = 0 <= depth <= len(x)
        require(fits, f"{self.name}: updates {list(updates)} at indices {list(indices)} do not fit x of {list(x)}")
        same(indices[-1], depth, f"{self.name}: the length of the index tuples and what the ranks say")
        wanted = (*indices[:-1], *x[depth:])
        for left, right in zip(updates, wanted):
            same(left, right, f"{self.name}: sizes of updates and of the slices they go to")
        return x

    def reference(self, x: Array, indices: Array, updates: Array, *, reduction: str) -> Array:
        y = x.copy() if reduction == "none" else wide(x).copy()
        columns = zip(np.moveaxis(indices, -1, 0), x.shape)
        places = tuple(checked_indices(self.name, column, size) for column, size in columns)
        if places:
            _put(y, places, updates, reduction)
        else:
            for update in updates.reshape(-1, *x.shape):
                y = update if reduction == "none" else _COMBINE[reduction](y, update.astype(y.dtype))
        return y.astype(x.dtype)


class TopK(OpDef):
    """The k largest (or smallest) elements along `axis` and their indices; of equals the lower index comes first.

    ONNX TopK. k is an integer tensor of one element. NaN counts as the largest value. Unsorted results are sorted too.
    """

    name = "mm.topk"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("k", frozenset({_INT64})))
    results = (Result("values"), Result("indices", _INT64))
    dtypes = {"T": NUMERIC}
    attributes = (Attribute("axis", int, -1), Attribute("largest", bool, True), Attribute("sorted", bool, True))

    def infer(self, types: Any, values: KnownValues, *, axis: int, **order: bool) -> Any:
        x = types[0].shape
        axis = axis_of(self.name, axis, len(x))
        known = values[1]
        k = None if known is None or known.size != 1 else known.reshape(-1)[0]
        if isinstance(k, int):
            require(k >= 0, f"{self.name}: k must not be negative, it is {k}")
            fits = not isinstance(x[axis], int) or k <= x[axis]
            require(fits, f"{self.name}: k is {k}, the axis has {x[axis]} elements")
        if k is not None:
            agree(smaller(k, x[axis]), k, f"{self.name}: k and what the axis has of it")
        return [(*x[:axis], k, *x[axis + 1 :])] * 2

    def reference(self, x: Array, k: Array, *, axis: int, largest: bool, sorted: bool) -> tuple[Array, Array]:
        count, size = int(k.reshape(-1)[0]), x.shape[axis]
        if not 0 <= count <= size:
            raise InputError(f"{self.name}: k is {count}, the axis has {size} elements")
        if largest:
            # A stable ascending sort read backwards puts the higher of two equal indices first: hence both flips.
            order = size - 1 - np.flip(np.argsort(np.flip(wide(x), axis), axis, kind="stable"), axis)
        else:
            order = np.argsort(wide(x), axis, kind="stable")
        order = np.take(order, np.arange(count), axis)
        return np.take_along_axis(x, order, axis), order.astype(np.int64)

    def decompose(self, graph: Any, x: Any, k: Any, **order: Any) -> Any:
        """A k that only running tells is read there."""
        if is_settled(self, x, k, **order):
            return None
        return graph.topk(x, graph.sizes(graph.reshape(k, [1])), **order)


class OneHot(OpDef):
    """A new axis of size `depth` that holds on-values at the indices and off-values elsewhere (ONNX OneHot).

    `values` is [off, on]. Indices outside [-depth, depth) give off-values only.
    """

    name = "mm.one_hot"
    operands = (Operand("indices", "I"), Operand("depth", "D"), Operand("values"))
    dtypes = {"T": ALL, "I": NUMERIC, "D": NUMERIC}
    attributes = (Attribute("axis", int, -1),)
    results = (Result("y"),)

    def infer(self, types: Any, values: KnownValues, *, axis: int) -> Any:
        shape = types[0].shape
        axis = axis_of(self.name, axis, len(shape) + 1)
        same(types[2].shape[0], 2, f"{self.name}: values [off, on] and those given")
        known = values[1]
        depth = known.reshape(-1)[0] if known is not None and known.size == 1 else None
        require(not isinstance(depth, int) or depth >= 0, f"{self.name}: depth must not be negative, it is {depth}")
        return (*shape[:axis], depth, *shape[axis:])

    def reference(self, indices: Array, depth: Array, values: Array, *, axis: int) -> Any:
        size = int(depth.reshape(-1)[0])
        places = wide(indices).astype(np.int64)
        places = np.expand_dims(np.where(places < 0, places + size, places), axis)
        axis %= places.ndim
        numbers = np.arange(size).reshape(-1, *[1] * (places.ndim - 1 - axis))
        return np.where(places == numbers, values[1], values[0]).astype(values.dtype)

    def decompose(self, graph: Any, indices: Any, depth: Any, values: Any, *, axis: int) -> Any:
        rank = len(indices.type.shape) + 1
        axis %= rank
        size = graph.sizes(graph.reshape(_as_int64(graph, depth), []))
        hot = _as_int64(graph, indices)
        hot = graph.unsqueeze(graph.select(graph.less(hot, 0), graph.add(hot, size), hot), axes=(axis,))
        off, on = (graph.gather(values, index) for index in (0, 1))
        return graph.select(graph.equal(hot, places(graph, size, rank - 1 - axis)), on, off)


def _as_int64(graph: Any, value: Any) -> Any:
    return value if value.type.dtype is _INT64 else graph.cast(value, to=_INT64)


class TensorScatter(OpDef):
    """A copy of the cache x with `updates` written from write_indices[b] on along `axis`, for each b.

    ONNX TensorScatter. `mode` circular wraps around at the end of the axis.
    """

    name = "mm.tensor_scatter"
    operands = (Operand("x"), Operand("updates"), Operand("write_indices", frozenset({_INT64}), Arity.OPTIONAL))
    dtypes = {"T": ALL}
    attributes = (Attribute("axis", int, -2), Attribute("mode", str, "linear", ("linear", "circular")))

    def infer(self, types: Any, values: KnownValues, *, axis: int, mode: str) -> Any:
        x, updates = types[0].shape, types[1].shape
        axis = axis_of(self.name, axis, len(x))
        require(axis > 0, f"{self.name}: the axis must not be the batch axis 0")
        require_rank(self.name, "updates", updates, len(x))
        agreed = tuple(
            left if place == axis else same(left, right, f"{self.name}: sizes of x and updates along axis {place}")
            for place, (left, right) in enumerate(zip(x, updates))
        )
        room = x[axis] - updates[axis]
        require(
            not isinstance(room, int) or is_non_negative(room),
            f"{self.name}: {updates[axis]} updates do not fit an axis of {x[axis]}",
        )
        return agreed

    def reference(self, x: Array, updates: Array, starts: Array | None = None, *, axis: int, mode: str) -> Array:
        axis %= x.ndim
        size, count = x.shape[axis], updates.shape[axis]
        first = np.zeros(x.shape[0], np.int64) if starts is None else starts
        rows = first[:, None] + np.arange(count)
        rows = rows % size if mode == "circular" else checked_indices(self.name, rows, size)
        places = np.broadcast_to(
            rows.reshape(x.shape[0], *[1] * (axis - 1), count, *[1] * (x.ndim - 1 - axis)), updates.shape
        )
        y = x.copy()
        np.put_along_axis(y, places, updates, axis)
        return y

    def decompose(self, graph: Any, x: Any, updates: Any, starts: Any, *, axis: int, mode: str) -> Any:
        rank = len(x.type.shape)
        axis %= rank
        rows = places_along(graph, updates, axis)
        if starts is not None:
            rows = graph.add(graph.reshape(starts, [-1] + [1] * (rank - 1)), rows)
        if mode == "circular":
            rows = graph.mod(rows, sizes_of(graph, x)[axis])
        return graph.scatter_elements(x, graph.expand(rows, graph.shape(updates)), updates, axis=axis)


OPS: tuple[type[OpDef], ...] = (
    Gather, GatherElements, GatherND, ScatterElements, ScatterND, TopK, OneHot, TensorScatter,
)  # fmt: skip
