"""Resizing by interpolation. It is separable: the axes are done one after the other.

Written once over the builder's interface: the decomposition builds it, the reference runs it on numpy. Where the
elements of an axis come from is computed in float64, and while building where all about the axis is known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from mm_core.ir import known_value
from mm_core.ops import FLOATS, INDEX, NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand, Tier
from mm_core.types import BY_NAME, Array, Dim, as_dtype, floordiv
from mm_core.types.dtypes import float32, float64, int64
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.eager import Eager, counted, element_type
from mm_ops_standard.eager import sizes as sizes_of
from mm_ops_standard.known import dims
from mm_ops_standard.shapes import Size, axes_of, minus, over, read_sizes, shape_operand, times

_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip
_ROUNDINGS: dict[str, Callable[[Any, Any], Any]] = {
    "round_prefer_floor": lambda g, place: g.ceil(g.sub(place, 0.5)),
    "round_prefer_ceil": lambda g, place: g.floor(g.add(place, 0.5)),
    "floor": lambda g, place: g.floor(place),
    "ceil": lambda g, place: g.ceil(place),
}
_EXACT = frozenset(BY_NAME[name] for name in ("float64", "int32", "int64", "uint32", "uint64"))
"""Element types whose values float32 does not hold."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis to resize: sizes before and after, the scale (which need not be their ratio), and the region cut out.

    Scale, start and end are float64 scalars: values where only running tells them.
    """

    axis: int
    size: Size
    target: Size
    scale: Any
    start: Any = 0.0
    end: Any = 1.0

    @property
    def is_known(self) -> bool:
        items = (self.size, self.target, self.scale, self.start)
        return all(isinstance(item, (int, float, np.ndarray)) for item in items)

    @property
    def stays(self) -> bool:
        """Whether the elements stay as they are, unless a region is cut out."""
        return isinstance(self.scale, np.ndarray) and self.scale == 1


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
        Attribute("nearest_mode", str, "round_prefer_floor", tuple(_ROUNDINGS)),
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
                targets = _keep_ratio(befores, targets, policy) if static else (None,) * len(picked)
        result = list(shape)
        for axis, target in zip(picked, targets):
            result[axis] = target
        return tuple(result)

    def reference(self, x: Array, sizes: Any = None, roi: Any = None, factors: Any = None, **how: Any) -> Array:
        return _resize(Eager(), x, sizes, roi, factors, **how)  # type: ignore[no-any-return]

    def decompose(self, graph: Any, x: Any, sizes: Any = None, roi: Any = None, factors: Any = None, **how: Any) -> Any:
        return _resize(graph, x, sizes, roi, factors, **how)


def _scaled(size: Dim, scale: float) -> Dim | None:
    """floor(size * scale); for a symbolic size where the scale is a simple fraction, else None."""
    if isinstance(size, int):
        return int(np.floor(np.float32(size) * np.float32(scale)))
    ratio = _fraction(scale)
    return None if ratio is None else floordiv(size * ratio.numerator, ratio.denominator)


def _fraction(scale: float) -> Fraction | None:
    """The simple fraction that a scale is, if it is one."""
    ratio = Fraction(scale).limit_denominator(64)
    return ratio if np.float32(ratio.numerator / ratio.denominator) == np.float32(scale) else None


def _keep_ratio(befores: Sequence[Any], targets: Sequence[Any], policy: str) -> list[int]:
    """Sizes with one common scale: the smallest, or the largest, that the targets ask for."""
    choose = min if policy == "not_larger" else max
    scale = choose(target / size for size, target in zip(befores, targets))
    return [int(scale * size + 0.5) for size in befores]


def _resize(
    g: Any, x: Any, sizes: Any, roi: Any, factors: Any, *, scales: Any, axes: Any, keep_aspect_ratio_policy: str,
    mode: str, coordinate_transformation_mode: str, extrapolation_value: float, nearest_mode: str, **filters: Any,
) -> Any:  # fmt: skip
    rank, dtype = len(sizes_of(g, x)), as_dtype(element_type(g, x))
    picked = axes_of("mm.resize", axes, rank)
    if sizes is not None:
        plan = _plan_by_sizes(g, x, picked, sizes, keep_aspect_ratio_policy)
    else:
        plan = _plan_by_scales(g, x, picked, scales, factors)
    crops = coordinate_transformation_mode == "tf_crop_and_resize"
    reckons = crops or mode != "nearest"
    y = x
    if reckons:
        y = g.cast(x, to=float64 if isinstance(g, Eager) or dtype in _EXACT else float32)
    for number, axis in enumerate(plan):
        if crops:
            start, end = (g.cast(g.gather(roi, np.array(place)), to=float64) for place in (number, number + len(plan)))
            axis = replace(axis, start=start, end=end)
        elif axis.stays:
            continue
        host = Eager() if axis.is_known else g
        after = tuple(range(1, rank - axis.axis))
        source, last = _source_places(host, axis, coordinate_transformation_mode), host.sub(_real(host, axis.size), 1.0)
        if mode == "nearest":
            place = _ROUNDINGS[nearest_mode](host, source)
            y = g.gather(y, _index(host, place, last), axis=axis.axis)
        else:
            places, weights = _taps(host, source, last, axis, mode, **filters)
            taken = g.gather(y, _index(host, places, last), axis=axis.axis)
            weights = g.cast(host.unsqueeze(weights, axes=tuple(place + 1 for place in after)), to=element_type(g, y))
            y = g.reduce_sum(g.mul(taken, weights), axes=(axis.axis + 1,), keepdims=False)
        if crops:
            outside = host.logical_or(host.less(source, 0.0), host.less(last, source))
            y = g.select(host.unsqueeze(outside, axes=after), extrapolation_value, y)
    if not reckons:
        return y
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        y = g.minimum(g.maximum(g.round(y), float(limits.min)), float(limits.max))
    return g.cast(y, to=dtype)


def _plan_by_scales(g: Any, x: Any, picked: Sequence[int], scales: Any, factors: Any) -> list[_Axis]:
    """The result's sizes are the products, computed in float32 and rounded down."""
    befores = [sizes_of(g, x)[axis] for axis in picked]
    if factors is None:
        exact = [np.array(np.float32(scale), np.float64) for scale in scales]
        targets = [_scaled_size(g, size, scale) for size, scale in zip(befores, scales)]
    else:
        narrow = g.cast(factors, to=float32)
        exact = [g.gather(g.cast(narrow, to=float64), np.array(number)) for number in range(len(picked))]
        products = g.floor(g.mul(g.cast(shape_operand(g, befores), to=float32), narrow))
        # No size comes of a scale that is not positive, NaN included.
        counts = g.select(g.less(0.0, narrow), g.cast(products, to=int64), -1)
        targets = _read(g, counts, len(picked))
    return [_Axis(*row) for row in zip(picked, befores, targets, exact)]


