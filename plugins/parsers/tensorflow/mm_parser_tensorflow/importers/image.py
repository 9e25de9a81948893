"""Images resized, cropped and recoloured; boxes chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import channels_last, dtype_of, rank_of, shape_of, view

FAMILY = Family()
op = FAMILY.op


def _coordinates(node: Node) -> str:
    """Where a pixel of the result lies in the operand."""
    if node.flag("align_corners"):
        return "align_corners"
    return "half_pixel" if node.flag("half_pixel_centers") else "asymmetric"


def _resize(mode: str, **how: Any) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        image, sizes = node.image(), node.input(1)
        if mode != "nearest" and not dtype_of(image).is_float:
            image = g.cast(image, to="float32")
        further: dict[str, Any] = {"nearest_mode": _nearest(node)} if mode == "nearest" else {}
        result = g.resize(
            image, sizes, axes=(2, 3), mode=mode, coordinate_transformation_mode=_coordinates(node), **further, **how
        )
        return view(result, channels_last(4))

    return build


def _nearest(node: Node) -> str:
    """TensorFlow floors the place of the pixel's edge, and rounds with aligned corners."""
    if node.flag("align_corners"):
        return "round_prefer_ceil"
    return "round_prefer_ceil" if node.flag("half_pixel_centers") else "floor"


FAMILY.rows((("ResizeBilinear", "linear"), ("ResizeNearestNeighbor", "nearest")), _resize)
_STEPS = 1024
"""TensorFlow's bicubic weights come from a table with so many places between two pixels."""


@op("ResizeBicubic")
def resize_bicubic(g: Graph, node: Node) -> Any:
    """Along both axes by matrices of weights; with half pixel centers those outside of the image fall out."""
    image, sizes = node.image(), node.ints(1, "the sizes")
    half, align = node.flag("half_pixel_centers"), node.flag("align_corners")

    def weights(size: int, target: int) -> Any:
        scale = np.float32((size - 1) / (target - 1) if align and target > 1 else size / target)
        place = np.arange(target, dtype=np.float32) * scale
        if half:
            place = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
        first = np.floor(place)
        part = np.rint((place - first) * _STEPS) / _STEPS
        matrix = np.zeros((target, size))
        for tap in range(-1, 3):
            number = first.astype(int) + tap
            weight = _cubic(np.abs(part - tap), -0.5 if half else -0.75)
            inside = (number >= 0) & (number < size)
            bounded = np.clip(number, 0, size - 1)
            np.add.at(matrix, (np.arange(target), bounded), np.where(inside | (not half), weight, 0.0))
        return matrix / matrix.sum(1, keepdims=True) if half else matrix

    return _by_matrices(g, node, image, [(axis, sizes[axis - 2], weights) for axis in (2, 3)])


def _cubic(x: Any, sharpness: float) -> Any:
    inner = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
    outer = ((sharpness * x - 5 * sharpness) * x + 8 * sharpness) * x - 4 * sharpness
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0.0))


def _by_matrices(g: Graph, node: Node, image: Value, plan: Sequence[tuple[int, int, Callable[[int, int], Any]]]) -> Any:
    """Each axis resampled by a matrix [target, size], which `weights(size, target)` gives."""
    image = image if dtype_of(image).is_float else g.cast(image, to="float32")
    for axis, target, weights in plan:
        size = shape_of(image)[axis]
        if not isinstance(size, int):
            raise node.unsupported("the size of the image must be known")
        matrix = np.asarray(weights(size, target), dtype_of(image).numpy)
        image = g.matmul(g.constant(matrix), image) if axis == 2 else g.matmul(image, g.constant(matrix.T.copy()))
    return view(image, channels_last(4))


@op("ScaleAndTranslate")
def scale_and_translate(g: Graph, node: Node) -> Any:
    """Antialiased resampling along both axes, by matrices of weights computed while building."""
    image, sizes = node.image(), node.ints(1, "the sizes")
    scales, shifts = node.constant(2), node.constant(3)
    if scales is None or shifts is None:
        raise node.unsupported("scales and shifts must be known")
    kernel = node.choice("kernel_type", tuple(_KERNELS), "lanczos3")
    antialias = node.flag("antialias", True)
    plan = []
    for axis, scale, shift in zip((2, 3), scales.tolist(), shifts.tolist()):
        weights = partial(_weights, scale=scale, shift=shift, name=kernel, antialias=antialias)
        plan.append((axis, sizes[axis - 2], weights))
    return _by_matrices(g, node, image, plan)


