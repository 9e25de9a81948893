"""Normalizations that take the residual sum, the embeddings or the activation with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.microsoft.activation import biased
from mm_parser_onnx.importers.microsoft.layout import channels_first, channels_last
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
STANDARD_FAMILY = Family()
op = FAMILY.op


@STANDARD_FAMILY.op("SimplifiedLayerNormalization")
def simplified_layer_norm(g: Graph, node: Node) -> Any:
    """Root-mean-square normalization, which ONNX Runtime puts into the standard domain; the scale gives the type."""
    node.ignore("stash_type")
    axis, epsilon, dtype = node.axis(default=-1), node.float("epsilon", 1e-5), node.type(1).dtype
    x = node.input() if node.type().dtype is dtype else g.cast(node.input(), to=dtype)
    y = g.rms_norm(x, node.input(1), axis=axis - node.rank(), epsilon=epsilon)
    if not node.wants(1):
        return y
    wide = g.cast(node.input(), to="float32")
    axes = tuple(range(axis, node.rank()))
    return y, g.rsqrt(g.add(g.reduce_mean(g.mul(wide, wide), axes=axes, keepdims=True), epsilon))


@op("SkipLayerNormalization")
def skip_layer_norm(g: Graph, node: Node) -> Any:
    total = _residual(g, node, bias=4)
    y = g.layer_norm(total, node.input(2), node.optional(3), axis=-1, epsilon=node.float("epsilon", 1e-12))
    return y, *_statistics(node), total


@op("SkipSimplifiedLayerNormalization")
def skip_rms_norm(g: Graph, node: Node) -> Any:
    total = _residual(g, node, bias=3)
    return g.rms_norm(total, node.input(2), axis=-1, epsilon=node.float("epsilon", 1e-12)), *_statistics(node), total


def _residual(g: Graph, node: Node, bias: int) -> Value:
    """Input, skip and bias; a skip of rank 2, or of batch 1, is for the whole batch."""
    return biased(g, g.add(node.input(0), node.input(1)), node.optional(bias))


def _statistics(node: Node) -> tuple[None, None]:
    """Mean and deviation, which are for training: nobody computes them, but later results have their place."""
    if node.wants(1) or node.wants(2):
        raise node.unsupported("the results for training (mean, inv_std_var) are not offered")
    return None, None


@op("EmbedLayerNormalization")
def embed_layer_norm(g: Graph, node: Node) -> Any:
    node.ignore("mask_index_type")
    tables = [node.input(2), node.input(3), node.optional(4)]
    norm = (node.input(5), node.input(6))
    return embedded(g, node, tables, norm, mask=node.optional(7), positions=node.optional(8))


def embedded(
    g: Graph, node: Node, tables: list[Value | None], norm: tuple[Value, Value], *, mask: Any, positions: Any
) -> tuple[Value, Value, Value]:
    """Words, positions and segments looked up, added and normalized; then the number of words, then the bare sum.

    Inputs 0 and 1 of the node are the ids of words and segments.
    """
    words, places, segments = tables
    ids, parts = node.input(0), node.optional(1)
    if positions is None:
        positions = g.unsqueeze(g.iota(g.shape(ids, start=1), axis=0), axes=(0,))
    total = g.add(g.gather(words, ids, axis=0), g.gather(places, positions, axis=0))
    if parts is not None:
        total = g.add(total, g.gather(segments, parts, axis=0))
    y = g.layer_norm(total, *norm, axis=-1, epsilon=node.float("epsilon", 1e-12))
    if mask is None:
        count = g.expand(g.constant(0, "int32"), g.shape(ids, end=1))
    else:
        count = g.reduce_sum(g.cast(g.equal(mask, 1), to="int32"), axes=(1,), keepdims=False)
    return y, count, total


@op("GroupNorm")
def group_norm(g: Graph, node: Node) -> Any:
    return _group_norm(g, node, node.input())


@op("SkipGroupNorm")
def skip_group_norm(g: Graph, node: Node) -> Any:
    """`skip` is [N, H, W, C], [N, 1, 1, C] or [N, C]."""
    skip = node.input(3)
    if node.rank(3) == 2:
        skip = g.unsqueeze(skip, axes=(1, 2) if node.flag("channels_last", True) else (2, 3))
    bias = node.optional(4)
    if bias is not None and not node.flag("channels_last", True):
        bias = g.reshape(bias, [-1, 1, 1])
    total = biased(g, g.add(node.input(), skip), bias)
    return _group_norm(g, node, total), total


def _group_norm(g: Graph, node: Node, x: Value) -> Value:
    last = node.flag("channels_last", True)
    dtype = node.type().dtype
    scale, bias = (g.cast(node.input(index), to="float32") for index in (1, 2))
    wide = g.cast(channels_first(g, x) if last else x, to="float32")
    y = g.group_norm(wide, scale, bias, num_groups=node.int("groups"), epsilon=node.float("epsilon", 1e-5))
    activation = node.int("activation")
    if activation not in (0, 1):
        raise node.unsupported(f"activation {activation} is unknown, 0 is none and 1 is SiLU")
    y = g.cast(g.silu(y) if activation else y, to=dtype)
    return channels_last(g, y) if last else y


@op("GatedRMSNorm")
def gated_rms_norm(g: Graph, node: Node) -> Any:
    """x normalized in groups of the scale's length, times the activated gate; computed in float32."""
    x, scale, gate = (g.cast(value, to="float32") for value in node.operands())
    name = node.choice("activation", ("silu", "swish", "sigmoid"), "silu")
    (width,) = node.shape(1)
    if not isinstance(width, int):
        raise node.unsupported("the length of the scale must be known")
    grouped = g.reshape(x, g.concat(g.shape(x, end=-1), np.array([-1, width]), axis=0))
    normal = g.rms_norm(grouped, scale, axis=-1, epsilon=node.float("epsilon", 1e-5))
    normal = g.reshape(normal, g.shape(x))
    return g.cast(g.mul(normal, g.sigmoid(gate) if name == "sigmoid" else g.silu(gate)), to=node.type().dtype)


