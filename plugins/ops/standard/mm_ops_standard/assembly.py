"""Tensors put together or made from nothing: concat, range, filled tensors, identity matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.errors import InputError, UnsupportedOpError
from mm_core.ir import OperandValues
from mm_core.ops import (
    ALL,
    INDEX,
    MAX_KNOWN_ELEMENTS,
    NUMERIC,
    Arity,
    Attribute,
    OpDef,
    Operand,
    Result,
    Tier,
)
from mm_core.types import Dim, DType, TensorData, TensorType, agree, ceildiv
from mm_core.types.dtypes import float32, float64, int64
from mm_ops_standard.known import FOLLOWED, dims, fits, integers, larger, partial
from mm_ops_standard.movement import Movement
from mm_ops_standard.shapes import axis_of


class Concat(Movement):
    """Tensors put one behind the other along `axis`; their other sizes agree."""

    name = "mm.concat"
    tier = Tier.DEVICE
    operands = (Operand("first"), Operand("rest", "T", Arity.VARIADIC))
    attributes = (Attribute("axis", int),)

    def infer(self, types: Any, values: Any, *, axis: int) -> Any:
        shape = list(types[0].shape)
        axis = axis_of(self.name, axis, len(shape))
        for other in types[1:]:
            if len(other.shape) != len(shape):
                raise UnsupportedOpError(f"{self.name}: ranks of {types[0]} and {other} differ")
            for index, dim in enumerate(other.shape):
                if index == axis:
                    shape[index] = shape[index] + dim
                else:
                    shape[index] = agree(shape[index], dim, f"{self.name}: sizes of axis {index}")
        return tuple(shape)

    def known(self, types: Any, values: Any, *, axis: int) -> Any:
        parts = [values[index] for index in range(len(types))]
        if all(part is None for part in parts) or not all(fits(type_.shape) for type_ in types):
            return None
        if sum(math.prod(type_.shape) for type_ in types) > MAX_KNOWN_ELEMENTS:
            return None
        return np.concatenate(
            [np.full(type_.shape, None, object) if part is None else part for part, type_ in zip(parts, types)], axis
        )

    def reference(self, *operands: Any, axis: int) -> Any:
        return np.concatenate(operands, axis)


class Range(OpDef):
    """start, start + delta, ... up to limit (left out): max(0, ceil((limit - start) / delta)) elements. All scalars."""

    name = "mm.range"
    tier = Tier.DEVICE
    operands = (Operand("start"), Operand("limit"), Operand("delta"))
    dtypes = {"T": NUMERIC}

    def infer(self, types: Any, values: Any) -> Any:
        return (self._length(values),)

    def _length(self, values: Any) -> Dim | None:
        known = [values[index] for index in range(3)]
        if any(item is None for item in known):
            return None
        start, limit, delta = (item.flat[0] for item in known)
        if start is None or limit is None or not isinstance(delta, int):
            return None
        if delta == 0:
            raise UnsupportedOpError(f"{self.name}: delta is 0")
        span = limit - start
        return larger(ceildiv(span, delta) if delta > 0 else ceildiv(-span, -delta), 0)

    def known(self, types: Any, values: Any) -> Any:
        length = self._length(values)
        if not isinstance(length, int) or length > MAX_KNOWN_ELEMENTS:
            return None
        start, delta = values[0].flat[0], values[2].flat[0]
        return partial([start + index * delta for index in range(length)], (length,))

    def reference(self, start: Any, limit: Any, delta: Any) -> Any:
        start, limit, delta = (np.asarray(item).reshape(()) for item in (start, limit, delta))
        dtype = start.dtype
        if dtype.kind in "iu":
            low, high, step = int(start), int(limit), int(delta)
            if step == 0:
                raise InputError(f"{self.name}: delta is 0")
            length = max(0, -((low - high) // step))
            return (low + np.arange(length, dtype=np.int64) * step).astype(dtype)
        wide = dtype if dtype == np.float64 else np.dtype(np.float32)
        low, high, step = (item.astype(wide) for item in (start, limit, delta))
        with np.errstate(all="ignore"):
            count = np.ceil((np.float64(high) - np.float64(low)) / np.float64(step))
        if not abs(count) < 2.0**53:
            raise InputError(f"{self.name}: from {low} to {high} in steps of {step} are no countable elements")
        length = max(0, int(count))
        return (low + np.arange(length).astype(wide) * step).astype(dtype)

    def decompose(self, graph: Any, start: Any, limit: Any, delta: Any) -> Any:
        """Counted first, where the length is known only while running; a delta of 0 counts -1, which is no size."""
        if self._length(OperandValues((start, limit, delta))) is not None:
            return None
        dtype = start.type.dtype
        count = _count_integers if dtype.is_integer else _count_floats
        places = graph.range(0, graph.sizes(count(graph, start, limit, delta)), 1)
        computed = int64 if dtype.is_integer else float64 if dtype is float64 else float32
        first, step, places = (_as(graph, value, computed) for value in (start, delta, places))
        return _as(graph, graph.add(first, graph.mul(places, step)), dtype)


def _as(graph: Any, value: Any, dtype: DType) -> Any:
    return value if value.type.dtype is dtype else graph.cast(value, to=dtype)


def _count_integers(graph: Any, *bounds: Any) -> Any:
    start, limit, delta = (_as(graph, value, int64) for value in bounds)
    stands = graph.equal(delta, 0)
    step = graph.select(stands, 1, delta)
    # Division truncates: what is added before rounds a positive quotient up.
    span = graph.add(graph.sub(limit, start), graph.sub(step, graph.sign(step)))
    count = graph.div(span, step)
    ahead = graph.select(graph.less(0, step), graph.less(start, limit), graph.less(limit, start))
    # More than int64 counts comes out as none at all.
    countable = graph.select(graph.less(0, count), count, -1)
    return graph.select(stands, -1, graph.select(ahead, countable, 0))


def _count_floats(graph: Any, *bounds: Any) -> Any:
    start, limit, delta = (_as(graph, value, float64) for value in bounds)
    count = graph.ceil(graph.div(graph.sub(limit, start), delta))
    countable = graph.less(graph.abs(count), 2.0**53)
    return graph.cast(graph.select(countable, graph.maximum(count, 0.0), -1.0), to=int64)


class Filled(OpDef):
    """A tensor of the shape given, every element the one in `value`."""

    name = "mm.constant_of_shape"
    operands = (Operand("shape", "I"),)
    results = (Result("y", None),)
    dtypes = {"I": INDEX}
    attributes = (Attribute("value", TensorData, TensorData.of(np.zeros(1, np.float32))),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, value: TensorData) -> Any:
        if value.size != 1:
            raise UnsupportedOpError(f"{self.name}: value has {value.size} elements", remedy="give one")
        return TensorType(value.dtype, dims(values[0], types[0]))  # type: ignore[arg-type]

    def known(self, types: Any, values: Any, *, value: TensorData) -> Any:
        shape = integers(values[0])
        if shape is None or value.dtype.name not in FOLLOWED or not fits(shape):
            return None
        return partial([value.numpy().reshape(-1)[0].item()] * math.prod(shape), shape)

    def reference(self, shape: Any, *, value: TensorData) -> Any:
        return np.full(tuple(map(int, shape)), value.numpy().reshape(-1)[0], value.dtype.numpy)

    def decompose(self, graph: Any, shape: Any, *, value: TensorData) -> Any:
        return graph.expand(graph.constant(value.numpy().reshape(())), shape)


class Iota(OpDef):
    """A tensor of the shape given whose elements are their own place along `axis`, as `dtype`."""

    name = "mm.iota"
    operands = (Operand("shape", "I"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"I": INDEX}
    attributes = (Attribute("axis", int, 0), Attribute("dtype", DType, "int64"))

    def infer(self, types: Any, values: Any, *, axis: int, dtype: DType) -> Any:
        shape = dims(values[0], types[0])
        if shape is not None:
            axis_of(self.name, axis, len(shape))
        return shape

    def reference(self, shape: Any, *, axis: int, dtype: DType) -> Any:
        return np.indices(tuple(map(int, shape)))[axis].astype(dtype.numpy)

    def decompose(self, graph: Any, shape: Any, *, axis: int, dtype: DType) -> Any:
        rank = shape.type.shape[0]
        if not isinstance(rank, int):
            return None
        axis = axis_of(self.name, axis, rank)
        index = graph.sizes(graph.cast(shape, to="int64"))
        limit = graph.reshape(graph.slice(index, [axis], [axis + 1], [0]), [])
        places = graph.cast(graph.range(graph.constant(0), limit, graph.constant(1)), to=dtype)
        return graph.expand(graph.reshape(places, [-1] + [1] * (rank - 1 - axis)), index)


class EyeLike(OpDef):
    """A matrix of x's shape with ones on diagonal `k` (above the main one if positive), zeros elsewhere."""

    name = "mm.eye_like"
    operands = (Operand("x"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"T": ALL}
    attributes = (Attribute("dtype", DType), Attribute("k", int, 0))

    def infer(self, types: Any, values: Any, *, dtype: DType, k: int) -> Any:
        if len(types[0].shape) != 2:
            raise UnsupportedOpError(f"{self.name} takes a matrix, got {types[0]}")
        return types[0].shape

    def reference(self, x: Any, *, dtype: DType, k: int) -> Any:
        return np.eye(x.shape[0], x.shape[1], k).astype(dtype.numpy)

    def decompose(self, graph: Any, x: Any, *, dtype: DType, k: int) -> Any:
        shape = graph.shape(x)
        rows, columns = graph.iota(shape, axis=0), graph.iota(shape, axis=1)
        return graph.cast(graph.equal(graph.add(rows, k), columns), to=dtype)


OPS: tuple[type[OpDef], ...] = (Concat, Range, Filled, Iota, EyeLike)
