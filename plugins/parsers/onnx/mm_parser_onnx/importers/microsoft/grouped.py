"""Attention of grouped heads over a cache of keys and values: GroupQueryAttention."""

from __future__ import annotations

import math
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.heads import join_heads, split_heads
from mm_parser_onnx.importers.microsoft.masks import as_bias, counted, extended
from mm_parser_onnx.importers.microsoft.rotary import rotate
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import size_of
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("GroupQueryAttention")
def group_query_attention(g: Graph, node: Node) -> Any:
    """The new keys and values of each sequence are written behind its own past, whose length `seqlens_k` tells."""
    _check(node)
    heads, groups = node.int("num_heads"), node.int("kv_num_heads")
    q, k, v = _heads(g, node, heads, groups)
    past = _past_lengths(g, node, q)
    q, k = _normalized(g, node, q, k)
    if node.flag("do_rotary"):
        q, k = (_rotated(g, node, value, past) for value in (q, k))
    node.ignore("rotary_interleaved")
    total = g.sizes(g.reshape(g.cast(node.input(6), to="int64"), [1]))
    k, v = (_cached(g, node.optional(index), new, past, total) for index, new in ((3, k), (4, v)))
    mask = _mask(g, node, q, k, past)
    keys, values = k, v
    sink = node.optional(11)
    if sink is not None or node.int("smooth_softmax", -1) == 1:
        keys, values, mask = _with_sink(g, q, k, v, mask, sink)
    y = g.attention(
        q, keys, values, mask, scale=node.float("scale", 0.0) or None, softcap=max(node.float("softcap", 0.0), 0.0)
    )
    return join_heads(g, y), k, v


def _check(node: Node) -> None:
    node.ignore("kv_cache_bit_width")
    for name in ("k_quant_type", "v_quant_type"):
        node.choice(name, ("NONE",), "NONE")
    if node.optional(12) is not None or node.optional(13) is not None:
        raise node.unsupported("a quantized cache is not offered", remedy="export with a cache of floats")
    if node.flag("sliding_window_cache"):
        raise node.unsupported("a cache of the window's size is not offered", remedy="export with a whole cache")
    if node.optional(16) is not None:
        raise node.unsupported("padded chunks (query_seqlens) are not offered")
    if node.int("qk_output", 0):
        raise node.unsupported("the scores as a result (qk_output) are not offered")


def _heads(g: Graph, node: Node, heads: int, groups: int) -> tuple[Value, Value, Value]:
    """Queries [B, N, S, D], keys and values [B, G, S, D], from three inputs or from one that holds all."""
    if node.optional(1) is not None:
        counts = (heads, groups, groups)
        q, k, v = (split_heads(g, node, node.input(index), count) for index, count in enumerate(counts))
        return q, k, v
    packed = split_heads(g, node, node.input(0), heads + 2 * groups)
    q, k, v = g.split(packed, [heads, groups, groups], axis=1, parts=3)
    return q, k, v


def _past_lengths(g: Graph, node: Node, q: Value) -> Value:
    """For each sequence, the keys before the new ones, as int64 [B]. A padded prompt has none."""
    total = g.add(g.cast(g.reshape(node.input(5), [-1]), to="int64"), 1)
    return g.maximum(g.sub(total, size_of(g, q, 2)), 0)  # type: ignore[no-any-return]


def _normalized(g: Graph, node: Node, q: Value, k: Value) -> tuple[Value, Value]:
    """Queries and keys normalized head by head, where weights for that are given."""
    both = node.float("qk_norm_epsilon", 1e-6)
    epsilons = (node.float("q_norm_epsilon", both), node.float("k_norm_epsilon", both))
    weights = (node.optional(14), node.optional(15))
    if weights[0] is None or weights[1] is None:
        return q, k
    q, k = (g.rms_norm(x, w, axis=-1, epsilon=e) for x, w, e in zip((q, k), weights, epsilons))
    return q, k


def _rotated(g: Graph, node: Node, x: Value, past: Value) -> Value:
    """Heads rotated by their positions: the stated ones, else counted from the past on."""
    positions = node.optional(9)
    if positions is None:
        positions = g.add(g.unsqueeze(past, axes=(1,)), counted(g, x, 2))
    cos, sin = node.input(7), node.input(8)
    return rotate(g, node, x, cos, sin, positions, node.flag("rotary_interleaved"))


def _cached(g: Graph, cache: Value | None, new: Value, past: Value, total: Value) -> Value:
    """The present cache [B, G, T, D]: the past one, extended to the longest total length, with the new heads in it."""
    if cache is None:
        shape = g.concat(g.shape(new, end=2), total, g.shape(new, start=3), axis=0)
        cache = g.expand(g.constant(0.0, new.type.dtype), shape)  # type: ignore[union-attr]
    else:
        size = g.shape(cache, start=2, end=3)
        cache = extended(g, cache, g.sub(g.maximum(total, size), size), axis=2)
    return g.tensor_scatter(cache, new, past, axis=2)  # type: ignore[no-any-return]


def _mask(g: Graph, node: Node, q: Value, k: Value, past: Value) -> Value:
    """Which keys query i attends: those up to past + i and within the window; a bias is taken together with it."""
    places = counted(g, k, 2)
    last = g.unsqueeze(g.add(g.unsqueeze(past, axes=(1,)), counted(g, q, 2)), axes=(1, 3))
    window = node.int("local_window_size", -1)
    if node.flag("causal", True):
        kept = g.less_or_equal(places, last)
    else:
        kept = g.less(places, g.reshape(g.add(past, size_of(g, q, 2)), [-1, 1, 1, 1]))
    if window >= 0:
        kept = g.logical_and(kept, g.less(g.sub(last, window), places))
    bias = node.optional(10)
    if bias is None:
        return kept  # type: ignore[no-any-return]
    room = g.sub(g.shape(k, start=2, end=3), g.shape(bias, start=3))
    return g.select(kept, extended(g, bias, room, axis=3), -math.inf)  # type: ignore[no-any-return]


def _with_sink(g: Graph, q: Value, k: Value, v: Value, mask: Value, sink: Value | None) -> tuple[Value, Value, Value]:
    """A key of zeros whose score is the sink, 0 if there is none, and whose value is zero.

    It adds exp(sink) to the denominator of softmax and nothing else.
    """
    dtype = q.type.dtype  # type: ignore[union-attr]
    if mask.type.dtype.kind == "bool":  # type: ignore[union-attr]
        mask = as_bias(g, mask, dtype, -math.inf)
    one = g.constant([1], "int64")
    k, v = (extended(g, x, one, axis=2) for x in (k, v))
    column = g.constant(0.0, dtype) if sink is None else g.reshape(g.cast(sink, to=dtype), [1, -1, 1, 1])
    sizes = [g.shape(q, end=3), g.shape(mask, start=3)]
    mask = g.expand(mask, g.concat(*sizes, axis=0))
    column = g.expand(column, g.concat(sizes[0], one, axis=0))
    return k, v, g.concat(mask, column, axis=3)