def _lanczos(radius: float) -> Any:
    def kernel(x: Any) -> Any:
        near = np.where(x <= 1e-3, 1.0, radius * np.sin(np.pi * x) * np.sin(np.pi * x / radius))
        return np.where(x > radius, 0.0, np.where(x <= 1e-3, 1.0, near / np.where(x <= 1e-3, 1.0, (np.pi * x) ** 2)))

    return radius, kernel


def _keys_cubic(x: Any) -> Any:
    inner = ((1.5 * x - 2.5) * x) * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, outer, inner))


def _mitchell(x: Any) -> Any:
    inner = ((7.0 * x - 12.0) * x) * x + 16.0 / 3.0
    outer = ((-7.0 / 3.0 * x + 12.0) * x - 20.0) * x + 32.0 / 3.0
    return np.where(x >= 2.0, 0.0, np.where(x >= 1.0, outer, inner)) / 6.0


_KERNELS: dict[str, Any] = {
    "lanczos1": _lanczos(1.0),
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
    "gaussian": (1.5, lambda x: np.where(x >= 1.5, 0.0, np.exp(-x * x / 0.5))),
    "box": (1.0, lambda x: np.where(x < 0.5, 1.0, np.where(x == 0.5, 0.5, 0.0))),
    "triangle": (1.0, lambda x: np.maximum(1.0 - x, 0.0)),
    "keyscubic": (2.0, _keys_cubic),
    "mitchellcubic": (2.0, _mitchell),
}
"""Radius, and weight by distance: TensorFlow's sampling_kernels.h."""


def _weights(size: int, target: int, scale: float, shift: float, name: str, antialias: bool) -> Any:
    """Weights [target, size] of the pixels for each pixel of the result."""
    radius, kernel = _KERNELS[name]
    single = np.float32  # Whether a pixel at the very edge of the kernel counts, TensorFlow's rounding decides.
    inverse = single(1) / single(scale)
    reach = max(inverse, single(1)) if antialias else single(1)
    centers = (np.arange(target, dtype=single) + single(0.5)) * inverse - single(shift) * inverse
    distance = np.abs((np.arange(size, dtype=single) + single(0.5)) - centers[:, None]) * (single(1) / reach)
    first = np.maximum(0, np.ceil(centers - single(radius) * reach - single(0.5)))[:, None]
    last = np.minimum(size - 1, np.floor(centers + single(radius) * reach - single(0.5)))[:, None]
    numbers = np.arange(size)[None]
    weights = np.where((numbers >= first) & (numbers <= last), kernel(distance), 0.0)
    total = weights.sum(1, keepdims=True)
    inside = ((centers >= 0) & (centers <= size))[:, None]
    return np.where(
        inside & (np.abs(total) >= 1000 * np.finfo(np.float32).tiny), weights / np.where(total, total, 1), 0
    )


@op("CropAndResize")
def crop_and_resize(g: Graph, node: Node) -> Any:
    """Boxes [y1, x1, y2, x2] in fractions of the image, each sampled at places that reach from edge to edge."""
    image, boxes, owners = node.image(), node.input(1), node.input(2)
    sizes = node.ints(3, "the sizes")
    method = node.choice("method", ("bilinear", "nearest"), "bilinear")
    places = []
    for axis, size in zip((0, 1), sizes):
        start, end = (g.gather(boxes, g.constant([axis + 2 * far], "int64"), axis=1) for far in (0, 1))
        last = g.cast(g.sub(g.shape(image, start=axis + 2, end=axis + 3), 1), to="float32")
        if size > 1:
            steps = g.constant(np.arange(size, dtype=np.float32) / np.float32(size - 1))
            place = g.add(start, g.mul(g.sub(end, start), steps))
        else:
            place = g.mul(g.add(start, end), 0.5)
        places.append((g.mul(place, last), last))
    inside = g.constant(np.bool_(True))
    taken = g.gather(image, owners, axis=0)
    for axis, (place, last) in zip((2, 3), places):
        fits = g.logical_and(g.less_or_equal(0.0, place), g.less_or_equal(place, last))
        inside = g.logical_and(inside, g.unsqueeze(fits, axes=(1, 5 - axis)))
        taken = _along(g, taken, axis, place, last, method)
    result = g.select(inside, taken, node.number("extrapolation_value"))
    return view(result, channels_last(4))


