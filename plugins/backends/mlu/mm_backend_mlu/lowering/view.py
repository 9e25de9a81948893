"""`View`: elements of a buffer that need not lie in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_backend_mlu.codegen.dims import Strides, dense_strides, reshaped_strides


@dataclass(frozen=True, slots=True)
class View:
    """Elements of a buffer: shape as the IR says, and steps and first element in memory."""

    buffer: int
    shape: tuple[int, ...]
    strides: Strides
    offset: int = 0

    @classmethod
    def dense(cls, buffer: int, shape: tuple[int, ...]) -> View:
        """All of a buffer, row-major."""
        return cls(buffer, shape, dense_strides(shape))

    def sliced(self, starts: Sequence[int], steps: Sequence[int], shape: tuple[int, ...]) -> View:
        """From `starts` on, every `steps`-th element along each axis."""
        offset = self.offset + sum(start * stride for start, stride in zip(starts, self.strides))
        return View(self.buffer, shape, tuple(a * b for a, b in zip(self.strides, steps)), offset)

    def transposed(self, order: Sequence[int]) -> View:
        shape, strides = (tuple(sizes[axis] for axis in order) for sizes in (self.shape, self.strides))
        return View(self.buffer, shape, strides, self.offset)

    def reshaped(self, shape: tuple[int, ...]) -> View | None:
        """The same elements in another shape; None where no steps say so."""
        strides = reshaped_strides(self.shape, self.strides, shape)
        return None if strides is None else View(self.buffer, shape, strides, self.offset)


def inverse(order: Sequence[int]) -> list[int]:
    """The order of axes that takes a transposition back."""
    return sorted(range(len(order)), key=order.__getitem__)
