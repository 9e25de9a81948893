"""Resizing: images by generated code, whatever else by the library's kernel, whose parameters are made here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from mm_backend_cpu.codegen.resize import COORDINATES, ROUNDINGS, TAPS, ResizeSpec, resize
from mm_backend_cpu.lowering.lowering import TYPE_SIZES, Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.movement import double_bits
from mm_backend_cpu.lowering.view import channels_last_order
from mm_core.ir import Operation, Value, known_value
from mm_core.types import Dim

_REGION = "tf_crop_and_resize"
# The library's codes.
_MODES, _COORDINATES, _ROUNDINGS = tuple(TAPS), (*COORDINATES, _REGION), tuple(ROUNDINGS)


def _source(operation: Operation) -> Value:
    x = operation.operands[0]
    assert x is not None
    return x


def check_resize(operation: Operation) -> str:
    """Why no generated kernel resizes; empty if one does."""
    given, result = operation.attributes, tensor_type(operation.result)
    shape, target = shape_of(_source(operation)), shape_of(operation.result)
    if len(shape) not in (3, 4, 5):
        return f"resizing of rank {len(shape)}"
    if given["antialias"] or given["exclude_outside"] or given["coordinate_transformation_mode"] == _REGION:
        return "weights that are scaled up, or a region"
    if given["mode"] != "nearest" and result.dtype.text != "f32":
        return f"interpolation of {result.dtype.name}"
    scales = _scales(operation)
    if isinstance(scales, str):
        return scales
    if shape[:2] != target[:2] or any(scale not in (None, 1.0) for scale in scales[:2]):
        return "resizing of the batch or the channels"
    return ""


def lower_resize(low: Lowering, operation: Operation) -> None:
    """Planes one by one where they lie so, else all channels of a pixel together."""
    x, given, scales = _source(operation), operation.attributes, _scales(operation)
    assert not isinstance(scales, str)
    shape = shape_of(x)
    order: tuple[int, ...] = tuple(range(len(shape)))
    batch: Dim = shape[0] * shape[1]
    channels: Dim = 1
    if not low.view(x).is_dense:
        order, batch, channels = channels_last_order(len(shape)), shape[0], shape[1]
    spec = ResizeSpec(
        given["mode"], given["coordinate_transformation_mode"], given["nearest_mode"], batch, shape[2:],
        shape_of(operation.result)[2:], channels, tuple(scales[2:]), given["cubic_coeff_a"],
        TYPE_SIZES[tensor_type(x).dtype.text],
    )  # fmt: skip
    low.generated(resize(spec), [low.ordered(x, order).buffer], [low.result(operation.result, order)], "resize")


def resize_parameters(operation: Operation) -> Sequence[Dim] | str:
    """Codes of the library's modes, then for all axes scales, starts and ends; or why the library does not apply.

    `native/kernels/resize.cpp` says what they mean.
    """
    given, rank = operation.attributes, len(shape_of(_source(operation)))
    if not rank:
        return "no library kernel for a scalar"
    scales = _scales(operation)
    if isinstance(scales, str):
        return scales
    axes = _axes(operation)
    region = _region(operation, len(axes))
    if isinstance(region, str):
        return region
    starts, ends = [0.0] * rank, [1.0] * rank
    for place, axis in enumerate(axes):
        starts[axis], ends[axis] = region[place], region[len(axes) + place]
    factors = [math.nan if scale is None else scale for scale in scales]
    return [
        _MODES.index(given["mode"]),
        _COORDINATES.index(given["coordinate_transformation_mode"]),
        _ROUNDINGS.index(given["nearest_mode"]),
        int(given["exclude_outside"]),
        int(given["antialias"]),
        *map(double_bits, (given["cubic_coeff_a"], given["extrapolation_value"], *chain(factors, starts, ends))),
    ]


def _axes(operation: Operation) -> list[int]:
    """The axes that the attributes speak of."""
    rank, axes = len(shape_of(_source(operation))), operation.attributes["axes"]
    return list(range(rank)) if axes is None else [axis % rank for axis in axes]


def _scales(operation: Operation) -> list[float | None] | str:
    """The scale of every axis, None for the ratio of the sizes; or the reason why it is not known."""
    shape, target, axes = shape_of(_source(operation)), shape_of(operation.result), _axes(operation)
    scales: list[float | None] = [1.0] * len(shape)
    if operation.operand("factors") is not None:
        return "scales known only when running"
    if operation.attributes["scales"]:
        for axis, given in zip(axes, operation.attributes["scales"]):
            scales[axis] = float(np.float32(given))
        return scales
    if operation.attributes["keep_aspect_ratio_policy"] == "stretch":
        for axis in axes:
            scales[axis] = 1.0 if shape[axis] == target[axis] else None
        return scales
    bounds = known_value(operation.operand("sizes"))
    assert bounds is not None
    pairs = ((bound, shape[axis]) for bound, axis in zip(bounds, axes))
    ratios = [after / before for after, before in pairs if isinstance(after, int) and isinstance(before, int)]
    if len(ratios) < len(axes):
        return "a common scale known only when running"
    choose = min if operation.attributes["keep_aspect_ratio_policy"] == "not_larger" else max
    for axis in axes:
        scales[axis] = choose(ratios)
    return scales


def _region(operation: Operation, axes: int) -> list[float] | str:
    """The region's starts, then its ends, in fractions of the axes."""
    if operation.attributes["coordinate_transformation_mode"] != _REGION:
        return [0.0] * axes + [1.0] * axes
    roi = constant_data(operation.operand("roi"))
    return "a region known only when running" if roi is None else [float(end) for end in roi.numpy()]
