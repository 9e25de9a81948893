"""Matrix products."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.importers.convolution import moved_weight
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import rank_of

FAMILY = Family()
op = FAMILY.op


def _turned(node: Node, g: Graph, value: Value) -> Value:
    """The last two axes exchanged."""
    rank = rank_of(value)
    return moved_weight(node, g, value, (*range(rank - 2), rank - 1, rank - 2))


def _product(g: Graph, node: Node, left: str, right: str) -> Any:
    """`left` and `right` name the attributes that transpose the operands."""
    a, b = node.input(0), node.input(1)
    if node.flag(left):
        a = _turned(node, g, a)
    if node.flag(right):
        b = _turned(node, g, b)
    to = node.dtype("Tout") if node.has("Tout") else None
    if to is not None and to is not a.type.dtype:  # type: ignore[union-attr]
        a, b = g.cast(a, to=to), g.cast(b, to=to)
    return g.matmul(a, b)


@op("MatMul")
def matmul(g: Graph, node: Node) -> Any:
    return _product(g, node, "transpose_a", "transpose_b")


@op("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_matmul(g: Graph, node: Node) -> Any:
    return _product(g, node, "adj_x", "adj_y")


@op("L2Loss")
def l2_loss(g: Graph, node: Node) -> Any:
    return g.mul(g.reduce_sum(g.square(node.input()), keepdims=False), 0.5)
