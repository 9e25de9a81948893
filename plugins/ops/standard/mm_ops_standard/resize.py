"""Resizing by interpolation. It is separable: one sparse matrix for each axis, applied one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.ops import FLOATS, INDEX, NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand, Tier
from mm_core.types import Array, Dim, floordiv
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.known import dims
from mm_ops_standard.shapes import axes_of

_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip
_NEAREST = {
    "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis to resize: sizes before and after, the scale (which need not be their ratio), and the region cut out."""

    axis: int
    size: int
    target: int
    scale: float
    start: float
    end: float


class Resize(OpDef):
    """x resampled along `axes` (default all) by `scales`, or to `sizes` (ONNX Resize).

    Scales that only running tells are the operand `factors`; the result's sizes are unknown then. `roi`, starts then
    ends in fractions of the axes, matters to `tf_crop_and_resize` only. Interpolation is nearest, linear or cubic
    (with `cubic_coeff_a`); `antialias` widens the filter when an axis shrinks. With a `keep_aspect_ratio_policy`
    other than stretch, `sizes` bound the result from above or below.
    """

    name = "mm.resize"
    tier = Tier.DEVICE
    operands = (
        Operand("x"),
        Operand("sizes", "I", Arity.OPTIONAL),
        Operand("roi", "R", Arity.OPTIONAL),
        Operand("factors", "F", Arity.OPTIONAL),
    )
    dtypes = {"T": NUMERIC, "I": INDEX, "R": FLOATS, "F": FLOATS}
    attributes = (
        Attribute("scales", (float,), ()),
        Attribute("axes", (int,), None),
        Attribute("mode", str, "nearest", ("nearest", "linear", "cubic")),
        Attribute("coordinate_transformation_mode", str, "half_pixel", _COORDINATES),
        Attribute("nearest_mode", str, "round_prefer_floor", tuple(_NEAREST)),
        Attribute("cubic_coeff_a", float, -0.75),
        Attribute("exclude_outside", bool, False),
        Attribute("extrapolation_value", float, 0.0),
        Attribute("antialias", bool, False),
        Attribute("keep_aspect_ratio_policy", str, "stretch", ("stretch", "not_larger", "not_smaller")),
    )

    def infer(self, types: Any, values: KnownValues, *, scales: Any, axes: Any, **attributes: Any) -> Any:
        shape = types[0].shape
        picked = axes_of(self.name, axes, len(shape))
        ways = bool(scales) + (types[1] is not None) + (types[3] is not None)
        require(ways == 1, f"{self.name}: give either scales or sizes, or scales as the operand factors")
        require(
            not attributes["antialias"] or attributes["mode"] != "nearest",
            f"{self.name}: antialias needs the mode linear or cubic",
        )
        require(
            types[2] is not None or attributes["coordinate_transformation_mode"] != "tf_crop_and_resize",
            f"{self.name}: tf_crop_and_resize needs a roi",
        )
        targets: Sequence[Dim | None]
        if scales:
            require(len(scales) == len(picked), f"{self.name}: {len(scales)} scales for {len(picked)} axes")
            require(min(scales) > 0, f"{self.name}: scales {list(scales)} must be positive")
            targets = [_scaled(shape[axis], scale) for axis, scale in zip(picked, scales)]
        elif types[3] is not None:
            require_rank(self.name, "factors", types[3].shape, 1)
            same(types[3].shape[0], len(picked), f"{self.name}: factors and axes")
            targets = (None,) * len(picked)
        else:
            require_rank(self.name, "sizes", types[1].shape, 1)
            targets = dims(values[1], types[1]) or (None,) * len(picked)
            require(len(targets) == len(picked), f"{self.name}: {len(targets)} sizes for {len(picked)} axes")
            if attributes["keep_aspect_ratio_policy"] != "stretch":
                befores = [shape[axis] for axis in picked]
                static = all(isinstance(size, int) for size in (*targets, *befores))
                policy = attributes["keep_aspect_ratio_policy"]
                targets = _keep_ratio(befores, targets, policy)[0] if static else (None,) * len(picked)
        result = list(shape)
        for axis, target in zip(picked, targets):
            result[axis] = target
        return tuple(result)

    def reference(
        self,
        x: Array,
        sizes: Array | None = None,
        roi: Array | None = None,
        factors: Array | None = None,
        *,
        scales: Any,
        axes: Any,
        **how: Any,
    ) -> Array:
        y = x.astype(np.float64)
        if factors is not None:
            scales = tuple(map(float, factors))
        for axis in self._plan(x.shape, sizes, roi, scales, axes, how["keep_aspect_ratio_policy"]):
            whole = axis.size == axis.target and axis.scale == 1 and (axis.start, axis.end) == (0, 1)
            if not whole:
                y = _resample(y, axis, **how)
        if np.issubdtype(x.dtype, np.integer):
            limits = np.iinfo(x.dtype)
            return np.clip(np.rint(y), limits.min, limits.max).astype(x.dtype)
        return y.astype(x.dtype)

    def _plan(self, shape: Any, sizes: Any, roi: Any, scales: Any, axes: Any, policy: str) -> list[_Axis]:
        picked = axes_of(self.name, axes, len(shape))
        befores = [shape[axis] for axis in picked]
        if scales:
            factors = [float(np.float32(scale)) for scale in scales]
            targets = [int(_scaled(size, scale)) for size, scale in zip(befores, scales)]  # type: ignore[arg-type]
        else:
            targets = [int(size) for size in sizes]
            if policy == "stretch":
                factors = [target / size if size else 1.0 for size, target in zip(befores, targets)]
            else:
                targets, factors = _keep_ratio(befores, targets, policy)
        for size, target in zip(befores, targets):
            if target < 0 or (target and not size):
                raise InputError(f"{self.name}: an axis of {size} elements cannot become one of {target}")
        ends = [0.0] * len(picked) + [1.0] * len(picked) if roi is None or not roi.size else [float(end) for end in roi]
        rows = zip(picked, befores, targets, factors, ends[: len(picked)], ends[len(picked) :])
        return [_Axis(*row) for row in rows]


