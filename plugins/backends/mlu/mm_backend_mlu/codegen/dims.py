"""Axes of loops: sizes with the strides of each operand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Strides = tuple[int, ...]


def dense_strides(shape: Sequence[int]) -> Strides:
    """Elements between neighbours along each axis of a row-major tensor."""
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def broadcast_strides(shape: Sequence[int], target: Sequence[int]) -> Strides:
    """Strides that read a row-major tensor of `shape` as if it had the shape `target`: 0 where it repeats."""
    return spread_strides(shape, dense_strides(shape), target)


def spread_strides(shape: Sequence[int], strides: Strides, target: Sequence[int]) -> Strides:
    """Strides that read a tensor of `shape` with such strides as if it had the shape `target`."""
    missing = len(target) - len(shape)
    return (0,) * missing + tuple(
        0 if size == 1 else stride for size, stride in zip(shape, strides)
    )


def coalesce(shape: Sequence[int], operands: Sequence[Strides]) -> tuple[tuple[int, ...], list[Strides]]:
    """The same loops with fewer axes: those of size 1 left out, neighbours joined where every operand steps evenly."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in operands]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        own = [strides[axis] for strides in operands]
        if sizes and all(last[-1] == stride * size for last, stride in zip(steps, own)):
            sizes[-1] *= size
            for last, stride in zip(steps, own):
                last[-1] = stride
        else:
            sizes.append(size)
            for last, stride in zip(steps, own):
                last.append(stride)
    return tuple(sizes), [tuple(strides) for strides in steps]


def reshaped_strides(shape: Sequence[int], strides: Strides, target: Sequence[int]) -> Strides | None:
    """Strides of the same elements, none of them missing, in another shape; None where no strides say so."""
    own = [(size, stride) for size, stride in zip(shape, strides) if size != 1]
    result: list[int] = []
    place = 0
    while place < len(own) and len(result) < len(target):
        first, last = place + 1, len(result) + 1
        mine, theirs = own[place][0], target[len(result)]
        while mine != theirs:
            if theirs < mine:
                theirs *= target[last]
                last += 1
            else:
                mine *= own[first][0]
                first += 1
        joined = own[place:first]
        if any(outer[1] != inner[0] * inner[1] for outer, inner in pairwise(joined)):
            return None
        steps = [joined[-1][1]]
        for size in reversed(target[len(result) + 1 : last]):
            steps.insert(0, steps[0] * size)
        result += steps
        place = first
    return (*result, *(1 for _ in target[len(result) :]))
