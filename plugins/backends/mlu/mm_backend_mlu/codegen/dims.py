"""Axes of loops: sizes with the strides of each operand."""

from __future__ import annotations

from collections.abc import Sequence

Strides = tuple[int, ...]


def dense_strides(shape: Sequence[int]) -> Strides:
    """Elements between neighbours along each axis of a row-major tensor."""
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def broadcast_strides(shape: Sequence[int], target: Sequence[int]) -> Strides:
    """Strides that read a row-major tensor of `shape` as if it had the shape `target`: 0 where it repeats."""
    missing = len(target) - len(shape)
    strides = dense_strides(shape)
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