def _scaled_size(g: Any, size: Size, scale: float) -> Size:
    """floor(size * scale)."""
    ratio = _fraction(scale)
    if isinstance(size, int):
        return _scaled(size, scale)
    if ratio is not None:
        return over(g, times(g, size, ratio.numerator), ratio.denominator)
    product = g.mul(g.cast(size, to=float32), float(np.float32(scale)))
    return read_sizes(g, g.cast(g.floor(product), to=int64), 1)[0]


def _plan_by_sizes(g: Any, x: Any, picked: Sequence[int], sizes: Any, policy: str) -> list[_Axis]:
    """The scales are the ratios of the sizes; or one for all axes, which changes the sizes."""
    befores, targets = [sizes_of(g, x)[axis] for axis in picked], _read(g, sizes, len(picked))
    if policy == "stretch":
        kept = [False] * len(picked) if isinstance(g, Eager) else _kept(x, picked, sizes)
        scales = [np.array(1.0) if stays else _ratio(g, *pair) for stays, *pair in zip(kept, befores, targets)]
        return [_Axis(*row) for row in zip(picked, befores, targets, scales)]
    host = Eager() if all(isinstance(size, int) for size in (*befores, *targets)) else g
    before, after = (host.cast(shape_operand(host, items), to=float64) for items in (befores, targets))
    choose = host.reduce_min if policy == "not_larger" else host.reduce_max
    scale = choose(host.div(after, before), keepdims=False)
    rounded = host.floor(host.add(host.mul(host.cast(shape_operand(host, befores), to=float64), scale), 0.5))
    targets = _read(host, host.cast(rounded, to=int64), len(picked))
    return [_Axis(axis, size, target, scale) for axis, size, target in zip(picked, befores, targets)]


