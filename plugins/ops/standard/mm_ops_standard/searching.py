"""Elements searched for: which are not zero, which stand where a condition holds, which are distinct.

How many there are is known only while running. The decompositions count first, with arithmetic of fixed size, then
make the count a size (`graph.sizes`), and move what was found into a tensor of that size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_core.ops import ALL, BOOL, NUMERIC, Attribute, KnownValues, OpDef, Operand, Result
from mm_core.types import Array, TensorType
from mm_core.types.dtypes import bool_, int64
from mm_ops_standard.checks import require_rank
from mm_ops_standard.places import places
from mm_ops_standard.precision import wide
from mm_ops_standard.shapes import Size, axis_of, reshape, shape_operand, sizes_of, times


class NonZero(OpDef):
    """Indices of the elements that are not zero, a column for each in row-major order: [rank, count] (ONNX NonZero)."""

    name = "mm.nonzero"
    operands = (Operand("x"),)
    results = (Result("y", int64),)
    dtypes = {"T": NUMERIC | BOOL}

    def infer(self, types: Any, values: KnownValues) -> Any:
        return (len(types[0].shape), None)

    def reference(self, x: Array) -> Array:
        # A scalar has no axes: one empty column if it is not zero.
        if x.ndim == 0:
            return np.zeros((0, int(bool(x))), np.int64)
        return np.stack(np.nonzero(x)).astype(np.int64)

    def decompose(self, graph: Any, x: Any) -> Any:
        mask = x if x.type.dtype is bool_ else graph.logical_not(graph.equal(x, 0))
        found = _found(graph, graph.reshape(mask, [-1]))
        sizes = sizes_of(graph, x)
        if not sizes:
            return graph.expand(np.zeros((0, 1), np.int64), shape_operand(graph, [0, *sizes_of(graph, found)]))
        rows: list[Any] = []
        for size in reversed(sizes[1:]):
            divisor = max(size, 1) if isinstance(size, int) else size  # Nothing is divided where a size is 0.
            rows.insert(0, graph.mod(found, divisor))
            found = graph.div(found, divisor)
        return graph.concat(*(graph.unsqueeze(row, axes=(0,)) for row in (found, *rows)), axis=0)


def _found(graph: Any, mask: Any) -> Any:
    """The places where a vector of bools holds, ascending."""
    ones = graph.cast(mask, to=int64)
    count = graph.sizes(graph.reduce_sum(ones, axes=(0,), keepdims=True))
    # Each place goes to its rank among those that hold; all others go to one more slot at the end, which is cut off.
    ranks = graph.select(mask, graph.sub(graph.cumsum(ones, axis=0), 1), count)
    slots = graph.expand(graph.constant(0), graph.add(count, 1))
    numbers = places(graph, sizes_of(graph, mask)[0])
    return graph.slice(graph.scatter_elements(slots, ranks, numbers, axis=0), [0], count, [0])


class Compress(OpDef):
    """The slices of x along `axis` (of x flattened without one) where the 1-D `condition` is true (ONNX Compress)."""

    name = "mm.compress"
    operands = (Operand("x"), Operand("condition", "B"))
    dtypes = {"T": ALL, "B": BOOL}
    attributes = (Attribute("axis", int, None),)

    def infer(self, types: Any, values: KnownValues, *, axis: int | None) -> Any:
        shape = types[0].shape
        require_rank(self.name, "condition", types[1].shape, 1)
        if axis is None:
            return (None,)
        axis = axis_of(self.name, axis, len(shape))
        return (*shape[:axis], None, *shape[axis + 1 :])

    def reference(self, x: Array, condition: Array, *, axis: int | None) -> Array:
        return np.compress(condition, x, axis)

    def decompose(self, graph: Any, x: Any, condition: Any, *, axis: int | None) -> Any:
        if axis is None:
            x, axis = graph.reshape(x, [-1]), 0
        return graph.gather(x, _found(graph, condition), axis=axis)


class Unique(OpDef):
    """Distinct elements of x flattened, or distinct slices along `axis` (ONNX Unique). A NaN equals nothing.

    Results: the distinct ones (ascending, or in order of appearance unless `sorted`), where each first appears, for
    each element of x its place among them, and how often each appears.
    """

    name = "mm.unique"
    operands = (Operand("x"),)
    results = (Result("y"), Result("indices", int64), Result("inverse", int64), Result("counts", int64))
    dtypes = {"T": ALL}
    attributes = (Attribute("axis", int, None), Attribute("sorted", bool, True))

    def infer(self, types: Any, values: KnownValues, *, axis: int | None, sorted: bool) -> Any:
        shape = types[0].shape
        if axis is None:
            total = types[0].element_count()
            return [(None,), (None,), (total,), (None,)]
        axis = axis_of(self.name, axis, len(shape))
        return [(*shape[:axis], None, *shape[axis + 1 :]), (None,), (shape[axis],), (None,)]

    def reference(self, x: Array, *, axis: int | None, sorted: bool) -> tuple[Array, ...]:
        y, first, inverse, counts = np.unique(
            wide(x), return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
        )
        inverse = inverse.reshape(-1)
        if not sorted:
            order = np.argsort(first, kind="stable")
            place = np.empty_like(order)
            place[order] = np.arange(order.size)
            y = np.take(y, order, 0 if axis is None else axis)
            first, counts, inverse = first[order], counts[order], place[inverse]
        return (y.astype(x.dtype), *(part.astype(np.int64) for part in (first, inverse, counts)))

    def decompose(self, graph: Any, x: Any, *, axis: int | None, sorted: bool) -> Any:
        """Sorted stably, equal ones are neighbours, and the first of each run is the first that appeared."""
        if x.type.dtype not in NUMERIC | BOOL:
            return None
        if axis is None:
            x, axis = graph.reshape(x, [-1]), 0
        keys = _columns(graph, x, axis % len(x.type.shape))
        size = sizes_of(graph, keys)[1]
        order = _lexicographic_order(graph, keys, size)
        numbers = places(graph, size)
        ranked = graph.gather(keys, order, axis=1)
        before = graph.gather(ranked, graph.maximum(graph.sub(numbers, 1), 0), axis=1)
        changes = graph.cast(graph.logical_not(graph.equal(ranked, before)), to=int64)
        begins = graph.logical_or(
            graph.less(0, graph.reduce_sum(changes, axes=(0,), keepdims=False)), graph.equal(numbers, 0)
        )
        runs = graph.sub(graph.cumsum(graph.cast(begins, to=int64), axis=0), 1)
        first = graph.gather(order, _found(graph, begins))
        inverse = graph.scatter_elements(_filled(graph, 0, size), order, runs, axis=0)
        if not sorted:
            count = sizes_of(graph, first)[0]
            _, appearance = graph.topk(first, count, largest=False)
            first = graph.gather(first, appearance)
            numbered = graph.scatter_elements(_filled(graph, 0, count), appearance, places(graph, count), axis=0)
            inverse = graph.gather(numbered, inverse)
        (count,) = sizes_of(graph, first)
        counts = graph.scatter_elements(
            _filled(graph, 0, count), inverse, _filled(graph, 1, size), axis=0, reduction="add"
        )
        return graph.gather(x, first, axis=axis), first, inverse, counts


def _filled(graph: Any, number: int, size: Size) -> Any:
    return graph.expand(graph.constant(number), shape_operand(graph, [size]))


def _columns(graph: Any, x: Any, axis: int) -> Any:
    """The slices along an axis as columns: [elements of a slice, slices]. Bools become numbers."""
    if x.type.dtype is bool_:
        x = graph.cast(x, to="uint8")
    rank = len(x.type.shape)
    last = graph.transpose(x, permutation=[*(place for place in range(rank) if place != axis), axis])
    sizes = sizes_of(graph, last)
    return reshape(graph, last, [times(graph, *sizes[:-1]), sizes[-1]])


def _lexicographic_order(graph: Any, keys: Any, count: Size) -> Any:
    """The order that sorts columns by their first element, equal ones by the next, and so on; stable.

    Sorted by one row after the other, the last row first.
    """
    rows = sizes_of(graph, keys)[0]
    if rows == 1:
        return graph.topk(graph.reshape(keys, [-1]), shape_operand(graph, [count]), largest=False)[1]
    body = Graph(within=graph.graph)
    iteration = body.add_argument(TensorType(int64, ()))
    going = body.add_argument(TensorType(bool_, ()))
    order = body.add_argument(TensorType(int64, keys.type.shape[1:]))
    inner = body.add_argument(keys.type)
    height, width = body.shape(inner, start=0, end=1), body.shape(inner, start=1, end=2)
    row = body.gather(inner, body.sub(body.sub(body.reshape(height, []), 1), iteration))
    _, step = body.topk(body.gather(row, order), width, largest=False)
    body.set_outputs([going, body.gather(order, step)])
    trips = graph.reshape(graph.shape(keys, start=0, end=1), [])
    return graph.loop(trips, None, places(graph, count), keys, carried=1, regions=(body,))[0]


OPS: tuple[type[OpDef], ...] = (NonZero, Compress, Unique)