def _scaled(size: Dim, scale: float) -> Dim | None:
    """floor(size * scale); for a symbolic size where the scale is a simple fraction, else None."""
    if isinstance(size, int):
        return int(np.floor(np.float32(size) * np.float32(scale)))
    ratio = Fraction(scale).limit_denominator(64)
    if np.float32(ratio.numerator / ratio.denominator) != np.float32(scale):
        return None
    return floordiv(size * ratio.numerator, ratio.denominator)


def _keep_ratio(befores: Sequence[Any], targets: Sequence[Any], policy: str) -> tuple[list[int], list[float]]:
    """Sizes and scales with one common scale: the smallest, or the largest, that the targets ask for."""
    choose = min if policy == "not_larger" else max
    scale = choose(target / size for size, target in zip(befores, targets))
    return [int(scale * size + 0.5) for size in befores], [scale] * len(befores)


def _resample(y: Array, axis: _Axis, *, coordinate_transformation_mode: str, mode: str, **how: Any) -> Array:
    source = _source_places(axis, coordinate_transformation_mode)
    if mode == "nearest":
        places = np.clip(_NEAREST[how["nearest_mode"]](source), 0, axis.size - 1).astype(np.int64)
        result = np.take(y, places, axis.axis)
    else:
        weights = _weights(source, axis, mode, how["cubic_coeff_a"], how["antialias"], how["exclude_outside"])
        result = np.moveaxis(np.tensordot(weights, y, (1, axis.axis)), 0, axis.axis)
    if coordinate_transformation_mode == "tf_crop_and_resize":
        outside = ((source < 0) | (source > axis.size - 1)).reshape(-1, *[1] * (y.ndim - 1 - axis.axis))
        result = np.where(outside, how["extrapolation_value"], result)
    return np.asarray(result)


def _source_places(axis: _Axis, mode: str) -> Array:
    """The place in the source, a real number, of each element of the result."""
    places, last = np.arange(axis.target, dtype=np.float64), axis.size - 1
    length = axis.scale * axis.size
    if mode == "asymmetric":
        return places / axis.scale
    if mode == "align_corners":
        return places * (last / (length - 1) if length != 1 else 0)
    if mode == "tf_crop_and_resize":
        span = (axis.end - axis.start) * last
        return axis.start * last + (places * span / (length - 1) if length != 1 else np.full_like(places, span / 2))
    if mode == "pytorch_half_pixel" and length == 1:
        return np.full_like(places, -0.5)
    offset = axis.size / 2 * (1 - axis.target / length) if mode == "half_pixel_symmetric" and length else 0
    return offset + (places + 0.5) / axis.scale - 0.5


def _weights(source: Array, axis: _Axis, mode: str, a: float, antialias: bool, exclude_outside: bool) -> Array:
    """The matrix [target, size] of one axis. Beyond the ends the border elements repeat."""
    scale = min(axis.scale, 1.0) if antialias else 1.0
    reach = ceil((1 if mode == "linear" else 2) / scale)
    places = np.floor(source).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(places - source[:, None]) * scale
    taps = np.clip(1 - distance, 0, 1) if mode == "linear" else _cubic(distance, a)
    if exclude_outside:
        taps = np.where((places < 0) | (places >= axis.size), 0, taps)
    if exclude_outside or antialias:
        total = taps.sum(1, keepdims=True)
        taps = taps / np.where(total == 0, 1, total)
    matrix = np.zeros((axis.target, axis.size))
    np.add.at(matrix, (np.arange(axis.target)[:, None], np.clip(places, 0, axis.size - 1)), taps)
    return matrix


def _cubic(distance: Array, a: float) -> Array:
    """The cubic convolution kernel (Keys 1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


OPS: tuple[type[OpDef], ...] = (Resize,)
