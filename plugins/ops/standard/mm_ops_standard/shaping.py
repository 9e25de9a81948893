"""Shapes: reading them, and giving the same elements, in the same order, another one."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ops import ALL, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import Dim, agree, floordiv
from mm_core.types.dtypes import int64
from mm_ops_standard.known import dims, integers, partial
from mm_ops_standard.movement import Movement
from mm_ops_standard.shapes import axes_of, axis_of, int64_vector, is_settled, reshape, sizes_of, times


def _product(items: Any) -> Dim:
    total: Dim = 1
    for item in items:
        total = total * item
    return total


class Reshape(Movement):
    """x's elements in the shape given, in row-major order. One size may be -1: whatever is left. 0 means 0.

    A single size that only running tells is whatever is left too, and not looked at.
    """

    name = "mm.reshape"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("shape", "I"))
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        wanted = dims(values[1], types[1])
        if wanted is None:
            return None
        if any(isinstance(size, int) and size < -1 for size in wanted) or wanted.count(-1) > 1:
            raise UnsupportedOpError(
                f"{self.name}: [{', '.join(map(str, wanted))}] is not a shape", remedy="one size may be -1"
            )
        if types[0].shape is None:
            return tuple(None if size == -1 else size for size in wanted)
        total, known = _product(types[0].shape), [size for size in wanted if size is not None and size != -1]
        missing, rest = len(wanted) - len(known), _product(known)
        if missing == 0:
            agree(total, rest, f"{self.name}: numbers of elements of {types[0]} and [{', '.join(map(str, wanted))}]")
            return wanted
        if missing > 1 or rest == 0:
            return tuple(None if size == -1 else size for size in wanted)
        if isinstance(total, int) and isinstance(rest, int) and total % rest:
            raise UnsupportedOpError(f"{self.name}: {total} elements do not fill {list(map(str, wanted))}")
        left = floordiv(total, rest)
        agree(total, left * rest, f"{self.name}: numbers of elements of {types[0]} and what fills the shape")
        return tuple(left if size in (-1, None) else size for size in wanted)

    def known(self, types: Any, values: Any) -> Any:
        known, wanted = values[0], integers(values[1])
        return None if known is None or wanted is None else known.reshape(wanted)

    def reference(self, x: Any, shape: Any) -> Any:
        return x.reshape(tuple(map(int, shape)))

    def decompose(self, graph: Any, x: Any, shape: Any) -> Any:
        """A shape that only running tells is read there, after what is left has taken the place of -1."""
        length = shape.type.shape[0]
        if not isinstance(length, int) or is_settled(self, x, shape):
            return None
        wanted = int64_vector(graph, shape)
        is_rest = graph.equal(wanted, -1)
        others = graph.reduce_prod(graph.select(is_rest, 1, wanted), axes=(0,))
        rest = graph.div(graph.size(x), graph.maximum(others, 1))
        return graph.reshape(x, graph.sizes(graph.select(is_rest, rest, wanted)))


class _Relabel(Movement):
    """The same elements under other axes; known values follow by the reference itself."""

    def known(self, types: Any, values: Any, **attributes: Any) -> Any:
        return None if values[0] is None else self.reference(values[0], **attributes)


class Squeeze(_Relabel):
    """x without the axes of size 1 named in `axes`; None drops all of them, which must then be static."""

    name = "mm.squeeze"
    attributes = (Attribute("axes", (int,), None),)

    def infer(self, types: Any, values: Any, *, axes: Any) -> Any:
        shape = types[0].shape
        if axes is None:
            return tuple(dim for dim in shape if dim != 1)
        dropped = axes_of(self.name, axes, len(shape))
        for axis in dropped:
            agree(shape[axis], 1, f"{self.name}: size of axis {axis} and 1")
        return tuple(dim for axis, dim in enumerate(shape) if axis not in dropped)

    def reference(self, x: Any, *, axes: Any) -> Any:
        return np.squeeze(x, axes)

    def decompose(self, graph: Any, x: Any, *, axes: Any) -> Any:
        sizes = sizes_of(graph, x)
        if axes is None:
            return reshape(graph, x, [size for size in sizes if not (isinstance(size, int) and size == 1)])
        dropped = axes_of(self.name, axes, len(sizes))
        return reshape(graph, x, [size for axis, size in enumerate(sizes) if axis not in dropped])


class Unsqueeze(_Relabel):
    """x with axes of size 1 added, at the places `axes` of the result."""

    name = "mm.unsqueeze"
    attributes = (Attribute("axes", (int,)),)

    def infer(self, types: Any, values: Any, *, axes: Any) -> Any:
        return self._insert(list(types[0].shape), axes)

    def _insert(self, sizes: list[Any], axes: Any) -> tuple[Any, ...]:
        for axis in sorted(axes_of(self.name, axes, len(sizes) + len(axes))):
            sizes.insert(axis, 1)
        return tuple(sizes)

    def reference(self, x: Any, *, axes: Any) -> Any:
        return np.expand_dims(x, axes)

    def decompose(self, graph: Any, x: Any, *, axes: Any) -> Any:
        return reshape(graph, x, self._insert(sizes_of(graph, x), axes))


class Flatten(_Relabel):
    """x as a matrix: axes before `axis` joined into rows, the others into columns."""

    name = "mm.flatten"
    attributes = (Attribute("axis", int, 1),)

    def _axis(self, axis: int, rank: int) -> int:
        return rank if axis == rank else axis_of(self.name, axis, rank)

    def infer(self, types: Any, values: Any, *, axis: int) -> Any:
        shape = types[0].shape
        axis = self._axis(axis, len(shape))
        return _product(shape[:axis]), _product(shape[axis:])

    def reference(self, x: Any, *, axis: int) -> Any:
        axis = self._axis(axis, x.ndim)
        return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))

    def decompose(self, graph: Any, x: Any, *, axis: int) -> Any:
        sizes = sizes_of(graph, x)
        axis = self._axis(axis, len(sizes))
        return reshape(graph, x, [times(graph, *sizes[:axis]), times(graph, *sizes[axis:])])


class ShapeOf(OpDef):
    """The shape of x, or its part from axis `start` up to `end`, as int64. Negative ones count from the end."""

    name = "mm.shape"
    tier = Tier.DEVICE
    operands = (Operand("x"),)
    results = (Result("y", int64),)
    dtypes = {"T": ALL}
    attributes = (Attribute("start", int, 0), Attribute("end", int, None))
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, start: int, end: int | None) -> Any:
        shape = types[0].shape
        return (None,) if shape is None else (len(shape[start:end]),)

    def known(self, types: Any, values: Any, *, start: int, end: int | None) -> Any:
        shape = types[0].shape
        return None if shape is None else partial(list(shape[start:end]), (len(shape[start:end]),))

    def reference(self, x: Any, *, start: int, end: int | None) -> Any:
        return np.array(x.shape[start:end], np.int64)


class Size(OpDef):
    """The number of elements, as an int64 scalar."""

    name = "mm.size"
    operands = (Operand("x"),)
    results = (Result("y", int64),)
    dtypes = {"T": ALL}
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return ()

    def known(self, types: Any, values: Any) -> Any:
        return None if types[0].shape is None else partial([types[0].element_count()], ())

    def reference(self, x: Any) -> Any:
        return np.array(x.size, np.int64)

    def decompose(self, graph: Any, x: Any) -> Any:
        return graph.reduce_prod(graph.shape(x), axes=(0,), keepdims=False)


OPS: tuple[type[OpDef], ...] = (Reshape, Squeeze, Unsqueeze, Flatten, ShapeOf, Size)