@op("BranchwiseRMSNorm")
def branchwise_rms_norm(g: Graph, node: Node) -> Any:
    """Branches [..., C, H], or joined as [..., C * H], normalized one by one; computed in float32."""
    count, shape = node.int("num_branches", 0), g.shape(node.input())
    x = g.cast(node.input(), to="float32")
    scale = None if node.optional(1) is None else g.cast(node.input(1), to="float32")
    if count:
        x = g.reshape(x, g.concat(g.shape(x, end=-1), np.array([count, -1]), axis=0))
    if scale is not None and node.rank(1) == 1:
        scale = g.reshape(scale, [-1, *_branch_width(node, x)])
    y = g.rms_norm(x, None, axis=-1, epsilon=node.float("epsilon", 1e-5))
    y = y if scale is None else g.mul(y, scale)
    return g.cast(g.reshape(y, shape), to=node.type().dtype)


def _branch_width(node: Node, x: Value) -> tuple[int]:
    width = x.type.shape[-1]  # type: ignore[union-attr, index]
    if not isinstance(width, int):
        raise node.unsupported("the width of a branch must be known")
    return (width,)


@op("GatedAdd")
def gated_add(g: Graph, node: Node) -> Any:
    if node.optional(3) is not None:
        raise node.unsupported("a gate that is projected (gate_weight) is not offered")
    return g.add(node.input(0), g.mul(node.input(1), node.input(2)))


@op("LinearAttentionGate")
def linear_attention_gate(g: Graph, node: Node) -> Any:
    """decay_scale * softplus(a + dt_bias), and sigmoid(b)."""
    dtype = node.type().dtype
    decay = g.softplus(g.add(g.cast(node.input(0), to="float32"), node.input(1)))
    decay = g.cast(g.mul(decay, node.input(2)), to=dtype)
    if node.optional(3) is None:
        return decay
    return decay, g.sigmoid(node.input(3))
