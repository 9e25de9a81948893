"""In which order the axes of a tensor lie in memory; the engine, which knows row-major arrays, gets them permuted."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def memory_order(example: torch.Tensor) -> tuple[int, ...]:
    """The axes of a (fake) tensor from the slowest to the fastest; in their own order if it has gaps or overlaps.

    `example.permute(memory_order(example))` is contiguous then: `channels_last` gives (0, 2, 3, 1).
    """
    own = tuple(range(example.ndim))
    if example.is_contiguous():
        return own
    sizes, strides = list(map(_number, example.shape)), list(map(_number, example.stride()))
    # An axis of size 1 lies anywhere: it stays before the axis that follows it.
    order = tuple(sorted(own, key=lambda axis: (-strides[axis], sizes[axis] != 1, axis)))
    expected = 1
    for axis in reversed(order):
        if sizes[axis] != 1 and strides[axis] != expected:
            return own
        expected *= sizes[axis]
    return order


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `order`."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _number(size: int | torch.SymInt) -> int:
    """A size as it was in the example, without a guard on it."""
    return size if isinstance(size, int) else int(size.node.hint) if size.node.has_hint() else _UNKNOWN


_UNKNOWN = 1 << 20
"""Stands for a size that only running tells: it is taken for none of the others."""
