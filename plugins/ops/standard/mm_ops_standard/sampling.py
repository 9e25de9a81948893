"""Images sampled at places that are computed: grid_sample, roi_align and deform_conv.

Each is written once over the builder's interface; its reference runs that on numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from mm_core.ops import FLOATS, INDEX, Arity, Attribute, KnownValues, OpDef, Operand
from mm_core.types import Array
from mm_ops_standard.checks import require, require_bias, require_multiple, require_rank, same
from mm_ops_standard.eager import Eager, counted, element_type, number, sizes
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import over, reshape, shape_operand, shapes_of, times
from mm_ops_standard.windows import make_window

_FAR = 2.0**20
"""Places are bounded by this, so that infinite ones have an index too; float32 still counts single elements there."""


def _tap(g: Any, place: Any, size: Any, padding: str, align_corners: bool) -> tuple[Any, Any]:
    """(index, whether it counts) of a whole-numbered place along an axis of `size` elements."""
    dtype = element_type(g, place)
    length = number(g, size, dtype)
    last = length - 1 if isinstance(length, float) else g.sub(length, 1)
    inside = None
    if padding == "zeros":
        inside = g.logical_and(g.less_or_equal(0.0, place), g.less_or_equal(place, last))
    elif padding == "reflection":
        # A triangle wave around the borders: the centres of the outer elements, or their outer edges.
        low, span = (0.0, last) if align_corners else (-0.5, length)
        period = max(2 * span, 1.0) if isinstance(span, float) else g.maximum(g.mul(span, 2.0), 1.0)
        wave = g.mod(g.abs(g.sub(place, low)), period)
        place = g.round(g.add(g.sub(span, g.abs(g.sub(wave, span))), low))
    return g.cast(g.minimum(g.maximum(place, 0.0), last), to="int64"), inside


def _cubic_taps(g: Any, fraction: Any) -> list[Any]:
    """The weights of elements -1, 0, 1 and 2 from the floor (Keys 1981, a = -0.75)."""
    a = -0.75

    def near(distance: Any) -> Any:
        return g.add(g.mul(g.mul(g.sub(g.mul(distance, a + 2), a + 3), distance), distance), 1.0)

    def far(distance: Any) -> Any:
        return g.sub(g.mul(g.mul(g.add(g.mul(g.sub(distance, 5.0), distance), 8.0), distance), a), 4 * a)

    rest = g.sub(1.0, fraction)
    return [far(g.add(fraction, 1.0)), near(fraction), near(rest), far(g.add(rest, 1.0))]


def _interpolate(g: Any, x: Any, at: Sequence[Any], mode: str, padding: str, align_corners: bool) -> Any:
    """x [N, C, *spatial] at the places `at`, one [N, P] for each spatial axis in elements: [N, C, P]."""
    batch, channels, *spatial = sizes(g, x)
    rows = g.transpose(reshape(g, x, [batch, channels, times(g, *spatial)]), permutation=(0, 2, 1))
    axes = []
    for place, size in zip(at, spatial):
        place = g.minimum(g.maximum(g.select(g.is_nan(place), -1.0, place), -_FAR), _FAR)
        if mode == "nearest":
            taps = [(g.round(place), None)]
        else:
            base = g.floor(place)
            fraction = g.sub(place, base)
            weights = [g.sub(1.0, fraction), fraction] if mode == "linear" else _cubic_taps(g, fraction)
            first = 0.0 if mode == "linear" else -1.0
            taps = [(g.add(base, first + offset), weight) for offset, weight in enumerate(weights)]
        axes.append([(*_tap(g, tap, size, padding, align_corners), weight) for tap, weight in taps])
    total = None
    for combination in product(*axes):
        flat, inside, weight = None, None, None
        for (index, here, share), size in zip(combination, spatial):
            flat = index if flat is None else g.add(g.mul(flat, size), index)
            if here is not None:
                inside = here if inside is None else g.logical_and(inside, here)
            if share is not None:
                weight = share if weight is None else g.mul(weight, share)
        value = g.gather_nd(rows, g.unsqueeze(flat, axes=(2,)), batch_dims=1)
        if inside is not None:
            value = g.select(g.unsqueeze(inside, axes=(2,)), value, 0.0)
        if weight is not None:
            value = g.mul(value, g.unsqueeze(weight, axes=(2,)))
        total = value if total is None else g.add(total, value)
    return g.transpose(total, permutation=(0, 2, 1))


class GridSample(OpDef):
    """x [N, C, *spatial] sampled where `grid` [N, *out, rank] says, -1 and 1 being the borders (ONNX GridSample).

    The last axis of the grid has the coordinates of the last spatial axis first. Borders are the centres of the outer
    elements with `align_corners`, else their outer edges.
    """

    name = "mm.grid_sample"
    operands = (Operand("x"), Operand("grid", "G"))
    dtypes = {"T": FLOATS, "G": FLOATS}
    attributes = (
        Attribute("mode", str, "linear", ("linear", "nearest", "cubic")),
        Attribute("padding_mode", str, "zeros", ("zeros", "border", "reflection")),
        Attribute("align_corners", bool, False),
    )

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        x, grid = types[0].shape, types[1].shape
        require_rank(self.name, "x", x, 3, 1000)
        require_rank(self.name, "grid", grid, len(x))
        same(x[0], grid[0], f"{self.name}: batch of x and of grid")
        same(grid[-1], len(x) - 2, f"{self.name}: coordinates in the grid and spatial axes")
        return (x[0], x[1], *grid[1:-1])

    def reference(self, x: Array, grid: Array, **attributes: Any) -> Array:
        return np.asarray(self._sample(Eager(), wide(x), grid.astype(wide(x).dtype), **attributes)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, grid: Any, **attributes: Any) -> Any:
        return in_float32(graph, lambda x: self._sample(graph, x, graph.cast(grid, to=x.type.dtype), **attributes), x)

    def _sample(self, g: Any, x: Any, grid: Any, *, mode: str, padding_mode: str, align_corners: bool) -> Any:
        batch, channels, *spatial = sizes(g, x)
        output = sizes(g, grid)[1:-1]
        rows = reshape(g, grid, [batch, times(g, *output), len(spatial)])
        at = []
        for axis, size in enumerate(spatial):
            coordinate = g.gather(rows, np.array(len(spatial) - 1 - axis), axis=2)
            shifted, length = g.add(coordinate, 1.0), number(g, size, element_type(g, x))
            if align_corners:
                at.append(g.mul(shifted, g.mul(g.sub(length, _one(g, x)), 0.5)))
            else:
                at.append(g.mul(g.sub(g.mul(shifted, length), 1.0), 0.5))
        return reshape(g, _interpolate(g, x, at, mode, padding_mode, align_corners), [batch, channels, *output])


def _one(g: Any, like: Any) -> Any:
    """1 as a scalar of the type of `like`."""
    return np.ones((), like.dtype) if isinstance(g, Eager) else g.constant(1, like.type.dtype)


class RoiAlign(OpDef):
    """Regions [x1, y1, x2, y2] of x [N, C, H, W] pooled to one size at sampled places (arXiv 1703.06870).

    ONNX RoiAlign. `rois` is [R, 4], `batch_indices` [R] says in which image each lies. Every cell of the result
    averages (or takes the maximum of) `sampling_ratio` squared bilinear samples; 0 means as many as elements lie in
    the cell.
    """

    name = "mm.roi_align"
    operands = (Operand("x"), Operand("rois"), Operand("batch_indices", "I"))
    dtypes = {"T": FLOATS, "I": INDEX}
    attributes = (
        Attribute("mode", str, "avg", ("avg", "max")),
        Attribute("output_height", int, 1),
        Attribute("output_width", int, 1),
        Attribute("sampling_ratio", int, 0),
        Attribute("spatial_scale", float, 1.0),
        Attribute("coordinate_transformation_mode", str, "half_pixel", ("half_pixel", "output_half_pixel")),
    )

    def infer(
        self,
        types: Any,
        values: KnownValues,
        *,
        output_height: int,
        output_width: int,
        sampling_ratio: int,
        **rest: Any,
    ) -> Any:
        x, rois, batch = (type_.shape for type_ in types)
        for name, shape, rank in (("x", x, 4), ("rois", rois, 2), ("batch_indices", batch, 1)):
            require_rank(self.name, name, shape, rank)
        same(rois[1], 4, f"{self.name}: numbers that a region has, and 4")
        smallest = min(output_height, output_width)
        require(smallest >= 1 and sampling_ratio >= 0, f"{self.name}: sizes must be positive, the ratio not negative")
        return (same(rois[0], batch[0], f"{self.name}: rois and batch_indices"), x[1], output_height, output_width)

    def reference(self, x: Array, rois: Array, batch: Array, *, sampling_ratio: int, **attributes: Any) -> Array:
        image, regions = wide(x), wide(rois)
        if sampling_ratio:
            ratios = [sampling_ratio, sampling_ratio]
            return np.asarray(self._align(Eager(), image, regions, batch, ratios, **attributes)).astype(x.dtype)
        cells = (attributes["output_height"], attributes["output_width"])
        y = np.zeros((len(rois), x.shape[1], *cells), image.dtype)
        for index, region in enumerate(regions):
            spans = (region[2:] - region[:2])[::-1] * np.asarray(attributes["spatial_scale"], region.dtype)
            if attributes["coordinate_transformation_mode"] != "half_pixel":
                spans = np.maximum(spans, 1)
            ratios = [int(np.ceil(span / cell)) for span, cell in zip(spans, cells)]
            if min(ratios) > 0:
                here = slice(index, index + 1)
                y[here] = self._align(Eager(), image, regions[here], batch[here], ratios, **attributes)
        return y.astype(x.dtype)

    def decompose(self, graph: Any, x: Any, rois: Any, batch: Any, *, sampling_ratio: int, **attributes: Any) -> Any:
        if not sampling_ratio:
            if attributes.pop("mode") != "avg":
                return None
            return in_float32(graph, lambda x, rois: self._adaptive(graph, x, rois, batch, **attributes), x, rois)
        ratios = (sampling_ratio, sampling_ratio)
        return in_float32(graph, lambda x, rois: self._align(graph, x, rois, batch, ratios, **attributes), x, rois)

    def _adaptive(
        self,
        g: Any,
        x: Any,
        rois: Any,
        batch: Any,
        *,
        output_height: int,
        output_width: int,
        spatial_scale: float,
        coordinate_transformation_mode: str,
    ) -> Any:
        """As many samples as the largest region needs: each region averages its own, the first of them.

        Means along one axis and along the other give the mean of both, so that rows and columns are averaged before.
        """
        half_pixel = coordinate_transformation_mode == "half_pixel"
        regions = g.sub(g.mul(rois, spatial_scale), 0.5 if half_pixel else 0.0)
        dtype, count = element_type(g, x), sizes(g, rois)[0]
        means = []
        for axis, (cell, size) in enumerate(zip((output_height, output_width), sizes(g, x)[2:])):
            start, end = (g.slice(regions, [first], [first + 1], [1]) for first in (1 - axis, 3 - axis))
            span = g.sub(end, start) if half_pixel else g.maximum(g.sub(end, start), 1.0)
            step = g.div(span, float(cell))
            own = g.ceil(step)
            largest = g.reduce_max(g.concat(g.reshape(own, [-1]), np.ones(1, dtype), axis=0), axes=(0,))
            most = g.sizes(g.cast(largest, to="int64"))
            sample = g.cast(counted(g, most), to=dtype)
            start, step, own = (g.unsqueeze(value, axes=(2,)) for value in (start, step, own))
            within = g.div(g.add(sample, 0.5), g.maximum(own, 1.0))
            at = g.add(start, g.mul(step, g.add(within, np.arange(cell, dtype=dtype)[:, None])))
            lower, upper = _linear_matrices(g, reshape(g, at, [count, times(g, cell, most)]), size)
            weights = reshape(g, g.add(lower, upper), [count, cell, most, size])
            counts = g.unsqueeze(g.less(sample, own), axes=(3,))
            total = g.reduce_sum(g.select(counts, weights, 0.0), axes=(2,), keepdims=False)
            means.append(g.unsqueeze(g.div(total, g.maximum(own, 1.0)), axes=(1,)))
        rows, columns = means
        return g.matmul(g.matmul(rows, g.gather(x, batch, axis=0)), g.transpose(columns, permutation=(0, 1, 3, 2)))

    def _align(
        self,
        g: Any,
        x: Any,
        rois: Any,
        batch: Any,
        ratios: Sequence[int],
        *,
        mode: str,
        output_height: int,
        output_width: int,
        spatial_scale: float,
        coordinate_transformation_mode: str,
    ) -> Any:
        """Bilinear sampling as matrix products: rows @ image @ columns, with two weights in each row."""
        half_pixel = coordinate_transformation_mode == "half_pixel"
        regions = g.sub(g.mul(rois, spatial_scale), 0.5 if half_pixel else 0.0)
        cells, spatial = (output_height, output_width), sizes(g, x)[2:]
        weights = []
        for axis, (cell, ratio, size) in enumerate(zip(cells, ratios, spatial)):
            start, end = (g.slice(regions, [first], [first + 1], [1]) for first in (1 - axis, 3 - axis))
            span = g.sub(end, start) if half_pixel else g.maximum(g.sub(end, start), 1.0)
            steps = ((np.arange(cell * ratio) + 0.5) / (cell * ratio)).astype(element_type(g, x))
            weights.append(_linear_matrices(g, g.add(start, g.mul(span, steps)), size))
        images = g.gather(x, batch, axis=0)
        rows, columns = ([g.unsqueeze(matrix, axes=(1,)) for matrix in pair] for pair in weights)
        columns = [g.transpose(matrix, permutation=(0, 1, 3, 2)) for matrix in columns]
        if mode == "avg":
            samples = g.matmul(g.matmul(g.add(*rows), images), g.add(*columns))
        else:
            samples = None
            for row, column in product(rows, columns):
                corner = g.matmul(g.matmul(row, images), column)
                samples = corner if samples is None else g.maximum(samples, corner)
        count_, channels = sizes(g, images)[:2]
        shape = [count_, channels, output_height, ratios[0], output_width, ratios[1]]
        pool = g.reduce_mean if mode == "avg" else g.reduce_max
        return pool(reshape(g, samples, shape), axes=(3, 5), keepdims=False)


def _linear_matrices(g: Any, at: Any, size: Any) -> tuple[Any, Any]:
    """Weights [R, P, size] of the lower and the upper neighbour of places [R, P]; none beyond one element outside."""
    dtype = element_type(g, at)
    length = number(g, size, dtype)
    last = length - 1 if isinstance(length, float) else g.sub(length, 1)
    inside = g.logical_and(g.less_or_equal(-1.0, at), g.less_or_equal(at, length))
    place = g.minimum(g.maximum(at, 0.0), last)
    base = g.floor(place)
    fraction = g.sub(place, base)
    elements = g.cast(counted(g, size), to=dtype)

    def matrix(index: Any, weight: Any) -> Any:
        hit = g.logical_and(g.equal(g.unsqueeze(index, axes=(2,)), elements), g.unsqueeze(inside, axes=(2,)))
        return g.select(hit, g.unsqueeze(weight, axes=(2,)), 0.0)

    return matrix(base, g.sub(1.0, fraction)), matrix(g.minimum(g.add(base, 1.0), last), fraction)


class DeformConv(OpDef):
    """Convolution whose window elements are moved by `offset` and weighted by `mask` (arXiv 1811.11168).

    ONNX DeformConv: x [N, C, H, W], w [O, C / group, kh, kw], offset [N, offset_group * kh * kw * 2, oh, ow] with
    rows before columns, mask [N, offset_group * kh * kw, oh, ow]. Outside of the image is zero.
    """

    name = "mm.deform_conv"
    operands = (
        Operand("x"), Operand("w"), Operand("offset"), Operand("b", "T", Arity.OPTIONAL),
        Operand("mask", "T", Arity.OPTIONAL),
    )  # fmt: skip
    dtypes = {"T": FLOATS}
    attributes = (
        Attribute("strides", (int,), ()),
        Attribute("pads", (int,), ()),
        Attribute("dilations", (int,), ()),
        Attribute("group", int, 1),
        Attribute("offset_group", int, 1),
    )

    def infer(self, types: Any, values: KnownValues, *, group: int, offset_group: int, **geometry: Any) -> Any:
        x, w, offset, b, mask = shapes_of(types)
        for name, shape in (("x", x), ("w", w), ("offset", offset)):
            require_rank(self.name, name, shape, 4)
        require(min(group, offset_group) >= 1, f"{self.name}: groups must be at least 1")
        same(x[1], w[1] * group, f"{self.name}: channels of x and channels that w reads")
        require_multiple(w[0], group, f"{self.name}: output channels in groups")
        require_multiple(x[1], offset_group, f"{self.name}: channels in offset groups")
        output = make_window(self.name, x[2:], w[2:], auto_pad="notset", **geometry).output(self.name, x[2:])
        points = w[2] * w[3] * offset_group
        for name, shape, wanted in (("offset", offset, points * 2), ("mask", mask, points)):
            if shape is not None:
                require_rank(self.name, name, shape, 4)
                for left, right in zip(shape, (x[0], wanted, *output)):
                    same(left, right, f"{self.name}: sizes of {name} and of what the windows need")
        require_bias(self.name, b, w[0])
        return (x[0], w[0], *output)

    def reference(
        self, x: Array, w: Array, offset: Array, b: Array | None = None, mask: Array | None = None, **attributes: Any
    ) -> Array:
        floats = [None if item is None else wide(item) for item in (x, w, offset, b, mask)]
        return np.asarray(self._convolve(Eager(), *floats, **attributes)).astype(x.dtype)

    def decompose(self, graph: Any, *operands: Any, **attributes: Any) -> Any:
        return in_float32(graph, lambda *values: self._convolve(graph, *values, **attributes), *operands)

    def _convolve(
        self, g: Any, x: Any, w: Any, offset: Any, b: Any, mask: Any, *, group: int, offset_group: int, **geometry: Any
    ) -> Any:
        (batch, _, height, width), (outputs, depth, kh, kw) = sizes(g, x), sizes(g, w)
        window = make_window(self.name, (1, 1), (1, 1), auto_pad="notset", **geometry)
        rows, columns = sizes(g, offset)[2:]
        taps, images, points = times(g, kh, kw), times(g, batch, offset_group), times(g, rows, columns)
        moved = reshape(g, offset, [images, taps, 2, rows, columns])
        at = []
        for axis, (size, kernel) in enumerate(zip((rows, columns), (kh, kw))):
            starts = g.sub(g.mul(counted(g, size), window.strides[axis]), window.begins[axis])
            inner = g.reshape(g.mul(counted(g, kernel), window.dilations[axis]), [-1, 1] if axis == 0 else [1, -1])
            inner = reshape(g, g.expand(inner, shape_operand(g, [kh, kw])), [taps, 1, 1])
            grid = g.cast(g.add(inner, g.reshape(starts, [-1, 1] if axis == 0 else [1, -1])), to=element_type(g, x))
            place = g.add(g.gather(moved, np.array(axis), axis=2), grid)
            at.append(reshape(g, place, [images, times(g, taps, points)]))
        channels = over(g, times(g, depth, group), offset_group)
        samples = _interpolate(g, reshape(g, x, [images, channels, height, width]), at, "linear", "zeros", True)
        samples = reshape(g, samples, [images, channels, taps, points])
        if mask is not None:
            samples = g.mul(samples, reshape(g, mask, [images, 1, taps, points]))
        samples = reshape(g, samples, [batch, group, times(g, depth, taps), points])
        weights = reshape(g, w, [group, over(g, outputs, group), times(g, depth, taps)])
        y = reshape(g, g.matmul(weights, samples), [batch, outputs, rows, columns])
        return y if b is None else g.add(y, g.reshape(b, [-1, 1, 1]))


OPS: tuple[type[OpDef], ...] = (GridSample, RoiAlign, DeformConv)
