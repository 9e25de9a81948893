"""Quantization. Operators on quantized tensors become: dequantize, compute, quantize."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.importers.convolution import window
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
    node.ignore("kernel_shape")
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (node.input(index) for index in range(8))
    bias = node.optional(8)
    if bias is not None:
        # The bias is an int32 in units of x_scale * w_scale.
        bias = g.mul(g.cast(bias, to="float32"), g.mul(x_scale, w_scale))
    y = g.conv(
        g.dequantize(x, x_scale, x_zero),
        g.dequantize(w, w_scale, w_zero, axis=0),
        bias,
        group=node.int("group", 1),
        **window(node),
    )
    return g.quantize(y, y_scale, y_zero, to=node.type(7).dtype)


@op("QLinearMatMul")
def qlinear_matmul(g: Graph, node: Node) -> Any:
    """Scales of `a` are for the tensor or each row, those of `b` for the tensor or each column."""
    a = _real(g, node, 0, rows=True)
    b = _real(g, node, 3, rows=False)
    if node.rank(6) > 1 or (node.rank(6) == 1 and node.shape(6) != (1,)):
        raise node.unsupported("the result must have one scale")
    y = g.matmul(a, b)
    scale, zero = (g.reshape(node.input(index), []) for index in (6, 7))
    if scale.type.dtype is not y.type.dtype:
        scale = g.cast(scale, to=y.type.dtype)
    return g.quantize(y, scale, zero, to=node.type(7).dtype)


def _real(g: Graph, node: Node, index: int, rows: bool) -> Value:
    x, scale, zero = (node.input(index + place) for place in range(3))
    scale = scale if node.type(index + 1).dtype is BY_NAME["float32"] else g.cast(scale, to="float32")
    if node.rank(index + 1) <= 1:
        axis = max(node.rank(index) - (2 if rows else 1), 0)
        return g.dequantize(x, scale, zero, axis=axis)  # type: ignore[no-any-return]
    centred = g.sub(g.cast(x, to="float32"), g.cast(zero, to="float32"))
    return g.mul(centred, scale)  # type: ignore[no-any-return]