def _along(g: Graph, image: Value, axis: int, place: Value, last: Value, method: str) -> Any:
    """Rows (axis 2) or columns (axis 3) of each image at places of its own."""

    def pick(places: Value) -> Any:
        bounded = g.cast(g.minimum(g.maximum(places, 0.0), last), to="int64")
        wide = g.unsqueeze(bounded, axes=(1, 5 - axis))
        sizes = [g.shape(image, start=other, end=other + 1) for other in range(4)]
        sizes[axis] = g.shape(bounded, start=1, end=2)
        return g.gather_elements(image, g.expand(wide, g.concat(*sizes, axis=0)), axis=axis)

    if method == "nearest":
        return pick(g.floor(g.add(place, 0.5)))
    below = g.floor(place)
    part = g.unsqueeze(g.sub(place, below), axes=(1, 5 - axis))
    low, high = (g.cast(pick(at), to="float32") for at in (below, g.ceil(place)))
    return g.add(low, g.mul(g.sub(high, low), part))


# --- colours ----------------------------------------------------------------------------------------------------------


@op("AdjustContrastv2")
def adjust_contrast(g: Graph, node: Node) -> Any:
    image, factor = node.input(0), node.input(1)
    mean = g.reduce_mean(image, axes=(rank_of(image) - 3, rank_of(image) - 2), keepdims=True)
    return g.add(g.mul(g.sub(image, mean), factor), mean)


def _colours(g: Graph, x: Value) -> list[Value]:
    last = rank_of(x) - 1
    return [g.slice(x, [place], [place + 1], [last]) for place in range(3)]


@op("RGBToHSV")
def rgb_to_hsv(g: Graph, node: Node) -> Any:
    x = node.input()
    red, green, blue = _colours(g, x)
    top = g.maximum(g.maximum(red, green), blue)
    spread = g.sub(top, g.minimum(g.minimum(red, green), blue))
    whole = g.select(g.equal(spread, 0.0), 1.0, spread)

    def part(first: Value, second: Value, start: float) -> Any:
        return g.add(g.div(g.sub(first, second), g.mul(whole, 6.0)), start)

    hue = g.select(g.equal(top, red), part(green, blue, 0.0), part(red, green, 4.0 / 6.0))
    hue = g.select(g.logical_and(g.equal(top, green), g.not_equal(top, red)), part(blue, red, 2.0 / 6.0), hue)
    hue = g.select(g.equal(spread, 0.0), 0.0, g.select(g.less(hue, 0.0), g.add(hue, 1.0), hue))
    saturation = g.select(g.greater(top, 0.0), g.div(spread, g.select(g.greater(top, 0.0), top, 1.0)), 0.0)
    return g.concat(hue, saturation, top, axis=rank_of(x) - 1)


@op("HSVToRGB")
def hsv_to_rgb(g: Graph, node: Node) -> Any:
    x = node.input()
    hue, saturation, value = _colours(g, x)
    sixths = g.mul(hue, 6.0)
    red = g.clip(g.sub(g.abs(g.sub(sixths, 3.0)), 1.0), 0.0, 1.0)
    green = g.clip(g.sub(2.0, g.abs(g.sub(sixths, 2.0))), 0.0, 1.0)
    blue = g.clip(g.sub(2.0, g.abs(g.sub(sixths, 4.0))), 0.0, 1.0)
    least = g.sub(1.0, saturation)
    parts = [g.mul(g.add(least, g.mul(saturation, colour)), value) for colour in (red, green, blue)]
    return g.concat(*parts, axis=rank_of(x) - 1)


# --- boxes ------------------------------------------------------------------------------------------------------------


@op("NonMaxSuppressionV3", "NonMaxSuppressionV2")
def non_max_suppression(g: Graph, node: Node) -> Any:
    """Numbers of the boxes that stay, best first."""
    boxes, scores = node.input(0), node.input(1)
    most, overlap = g.cast(node.input(2), to="int64"), node.input(3)
    limit = node.input(4) if len(node) > 4 else None
    found = g.non_max_suppression(g.unsqueeze(boxes, axes=(0,)), g.unsqueeze(scores, axes=(0, 1)), most, overlap, limit)
    return g.cast(g.gather(found, g.constant(2, "int64"), axis=1), to="int32")
