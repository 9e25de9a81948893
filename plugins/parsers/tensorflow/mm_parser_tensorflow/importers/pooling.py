"""Pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_tensorflow.importers.convolution import Layout
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import shape_of

FAMILY = Family()
op = FAMILY.op


def _geometry(node: Node, layout: Layout, kernel: tuple[int, ...], strides: tuple[int, ...]) -> dict[str, Any]:
    layout.refuse_others("kernels", kernel)
    layout.refuse_others("strides", strides)
    return {"kernel_shape": layout.spatial(kernel), "strides": layout.spatial(strides), **layout.padding()}


@op("MaxPool", "MaxPool3D")
def max_pool(g: Graph, node: Node) -> Any:
    layout = Layout(node)
    return layout.result(
        g.max_pool(layout.image(), **_geometry(node, layout, node.integers("ksize"), node.integers("strides")))
    )


@op("MaxPoolV2")
def max_pool_v2(g: Graph, node: Node) -> Any:
    layout = Layout(node)
    geometry = _geometry(node, layout, node.ints(1, "kernels"), node.ints(2, "strides"))
    return layout.result(g.max_pool(layout.image(), **geometry))


@op("AvgPool", "AvgPool3D")
def average_pool(g: Graph, node: Node) -> Any:
    """Padding does not count."""
    layout = Layout(node)
    return layout.result(
        g.average_pool(layout.image(), **_geometry(node, layout, node.integers("ksize"), node.integers("strides")))
    )


@op("MaxPoolWithArgmax")
def max_pool_with_argmax(g: Graph, node: Node) -> Any:
    """Places count through height, width and channels, as TensorFlow lays images out."""
    layout = Layout(node)
    geometry = _geometry(node, layout, node.integers("ksize"), node.integers("strides"))
    image = layout.image()
    channels, *spatial = shape_of(image)[1:]
    if not isinstance(channels, int) or not all(isinstance(size, int) for size in spatial):
        raise node.unsupported("sizes of the image are not known")
    if node.flag("include_batch_in_index"):
        raise node.unsupported("include_batch_in_index")
    values, places = g.max_pool_with_indices(image, **geometry)
    inside = g.mod(places, spatial[0] * spatial[1])
    channel = g.constant(np.arange(channels).reshape(-1, 1, 1), "int64")
    found = g.cast(g.add(g.mul(inside, channels), channel), to=node.dtype("Targmax"))
    return layout.result(values), layout.result(found)
