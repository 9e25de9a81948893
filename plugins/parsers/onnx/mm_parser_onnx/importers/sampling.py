"""Sampling of images at computed places, and what detectors need."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_onnx.importers.convolution import check_kernel
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_PADDING = ("zeros", "border", "reflection")


@op("GridSample")
def grid_sample_16(g: Graph, node: Node) -> Any:
    mode = node.choice("mode", ("bilinear", "nearest", "bicubic"), "bilinear")
    return _grid_sample(g, node, mode.removeprefix("bi"))


@op("GridSample", since=20)
def grid_sample_20(g: Graph, node: Node) -> Any:
    return _grid_sample(g, node, node.choice("mode", ("linear", "nearest", "cubic"), "linear"))


def _grid_sample(g: Graph, node: Node, mode: str) -> Any:
    padding = node.choice("padding_mode", _PADDING, "zeros")
    corners = node.flag("align_corners")
    return g.grid_sample(node.input(0), node.input(1), mode=mode, padding_mode=padding, align_corners=corners)


@op("AffineGrid")
def affine_grid(g: Graph, node: Node) -> Any:
    """Places [N, *spatial, r] that affine maps [N, r, r + 1] take the points of an image to, -1 and 1 its borders."""
    theta, corners = node.input(0), node.flag("align_corners")
    (length,) = node.shape(1)
    rank = length - 2 if isinstance(length, int) else node.shape()[1]
    if not isinstance(rank, int) or rank not in (2, 3):
        raise node.unsupported(f"an image of {rank} spatial axes", remedy="2 and 3 are possible")
    shape = g.reshape(g.cast(node.input(1), to="int64"), [2 + rank])
    spatial = g.sizes(g.slice(shape, [2], [2 + rank]))
    points = []
    for axis in reversed(range(rank)):
        size = g.gather(spatial, np.array(axis))
        count, place = (g.cast(value, to=node.type().dtype) for value in (size, g.range(0, size, 1)))
        if corners:
            point = g.mul(place, g.div(2.0, g.maximum(g.sub(count, 1.0), 1.0)))
        else:
            point = g.mul(g.add(place, 0.5), g.div(2.0, count))
        point = g.unsqueeze(g.sub(point, 1.0), axes=(*range(axis), *range(axis + 1, rank + 1)))
        points.append(g.expand(point, g.concat(spatial, np.array([1]), axis=0)))
    ones = g.expand(g.constant(1, node.type().dtype), g.concat(spatial, np.array([1]), axis=0))
    flat = g.reshape(g.concat(*points, ones, axis=-1), [-1, rank + 1])
    grid = g.matmul(flat, g.transpose(theta, permutation=(0, 2, 1)))
    return g.reshape(grid, g.concat(g.shape(theta, end=1), spatial, np.array([rank]), axis=0))


@op("RoiAlign")
def roi_align_10(g: Graph, node: Node) -> Any:
    return _roi_align(g, node, "output_half_pixel")


@op("RoiAlign", since=16)
def roi_align_16(g: Graph, node: Node) -> Any:
    places = node.choice("coordinate_transformation_mode", ("half_pixel", "output_half_pixel"), "half_pixel")
    return _roi_align(g, node, places)


def _roi_align(g: Graph, node: Node, places: str) -> Any:
    return g.roi_align(
        *node.operands(),
        mode=node.choice("mode", ("avg", "max"), "avg"),
        output_height=node.int("output_height", 1),
        output_width=node.int("output_width", 1),
        sampling_ratio=node.int("sampling_ratio", 0),
        spatial_scale=node.float("spatial_scale", 1.0),
        coordinate_transformation_mode=places,
    )


@op("MaxRoiPool")
def max_roi_pool(g: Graph, node: Node) -> Any:
    shape = node.ints("pooled_shape", ())
    return g.max_roi_pool(*node.operands(), pooled_shape=shape, spatial_scale=node.float("spatial_scale", 1.0))


@op("DeformConv")
def deform_conv(g: Graph, node: Node) -> Any:
    check_kernel(node)
    return g.deform_conv(
        *(node.optional(index) for index in range(5)),
        **{name: node.ints(name, ()) for name in ("strides", "pads", "dilations")},
        group=node.int("group", 1),
        offset_group=node.int("offset_group", 1),
    )


@op("NonMaxSuppression")
def non_max_suppression(g: Graph, node: Node) -> Any:
    return g.non_max_suppression(
        *(node.optional(index) for index in range(5)), center_point_box=node.flag("center_point_box")
    )
