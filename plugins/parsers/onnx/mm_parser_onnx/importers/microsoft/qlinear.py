"""Operators between quantized tensors: dequantized, computed in float32, quantized again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import DType
from mm_parser_onnx.importers.convolution import check_kernel, window
from mm_parser_onnx.importers.microsoft.layout import channels_first, channels_last
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


def _real(g: Graph, node: Node, index: int = 0) -> Value:
    """The numbers of the tensor at a position, whose scale and zero point follow it."""
    return g.dequantize(node.input(index), node.scalar(index + 1), _zero(node, index + 2))  # type: ignore[no-any-return]


def _zero(node: Node, index: int) -> Value | None:
    return None if node.optional(index) is None else node.scalar(index)


def _quantized(g: Graph, node: Node, y: Value, index: int, to: DType | None = None) -> Value:
    """A result in steps of the scale at a position, the zero point after it; by default of the first input's type."""
    return g.quantize(  # type: ignore[no-any-return]
        y, node.scalar(index), _zero(node, index + 1), to=to or node.type().dtype
    )


@op("QLinearAdd")
def qlinear_add(g: Graph, node: Node) -> Any:
    return _quantized(g, node, g.add(_real(g, node), _real(g, node, 3)), 6)


@op("QLinearMul")
def qlinear_mul(g: Graph, node: Node) -> Any:
    return _quantized(g, node, g.mul(_real(g, node), _real(g, node, 3)), 6)


@op("QLinearLeakyRelu")
def qlinear_leaky_relu(g: Graph, node: Node) -> Any:
    return _quantized(g, node, g.leaky_relu(_real(g, node), alpha=node.float("alpha", 0.01)), 3)


@op("QLinearSigmoid")
def qlinear_sigmoid(g: Graph, node: Node) -> Any:
    return _quantized(g, node, g.sigmoid(_real(g, node)), 3)


@op("QLinearSoftmax")
def qlinear_softmax(g: Graph, node: Node) -> Any:
    """Before version 13 of Softmax the axes from `axis` on are taken as one."""
    x, axis = _real(g, node), node.axis(default=-1)
    if node.int("opset", 13) < 13 and axis != node.rank() - 1:
        y = g.reshape(g.softmax(g.flatten(x, axis=axis), axis=-1), g.shape(x))
    else:
        y = g.softmax(x, axis=axis)
    return _quantized(g, node, y, 3)


@op("QLinearWhere")
def qlinear_where(g: Graph, node: Node) -> Any:
    y = g.select(node.input(0), _real(g, node, 1), _real(g, node, 4))
    return _quantized(g, node, y, 7, node.type(1).dtype)


@op("QLinearConcat")
def qlinear_concat(g: Graph, node: Node) -> Any:
    parts = [_real(g, node, index) for index in range(2, len(node.inputs), 3)]
    return _quantized(g, node, g.concat(*parts, axis=node.int("axis")), 0, node.type(1).dtype)


@op("QLinearReduceMean")
def qlinear_reduce_mean(g: Graph, node: Node) -> Any:
    axes = node.ints("axes") or None
    return _quantized(g, node, g.reduce_mean(_real(g, node), axes=axes, keepdims=node.flag("keepdims", True)), 3)


def _images(g: Graph, node: Node, x: Value, build: Callable[[Value], Value]) -> Value:
    """`build` on images with the channels second, wherever the node has them."""
    if not node.flag("channels_last"):
        return build(x)
    return channels_last(g, build(channels_first(g, x)))


@op("QLinearGlobalAveragePool")
def qlinear_global_average_pool(g: Graph, node: Node) -> Any:
    return _quantized(g, node, _images(g, node, _real(g, node), g.global_average_pool), 3)


@op("QLinearAveragePool")
def qlinear_average_pool(g: Graph, node: Node) -> Any:
    geometry = {**_kernel(node), **window(node, dilated=False), "count_include_pad": node.flag("count_include_pad")}
    return _quantized(g, node, _images(g, node, _real(g, node), lambda x: g.average_pool(x, **geometry)), 3)


def _kernel(node: Node) -> dict[str, Any]:
    return {"kernel_shape": node.ints("kernel_shape", ()), "ceil_mode": node.flag("ceil_mode")}


@op("NhwcMaxPool")
def nhwc_max_pool(g: Graph, node: Node) -> Any:
    y = g.max_pool(channels_first(g, node.input()), **_kernel(node), **window(node))
    return channels_last(g, y)


@op("QLinearConv")
def qlinear_conv(g: Graph, node: Node) -> Any:
    """As in ONNX, but the images may have their channels last; the weights have them second all the same."""
    check_kernel(node, weight=3)
    others = [node.input(index) for index in range(1, 8)]
    geometry = {"group": node.int("group", 1), **window(node)}
    return _images(g, node, node.input(), lambda x: g.qlinear_conv(x, *others, node.optional(8), **geometry))
