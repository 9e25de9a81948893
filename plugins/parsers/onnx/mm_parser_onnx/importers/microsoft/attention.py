"""Attention with projections, padding masks and caches of keys and values: Attention and MultiHeadAttention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.heads import join_heads, split_heads
from mm_parser_onnx.importers.microsoft.activation import biased
from mm_parser_onnx.importers.microsoft.masks import as_bias, counted, extended, padding_bias, shifted
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import Size, size_of
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op
_FILTERED = -10000.0


@op("Attention")
def attention(g: Graph, node: Node) -> Any:
    """One product projects the input to queries, keys and values; `past` and `present` hold keys, then values."""
    if node.flag("do_rotary"):
        raise node.unsupported("do_rotary is not offered", remedy="rotate with the operator RotaryEmbedding")
    node.ignore("rotary_embedding_dim")
    _refuse_shared_buffer(node, 6)
    projected = biased(g, g.matmul(node.input(0), node.input(1)), node.optional(2))
    return self_attention(g, node, projected, node.ints("qkv_hidden_sizes"), mask=3, past=4, bias=node.optional(5))


def _refuse_shared_buffer(node: Node, index: int) -> None:
    if node.flag("past_present_share_buffer") or node.optional(index) is not None:
        raise node.unsupported(
            "a buffer that past and present share is not offered",
            remedy="export without buffer sharing, or with GroupQueryAttention",
        )


def self_attention(
    g: Graph, node: Node, projected: Value, widths: tuple[int, ...] | None, *, mask: int, past: int, bias: Value | None
) -> tuple[Value, Value]:
    """Output and present of attention over projected features [B, S, Q + K + V], for Attention and QAttention.

    `widths` are Q, K and V, by default equal; `mask` and `past` are the positions of these inputs of the node.
    """
    heads = node.int("num_heads")
    if widths is None:
        parts = g.split(projected, axis=2, parts=3)
    else:
        parts = g.split(projected, np.array(widths, np.int64), axis=2, parts=3)
    q, k, v = (split_heads(g, node, part, heads) for part in parts)
    cache = node.optional(past)
    length: Size = 0
    if cache is not None:
        length = size_of(g, cache, 3)
        k, v = (g.concat(g.gather(cache, index, axis=0), new, axis=2) for index, new in ((0, k), (1, v)))
    y = _attend(g, node, q, k, v, mask, bias, length)
    if not node.wants(1):
        return y, k
    return y, g.concat(g.unsqueeze(k, axes=(0,)), g.unsqueeze(v, axes=(0,)), axis=0)


def _attend(g: Graph, node: Node, q: Value, k: Value, v: Value, mask: int, bias: Value | None, past: Size) -> Value:
    """Attention of heads, joined."""
    y = g.attention(
        q,
        k,
        v,
        _added(g, node, q, k, mask, bias, past),
        scale=_scale(node),
        causal=node.flag("unidirectional"),
        alignment="top_left" if isinstance(past, int) and past == 0 else "bottom_right",
    )
    return join_heads(g, y)


def _scale(node: Node) -> float | None:
    """The stated scale; none, or zero, stands for 1 / sqrt(head size)."""
    return node.float("scale", 0.0) or None


def _added(g: Graph, node: Node, q: Value, k: Value, mask: int, bias: Value | None, past: Size) -> Value | None:
    """What is added to the scores: a bias and the mask at a position of the inputs."""
    padding = padding_bias(g, node, mask, q, k, past, node.float("mask_filter_value", _FILTERED))
    return padding if bias is None else biased(g, bias, padding)


@op("MultiHeadAttention")
def multi_head_attention(g: Graph, node: Node) -> Any:
    """Keys and values come as features, packed with the queries or with each other, or as heads of an encoder."""
    if node.optional(9) is not None or node.optional(8) is not None:
        raise node.unsupported("beams in a shared buffer (past_sequence_length, cache_indirection) are not offered")
    heads = node.int("num_heads")
    q, k, v = _queries_keys_values(g, node, heads, node.optional(3))
    past_k, past_v = node.optional(6), node.optional(7)
    past: Size = 0
    if past_k is not None and past_v is not None:
        past = size_of(g, past_k, 2)
        k, v = g.concat(past_k, k, axis=2), g.concat(past_v, v, axis=2)
    y = _attend(g, node, q, k, v, 4, node.optional(5), past)
    return (y, k, v, _scores(g, node, q, k, past)) if node.wants(3) else (y, k, v)


def _queries_keys_values(g: Graph, node: Node, heads: int, bias: Value | None) -> tuple[Value, Value, Value]:
    """Queries, keys and values as heads [B, N, S, D], their parts of the bias added."""
    if node.optional(1) is None and node.rank(0) == 3:
        parts = g.split(biased(g, node.input(0), bias), axis=2, parts=3)
        q, k, v = (split_heads(g, node, part, heads) for part in parts)
        return q, k, v
    if node.rank(0) == 5:
        packed = [_unpacked(g, node.input(0), index) for index in range(3)]
        biases = [None] * 3 if bias is None else g.split(bias, axis=0, parts=3)
        q, k, v = (_with_bias(g, part, b, heads) for part, b in zip(packed, biases))
        return q, k, v
    q = node.input(0)
    if node.rank(1) == 5:
        k, v = (_unpacked(g, node.input(1), index) for index in range(2))
    else:
        k, v = node.input(1), node.input(2)
    if bias is not None:
        q, k, v = _biased_features(g, node, bias, heads, q, k, v)
    q, k, v = (split_heads(g, node, value, heads) for value in (q, k, v))
    return q, k, v


def _unpacked(g: Graph, packed: Value, index: int) -> Value:
    """One of the parts of [B, S, N, parts, D], as heads [B, N, S, D]."""
    return g.transpose(g.gather(packed, index, axis=3), permutation=(0, 2, 1, 3))  # type: ignore[no-any-return]


def _with_bias(g: Graph, x: Value, bias: Value | None, heads: int) -> Value:
    """A bias [N * D] added to heads [B, N, S, D]."""
    return x if bias is None else g.add(x, g.reshape(bias, [heads, 1, -1]))


def _biased_features(
    g: Graph, node: Node, bias: Value, heads: int, q: Value, k: Value, v: Value
) -> tuple[Value, Value, Value]:
    """The bias is for queries, keys and values in turn; keys and values that are heads of an encoder have theirs."""
    width = node.shape(0)[2]
    (total,) = bias.type.shape or (None,)  # type: ignore[union-attr]
    if not isinstance(width, int) or not isinstance(total, int):
        raise node.unsupported("a bias needs queries of known width")
    parts = g.split(bias, np.array([width, width, total - 2 * width], np.int64), axis=0, parts=3)
    q = g.add(q, parts[0])
    if node.rank(1) == 5:
        return q, _with_bias(g, k, parts[1], heads), _with_bias(g, v, parts[2], heads)
    if node.rank(1) == 3:
        return q, g.add(k, parts[1]), g.add(v, parts[2])
    return q, k, v


def _scores(g: Graph, node: Node, q: Value, k: Value, past: Size) -> Value:
    """The scores before softmax: scaled, with everything that is added to them."""
    depth = q.type.shape[3]  # type: ignore[union-attr, index]
    scale = _scale(node) or (1 / math.sqrt(depth) if isinstance(depth, int) else None)
    if scale is None:
        raise node.unsupported("the scores need a scale or queries of known width")
    scores = g.mul(g.matmul(q, g.transpose(k, permutation=(0, 1, 3, 2))), scale)
    scores = biased(g, scores, _added(g, node, q, k, 4, node.optional(5), past))
    if not node.flag("unidirectional"):
        return scores
    rows = g.unsqueeze(shifted(g, counted(g, q, 2), past), axes=(1,))
    return g.select(g.less_or_equal(counted(g, k, 2), rows), scores, -math.inf)  # type: ignore[no-any-return]


@op("DecoderMaskedMultiHeadAttention")
def decoder_masked_attention(g: Graph, node: Node) -> Any:
    """One new token. With a shared buffer the new key and value are written at `past_sequence_length`."""
    if node.optional(9) is not None:
        raise node.unsupported("beams (cache_indirection) are not offered")
    node.ignore("output_qk")
    if node.wants(3):
        raise node.unsupported("the scores as a result are not offered")
    heads = node.int("num_heads")
    q, k, v = _queries_keys_values(g, node, heads, node.optional(10))
    past_k, past_v, bias = node.optional(5), node.optional(6), node.optional(4)
    past: Size = 0
    if past_k is not None and past_v is not None:
        if node.flag("past_present_share_buffer"):
            return _in_shared_buffer(g, node, q, (past_k, past_v), (k, v))
        past = size_of(g, past_k, 2)
        k, v = g.concat(past_k, k, axis=2), g.concat(past_v, v, axis=2)
    return _attend(g, node, q, k, v, 3, bias, past), k, v


def _in_shared_buffer(
    g: Graph, node: Node, q: Value, caches: tuple[Value, Value], new: tuple[Value, Value]
) -> tuple[Value, Value, Value]:
    """Keys up to the new one are attended; `mask_index` and `attention_bias` cover just these, not the buffer."""
    place = g.cast(g.reshape(node.input(7), [1]), to="int64")
    starts = g.expand(place, g.shape(q, end=1))
    k, v = (g.tensor_scatter(cache, item, starts, axis=2) for cache, item in zip(caches, new))
    mask = as_bias(g, g.less_or_equal(counted(g, k, 2), place), q.type.dtype, -math.inf)  # type: ignore[union-attr]
    added = _added(g, node, q, k, 3, node.optional(4), 0)
    if added is not None:
        room = g.sub(g.shape(k, start=2, end=3), g.shape(added, start=3))
        mask = g.add(mask, extended(g, added, room, axis=3))
    return join_heads(g, g.attention(q, k, v, mask, scale=_scale(node))), k, v
