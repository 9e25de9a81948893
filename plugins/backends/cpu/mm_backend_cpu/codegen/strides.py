"""Strides of dense and broadcast tensors in elements, and the fewest loops that walk several of them together."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.types import Dim


def dense_strides(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Row-major strides."""
    strides: list[Dim] = []
    step: Dim = 1
    for extent in reversed(shape):
        strides.append(step)
        step = step * extent
    return tuple(reversed(strides))


def broadcast_strides(shape: Sequence[Dim], target: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides that read a dense tensor of `shape` as if it had the shape `target`: 0 where it is repeated."""
    missing = len(target) - len(shape)
    strides = [0 if extent == 1 else step for extent, step in zip(shape, dense_strides(shape), strict=True)]
    return (0,) * missing + tuple(strides)


def product(extents: Sequence[Dim]) -> Dim:
    """The number of elements of a shape."""
    result: Dim = 1
    for extent in extents:
        result = result * extent
    return result


def collapse(shape: Sequence[Dim], tensors: Sequence[Sequence[Dim]]) -> tuple[list[Dim], list[list[Dim]]]:
    """Merge adjacent axes that every tensor walks without a jump, and drop axes of extent 1.

    Takes and gives a shape and the strides of each tensor. At least one axis remains.
    """
    extents: list[Dim] = []
    strides: list[list[Dim]] = [[] for _ in tensors]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        merge = bool(extents) and all(
            kept[-1] == tensor[axis] * extent for kept, tensor in zip(strides, tensors, strict=True)
        )
        if merge:
            extents[-1] = extents[-1] * extent
        else:
            extents.append(extent)
        for kept, tensor in zip(strides, tensors, strict=True):
            if merge:
                kept[-1] = tensor[axis]
            else:
                kept.append(tensor[axis])
    if not extents:
        return [1], [[0] for _ in tensors]
    return extents, strides
