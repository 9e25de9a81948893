"""The parameters of the library's `resize`; `native/kernels/resize.cpp` says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from mm_backend_cpu.lowering.lowering import constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.movement import double_bits
from mm_core.ir import Operation
from mm_core.types import Dim

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize",
)  # fmt: skip
READ_SIZES = ("align_corners", "tf_crop_and_resize", "pytorch_half_pixel")
"""Coordinates that depend on the size afterwards, which the operator takes as it is before rounding."""
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize_parameters(operation: Operation) -> Sequence[Dim] | str:
    """Codes of the modes, then for all axes scales, starts and ends; or the reason why the library does not apply."""
    x, given = operation.operands[0], operation.attributes
    assert x is not None
    if tensor_type(x).dtype.is_integer and given["mode"] != "nearest":
        return f"no library kernel that interpolates {tensor_type(x).dtype.name}"
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


def _scales(sizes: Sequence[tuple[Dim, Dim]], operation: Operation) -> list[float] | str:
    """The scale of each axis from its sizes before and after."""
    given = operation.attributes
    if given["keep_aspect_ratio_policy"] != "stretch":
        return "no library kernel that keeps the aspect ratio"
    if len(operation.operands) > 3 and operation.operands[3] is not None:
        return "scales known only when running"
    numbers = [(before, after) for before, after in sizes if isinstance(before, int) and isinstance(after, int)]
    known = len(numbers) == len(sizes)
    if not given["scales"]:
        return [after / before if before else 1.0 for before, after in numbers] if known else "scales of unknown sizes"
    scales = [float(np.float32(scale)) for scale in given["scales"]]
    exact = known and all(before * scale == after for (before, after), scale in zip(numbers, scales))
    if not exact and given["coordinate_transformation_mode"] in READ_SIZES:
        return "no library kernel for a scale that is not the ratio of the sizes"
    return scales


def _ends(operation: Operation, axes: int) -> list[float] | str:
    """The region's starts, then its ends, in fractions of the axes."""
    if operation.attributes["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return [0.0] * axes + [1.0] * axes
    roi = constant_data(operation.operands[2])
    return "a region known only when running" if roi is None else [float(end) for end in roi.numpy()]