def _kept(x: Any, picked: Sequence[int], sizes: Any) -> list[bool]:
    """For each axis whether its size, which may be symbolic, stays what it is."""
    known = dims(known_value(sizes), sizes.type) or (None,) * len(picked)
    return [x.type.shape[axis] == size for axis, size in zip(picked, known)]


def _ratio(g: Any, before: Size, after: Size) -> Any:
    host = Eager() if isinstance(before, int) and isinstance(after, int) else g
    return host.div(_real(host, after), host.maximum(_real(host, before), 1.0))


def _real(g: Any, size: Size) -> Any:
    """A size as a float64 scalar."""
    if isinstance(size, int):
        return np.array(size, np.float64) if isinstance(g, Eager) else g.constant(size, float64)
    return g.cast(g.reshape(size, []), to=float64)


def _read(g: Any, vector: Any, count: int) -> list[Size]:
    """The elements of an integer vector as sizes."""
    return vector.reshape(-1).tolist() if isinstance(g, Eager) else read_sizes(g, vector, count)


def _index(g: Any, places: Any, last: Any) -> Any:
    """Whole-numbered places as indices; beyond the ends the border elements repeat."""
    return g.cast(g.minimum(g.maximum(places, 0.0), last), to=int64)


def _source_places(g: Any, axis: _Axis, mode: str) -> Any:
    """The place in the source, a real number, of each element of the result."""
    place, size = g.cast(counted(g, axis.target), to=float64), _real(g, axis.size)
    if mode == "asymmetric":
        return g.div(place, axis.scale)
    length = g.mul(size, axis.scale)
    single = g.equal(length, 1.0)
    gaps, last = g.select(single, 1.0, g.sub(length, 1.0)), g.sub(size, 1.0)
    if mode == "align_corners":
        return g.mul(place, g.select(single, 0.0, g.div(last, gaps)))
    if mode == "tf_crop_and_resize":
        span = g.mul(g.sub(axis.end, axis.start), last)
        steps = g.select(single, g.mul(span, 0.5), g.div(g.mul(place, span), gaps))
        return g.add(steps, g.mul(axis.start, last))
    half = g.sub(g.div(g.add(place, 0.5), axis.scale), 0.5)
    if mode == "pytorch_half_pixel":
        return g.select(single, -0.5, half)
    if mode == "half_pixel_symmetric":
        return g.add(half, g.mul(g.mul(size, 0.5), g.sub(1.0, g.div(_real(g, axis.target), length))))
    return half


def _taps(
    g: Any, source: Any, last: Any, axis: _Axis, mode: str, *, cubic_coeff_a: float, antialias: bool,
    exclude_outside: bool,
) -> tuple[Any, Any]:  # fmt: skip
    """Places [target, taps] whose elements make those of the result, and their weights."""
    reach: Size = 1 if mode == "linear" else 2
    scale = g.minimum(axis.scale, np.array(1.0))
    if antialias:
        (reach,) = _read(g, g.reshape(g.cast(g.ceil(g.div(np.array(float(reach)), scale)), to=int64), [1]), 1)
    offsets = g.sub(g.cast(counted(g, times(g, reach, 2)), to=float64), _real(g, minus(g, reach, 1)))
    places = g.add(g.unsqueeze(g.floor(source), axes=(1,)), offsets)
    distance = g.abs(g.sub(places, g.unsqueeze(source, axes=(1,))))
    if antialias:
        distance = g.mul(distance, scale)
    weights = g.maximum(g.sub(1.0, distance), 0.0) if mode == "linear" else _cubic(g, distance, cubic_coeff_a)
    if exclude_outside:
        outside = g.logical_or(g.less(places, 0.0), g.less(last, places))
        weights = g.select(outside, 0.0, weights)
    if exclude_outside or antialias:
        total = g.reduce_sum(weights, axes=(1,))
        weights = g.div(weights, g.select(g.equal(total, 0.0), 1.0, total))
    return places, weights


def _cubic(g: Any, distance: Any, a: float) -> Any:
    """The cubic convolution kernel (Keys 1981)."""
    square = g.mul(distance, distance)
    near = g.add(g.mul(g.sub(g.mul(distance, a + 2), a + 3), square), 1.0)
    far = g.sub(g.mul(g.mul(g.add(g.mul(g.sub(distance, 5.0), distance), 8.0), distance), a), 4 * a)
    return g.select(g.less_or_equal(distance, 1.0), near, g.select(g.less(distance, 2.0), far, 0.0))


OPS: tuple[type[OpDef], ...] = (Resize,)
