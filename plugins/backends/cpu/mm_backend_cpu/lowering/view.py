"""Where a value lies: a buffer seen through an offset and strides. Transposes, slices and broadcasts cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mm_backend_cpu.codegen.strides import dense_strides
from mm_core.types import Dim, Shape


@dataclass(frozen=True, slots=True)
class View:
    """A tensor of `shape`: element (i, j, ...) is `offset + i * strides[0] + j * strides[1] + ...` of the buffer.

    Offset and strides count elements.
    """

    buffer: int
    shape: Shape
    strides: Shape
    offset: Dim = 0

    @classmethod
    def dense(cls, buffer: int, shape: Sequence[Dim]) -> View:
        return cls(buffer, tuple(shape), dense_strides(shape))

    @classmethod
    def in_order(cls, buffer: int, shape: Sequence[Dim], order: Sequence[int]) -> View:
        """A tensor whose axes lie in memory in `order`, outermost first."""
        strides: list[Dim] = [0] * len(shape)
        for axis, stride in zip(order, dense_strides([shape[axis] for axis in order])):
            strides[axis] = stride
        return cls(buffer, tuple(shape), tuple(strides))

    def lies_in(self, order: Sequence[int]) -> bool:
        """Whether the tensor fills its buffer from the start with its axes in `order`."""
        if self.offset != 0:
            return False
        wanted = View.in_order(self.buffer, self.shape, order)
        return all(
            mine == theirs or dim == 1 for dim, mine, theirs in zip(self.shape, self.strides, wanted.strides)
        )

    @property
    def is_dense(self) -> bool:
        """Whether the tensor lies row-major from the buffer's start."""
        return self.lies_in(range(len(self.shape)))

    def order(self) -> tuple[int, ...] | None:
        """The order of axes in which the tensor fills its buffer; None if it does not.

        Axes of size 1 fit anywhere: row-major is preferred, so that a result of one sample can be an output as it lies.
        """
        rank = len(self.shape)
        candidates = [tuple(range(rank)), channels_last_order(rank)]
        steps = [0 if dim == 1 else -stride for dim, stride in zip(self.shape, self.strides)]
        if all(isinstance(step, int) for step in steps):
            ones_first = sorted(range(rank), key=lambda axis: (self.shape[axis] != 1, steps[axis]))
            candidates.append(tuple(ones_first))
        return next((candidate for candidate in candidates if self.lies_in(candidate)), None)

    def row_step(self, order: Sequence[int], position: int) -> Dim | None:
        """Elements from a row to the next, a row being the axes `order[position:]`; None where they lie otherwise."""
        row = order[position:]
        wanted = dense_strides([self.shape[axis] for axis in row])
        if any(self.strides[axis] != stride and self.shape[axis] != 1 for axis, stride in zip(row, wanted)):
            return None
        axes = [axis for axis in order[:position] if self.shape[axis] != 1]
        if any(self.strides[outer] != self.strides[inner] * self.shape[inner] for outer, inner in pairwise(axes)):
            return None
        return self.strides[axes[-1]] if axes else 0

    def transposed(self, permutation: Sequence[int]) -> View:
        """Axis k of the result is axis permutation[k] of this."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in permutation),
            strides=tuple(self.strides[axis] for axis in permutation),
        )

    def sliced(self, starts: Sequence[Dim], steps: Sequence[int], shape: Shape) -> View:
        """Every steps[k]-th element from starts[k] on, along each axis."""
        offset = self.offset
        for start, stride in zip(starts, self.strides):
            offset = offset + start * stride
        strides = tuple(stride * step for stride, step in zip(self.strides, steps))
        return View(self.buffer, shape, strides, offset)

    def broadcast(self, shape: Shape) -> View | None:
        """Repeated to `shape`; None where only running tells whether a dimension is 1."""
        strides = broadcast_strides(self, shape)
        return None if strides is None else replace(self, shape=shape, strides=strides)

    def reshaped(self, shape: Shape) -> View | None:
        """The same elements in row-major order under another shape; None where that needs a copy."""
        if self.is_dense:
            return View.dense(self.buffer, shape)
        strides: list[Dim] = []
        for mine, theirs in matching_groups(self.shape, shape):
            axes = [axis for axis in mine if self.shape[axis] != 1]
            if not axes:
                strides += [0] * len(theirs)
                continue
            for outer, inner in pairwise(axes):
                if self.strides[outer] != self.strides[inner] * self.shape[inner]:
                    return None
            step = self.strides[axes[-1]]
            own: list[Dim] = []
            for axis in reversed(theirs):
                own.append(step)
                step = step * shape[axis]
            strides += reversed(own)
        if len(strides) != len(shape):
            return None
        return View(self.buffer, shape, tuple(strides), self.offset)


def broadcast_strides(view: View, shape: Shape) -> Shape | None:
    """Strides that read a view as if it had `shape`: 0 where it is repeated. None where only running tells."""
    missing = len(shape) - len(view.shape)
    strides: list[Dim] = [0] * missing
    for mine, target, stride in zip(view.shape, shape[missing:], view.strides):
        if mine == target:
            strides.append(stride)
        elif mine == 1:
            strides.append(0)
        else:
            return None
    return tuple(strides)


def channels_last_order(rank: int) -> tuple[int, ...]:
    """Batch, spatial axes, channels."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def matching_groups(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Runs of axes of both shapes that hold equally many elements, as short as possible."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        mine, theirs = [], []
        left: Dim = 1
        right: Dim = 1
        if i < len(before):
            left, mine, i = before[i], [i], i + 1
        if j < len(after):
            right, theirs, j = after[j], [j], j + 1
        while left != right:
            grow_left = _grows(left, right, before[i:], after[j:])
            if grow_left and i < len(before):
                left, mine, i = left * before[i], [*mine, i], i + 1
            elif j < len(after):
                right, theirs, j = right * after[j], [*theirs, j], j + 1
            elif i < len(before):
                left, mine, i = left * before[i], [*mine, i], i + 1
            else:
                return []
        groups.append((mine, theirs))
    return groups


def _grows(left: Dim, right: Dim, before: Shape, after: Shape) -> bool:
    """Which side to extend: the smaller; where sizes are symbolic, the one whose next axis makes both equal."""
    if isinstance(left, int) and isinstance(right, int):
        return left < right
    product: Dim = left
    for dim in before:
        product = product * dim
        if product == right:
            return True
    return not after
