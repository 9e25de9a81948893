"""Normalizations."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_tensorflow.importers.convolution import Layout
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family

FAMILY = Family()
op = FAMILY.op


@op("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(g: Graph, node: Node) -> Any:
    """With stored statistics; while training they are the image's own, which no deployed model means."""
    if node.flag("is_training", True):
        raise node.unsupported("it trains: its statistics are those of the batch", remedy="export it for inference")
    layout = Layout(node)
    scale, offset, mean, variance = (node.input(index) for index in range(1, 5))
    y = g.batch_norm(layout.image(), scale, offset, mean, variance, epsilon=node.number("epsilon", 1e-4))
    return layout.result(y), mean, variance, mean, variance, mean


@op("LRN")
def local_response_norm(g: Graph, node: Node) -> Any:
    layout = Layout(node)
    size = 2 * node.integer("depth_radius", 5) + 1
    return layout.result(
        g.local_response_norm(
            layout.image(),
            size=size,
            alpha=node.number("alpha", 1.0) * size,
            beta=node.number("beta", 0.5),
            bias=node.number("bias", 1.0),
        )
    )
