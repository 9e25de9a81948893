"""Products of matrices and convolutions, with the transposes, biases and activations fused into them."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.contraction import gemm
from mm_parser_onnx.importers.convolution import check_kernel, window
from mm_parser_onnx.importers.microsoft.activation import activated, biased
from mm_parser_onnx.importers.microsoft.layout import channels_first, channels_last
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("FusedMatMul", "TransposeMatMul")
def fused_matmul(g: Graph, node: Node) -> Any:
    left, right = _turned(g, node, 0, "A"), _turned(g, node, 1, "B")
    alpha = node.float("alpha", 1.0)
    y = g.matmul(left, right)
    return y if alpha == 1 else g.mul(y, alpha)


@op("FusedMatMulActivation")
def fused_matmul_activation(g: Graph, node: Node) -> Any:
    names = ("activation_alpha", "activation_beta")
    parameters = tuple(node.float(name) for name in names if node.has(name))
    node.ignore("activation_gamma", "activation_axis")
    return activated(g, node, fused_matmul(g, node), node.text("activation"), parameters)


def _turned(g: Graph, node: Node, index: int, side: str) -> Value:
    """An operand with its batch and matrix axes as the attributes ask: `transBatch` moves axis 0 before the last."""
    x, rank = node.input(index), node.rank(index)
    order = list(range(rank))
    if node.flag(f"transBatch{side}"):
        if rank < 3:
            raise node.unsupported(f"transBatch{side} needs three axes, input {index} has {rank}")
        order = [*order[1:-1], 0, rank - 1]
    # A vector has nothing to transpose.
    if node.flag(f"trans{side}") and rank > 1:
        order[-2:] = order[:-3:-1]
    return x if order == list(range(rank)) else g.transpose(x, permutation=tuple(order))


@op("FusedGemm")
def fused_gemm(g: Graph, node: Node) -> Any:
    given = (node.float("activation_alpha", node.float("leaky_relu_alpha")), node.float("activation_beta"))
    node.ignore("activation_gamma")
    return activated(g, node, gemm(g, node), node.text("activation"), tuple(item for item in given if item is not None))


@op("GemmFastGelu")
def gemm_fast_gelu(g: Graph, node: Node) -> Any:
    y = biased(g, g.matmul(node.input(0), node.input(1)), node.optional(2))
    return g.gelu(y, approximate="tanh")


@op("FusedConv")
def fused_conv(g: Graph, node: Node) -> Any:
    return _conv(g, node, node.input(), node.optional(3))


@op("NhwcConv")
def nhwc_conv(g: Graph, node: Node) -> Any:
    return channels_last(g, _conv(g, node, channels_first(g, node.input()), None))


@op("NhwcFusedConv")
def nhwc_fused_conv(g: Graph, node: Node) -> Any:
    added = node.optional(3)
    y = _conv(g, node, channels_first(g, node.input()), None if added is None else channels_first(g, added))
    return channels_last(g, y)


def _conv(g: Graph, node: Node, x: Value, added: Value | None) -> Value:
    """A convolution of x [N, C, ...], plus a tensor of the result's shape, then the activation."""
    check_kernel(node)
    y = g.conv(x, node.input(1), node.optional(2), group=node.int("group", 1), **window(node))
    return activated(g, node, biased(g, y, added), node.text("activation"), node.floats("activation_params", ()))


@op("ConvTransposeWithDynamicPads")
def conv_transpose(g: Graph, node: Node) -> Any:
    check_kernel(node)
    geometry = window(node)
    pads = node.constant_ints(2, "the pads")
    if pads is not None:
        geometry["pads"] = pads
    return g.conv_transpose(
        node.input(0),
        node.input(1),
        node.optional(3),
        group=node.int("group", 1),
        output_padding=node.ints("output_padding", ()),
        **geometry,
    )


@op("Inverse")
def inverse(g: Graph, node: Node) -> Any:
    return g.inverse(node.input())


@op("CDist")
def cdist(g: Graph, node: Node) -> Any:
    """Distances between the rows of two matrices, from their differences."""
    metric = node.choice("metric", ("sqeuclidean", "euclidean"), "sqeuclidean")
    away = g.sub(g.unsqueeze(node.input(0), axes=(1,)), g.unsqueeze(node.input(1), axes=(0,)))
    squares = g.reduce_sum(g.mul(away, away), axes=(2,), keepdims=False)
    return squares if metric == "sqeuclidean" else g.sqrt(squares)
