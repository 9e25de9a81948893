"""The parameters of the library's `resize`; `native/kernels/resize.cpp` says what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from mm_backend_cpu.lowering.lowering import constant_data, shape_of
from mm_backend_cpu.lowering.movement import double_bits
from mm_core.ir import Operation, known_value
from mm_core.types import Dim

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize",
)  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize_parameters(operation: Operation) -> Sequence[Dim] | str:
    """Codes of the modes, then for all axes scales, starts and ends; or the reason why the library does not apply."""
    x, given = operation.operands[0], operation.attributes
    assert x is not None
    shape, target = shape_of(x), shape_of(operation.result)
    axes = range(len(shape)) if given["axes"] is None else [axis % len(shape) for axis in given["axes"]]
    if not shape:
        return "no library kernel for a scalar"
    scales = _scales([(shape[axis], target[axis]) for axis in axes], operation)
    if isinstance(scales, str):
        return scales
    ends = _ends(operation, len(axes))
    if isinstance(ends, str):
        return ends
    columns = [[1.0] * len(shape), [0.0] * len(shape), [1.0] * len(shape)]
    for place, axis in enumerate(axes):
        for column, value in zip(columns, (scales[place], ends[place], ends[len(axes) + place])):
            column[axis] = value
    return [
        MODES.index(given["mode"]),
        COORDINATES.index(given["coordinate_transformation_mode"]),
        ROUNDINGS.index(given["nearest_mode"]),
        int(given["exclude_outside"]),
        int(given["antialias"]),
        *map(double_bits, (given["cubic_coeff_a"], given["extrapolation_value"], *chain.from_iterable(columns))),
    ]


RATIO = math.nan
"""A scale that is the ratio of the sizes, which the kernel knows when running."""


def _scales(sizes: Sequence[tuple[Dim, Dim]], operation: Operation) -> Sequence[float] | str:
    """The scale of each axis, whose sizes before and after are given."""
    if operation.operand("factors") is not None:
        return "scales known only when running"
    if operation.attributes["scales"]:
        return [float(np.float32(scale)) for scale in operation.attributes["scales"]]
    if operation.attributes["keep_aspect_ratio_policy"] == "stretch":
        return [1.0 if before == after else RATIO for before, after in sizes]
    bounds = known_value(operation.operand("sizes"))
    assert bounds is not None
    if not all(isinstance(size, int) for size in (*bounds, *(before for before, _ in sizes))):
        return "a common scale known only when running"
    choose = min if operation.attributes["keep_aspect_ratio_policy"] == "not_larger" else max
    scale = choose(bound / before for bound, (before, _) in zip(bounds, sizes))
    return [scale] * len(sizes)


def _ends(operation: Operation, axes: int) -> list[float] | str:
    """The region's starts, then its ends, in fractions of the axes."""
    if operation.attributes["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return [0.0] * axes + [1.0] * axes
    roi = constant_data(operation.operand("roi"))
    return "a region known only when running" if roi is None else [float(end) for end in roi.numpy()]
