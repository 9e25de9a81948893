"""How values lie in device memory, and the stage that decides it for every value of a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from mm_backend_mlu.lowering.rule import Preference
from mm_backend_mlu.lowering.values import constant_data, dtype_of, shape_of
from mm_core.ir import Network, Operation, Value
from mm_core.types import Array

IMAGE_RANK = 4
LINE_BYTES = 128
"""What the vector unit takes at once. Channels that lie last are padded to it."""


class Layout(Enum):
    """Row-major as the IR says, or [batch, rows, columns, channels] with the channels padded to whole lines."""

    DENSE = "dense"
    CHANNELS_LAST = "channels_last"


def lanes(itemsize: int) -> int:
    """Elements of one line of the vector unit."""
    return LINE_BYTES // itemsize


def round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def with_rank(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape with axes of size 1 before its own, up to `rank`."""
    return (1,) * (rank - len(shape)) + shape


def physical_shape(shape: tuple[int, ...], itemsize: int, layout: Layout) -> tuple[int, ...]:
    """Sizes in memory, padding included, outermost first."""
    if layout is Layout.DENSE:
        return shape
    batch, channels, height, width = shape
    return batch, height, width, round_up(channels, lanes(itemsize))


def physical_strides(shape: tuple[int, ...], itemsize: int, layout: Layout) -> tuple[int, ...]:
    """Elements between neighbours along each axis of the IR's shape."""
    sizes = physical_shape(shape, itemsize, layout)
    steps = [1] * len(sizes)
    for axis in reversed(range(len(sizes) - 1)):
        steps[axis] = steps[axis + 1] * sizes[axis + 1]
    if layout is Layout.DENSE:
        return tuple(steps)
    return steps[0], steps[3], steps[1], steps[2]


def to_channels_last(array: Array) -> Array:
    """An array of rank 4 as it lies channels last; padding is zero."""
    padded = round_up(array.shape[1], lanes(array.dtype.itemsize)) - array.shape[1]
    return np.ascontiguousarray(np.pad(array.transpose(0, 2, 3, 1), ((0, 0), (0, 0), (0, 0), (0, padded))))


@dataclass(frozen=True)
class Layouts:
    """A part and the values of it that lie channels last; all others are dense."""

    part: Network
    channels_last: frozenset[Value]

    def of(self, value: Value) -> Layout:
        return Layout.CHANNELS_LAST if value in self.channels_last else Layout.DENSE

    def __str__(self) -> str:
        lines = [f"{len(self.channels_last)} values channels last"]
        for operation in self.part.operations:
            if operation.name != "mm.constant":
                results = ", ".join(f"{result.type} {self.of(result).value}" for result in operation.results)
                lines.append(f"{operation.name}: {results}  {operation.where}")
        return "\n".join(lines) + "\n"


def layouts(part: Network, preference: Callable[[Operation], Preference]) -> Layouts:
    """Decide for every value of a part, in order: conversions are needed only where wishes meet."""
    chosen: set[Value] = set()
    for operation in part.operations:
        if operation.name == "mm.constant":
            continue
        wish = preference(operation)
        leader = _leader(operation)
        if wish is Preference.CHANNELS_LAST or (wish is Preference.FOLLOW and leader in chosen):
            images = [value for value in operation.results if _is_image(value)]
            if wish is Preference.CHANNELS_LAST or _equally_padded(operation):
                chosen.update(images)
    return Layouts(part, frozenset(chosen))


def _is_image(value: Value) -> bool:
    return len(shape_of(value)) == IMAGE_RANK and dtype_of(value).itemsize in (1, 2, 4)


def _leader(operation: Operation) -> Value | None:
    """The operand that a follower follows: one that is computed, of the result's shape if there is such."""
    computed = [
        value for value in operation.operands if value is not None and constant_data(value) is None and _is_image(value)
    ]
    shape = shape_of(operation.results[0])
    return next((value for value in computed if shape_of(value) == shape), next(iter(computed), None))


def _equally_padded(operation: Operation) -> bool:
    """Whether the images that an operation reads and writes have equally many channels in memory."""
    values = [value for value in (*operation.operands, *operation.results) if value is not None]
    images = [value for value in values if len(shape_of(value)) == IMAGE_RANK and shape_of(value)[1] != 1]
    padded = {round_up(shape_of(value)[1], lanes(dtype_of(value).itemsize)) for value in images if _is_image(value)}
    return all(map(_is_image, images)) and len(padded) == 1
