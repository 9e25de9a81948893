"""Quantization, and operators on quantized tensors."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_core.types import BY_NAME
from mm_parser_onnx.importers.convolution import check_kernel, window
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("QuantizeLinear")
def quantize(g: Graph, node: Node) -> Any:
    zero = node.optional(2)
    stated = node.dtype("output_dtype") if node.int("output_dtype", 0) else None
    to = stated or (node.type(2).dtype if zero is not None else BY_NAME["uint8"])
    if node.int("precision", 0):
        raise node.unsupported("the attribute 'precision' is not offered")
    return g.quantize(
        node.input(0),
        node.input(1),
        zero,
        to=to,
        axis=_axis(node),
        block_size=node.int("block_size", 0),
        saturate=node.flag("saturate", True),
    )


@op("DequantizeLinear")
def dequantize(g: Graph, node: Node) -> Any:
    to = node.dtype("output_dtype") if node.int("output_dtype", 0) else None
    return g.dequantize(
        node.input(0), node.input(1), node.optional(2), to=to, axis=_axis(node), block_size=node.int("block_size", 0)
    )


def _axis(node: Node) -> int:
    """The channel axis; it means nothing where one scale serves the whole tensor."""
    axis = node.int("axis", 1)
    return axis if node.rank(1) and -node.rank() <= axis < node.rank() else 0


@op("DynamicQuantizeLinear")
def dynamic_quantize(g: Graph, node: Node) -> Any:
    return g.dynamic_quantize(node.input())


@op("QLinearConv")
def qlinear_conv(g: Graph, node: Node) -> Any:
    check_kernel(node, weight=3)
    return g.qlinear_conv(
        *(node.input(index) for index in range(8)), node.optional(8), group=node.int("group", 1), **window(node)
    )


@op("QLinearMatMul")
def qlinear_matmul(g: Graph, node: Node) -> Any:
    return g.qlinear_matmul(*node.operands())
