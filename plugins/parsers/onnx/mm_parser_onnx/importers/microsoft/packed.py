"""Batches without padding: the tokens of all sequences, one after the other, and where each lay before.

`token_offset` [B, S] are places in the flattened batch: those of the tokens in order, then those of the padding.
"""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.heads import join_heads, split_heads
from mm_parser_onnx.importers.microsoft.masks import as_bias, counted
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("RemovePadding")
def remove_padding(g: Graph, node: Node) -> Any:
    """Tokens, their offsets, the running sum of the sequences' lengths, and the longest of them."""
    x, lengths = node.input(0), node.input(1)
    is_padding = g.less_or_equal(g.unsqueeze(lengths, axes=(1,)), g.cast(counted(g, x, 1), to="int32"))
    flat = g.reshape(is_padding, [-1])
    places = counted(g, flat, 0)
    count = g.shape(flat)
    # Sorted by these numbers the tokens come first, each kind in its order.
    keys = g.add(places, g.mul(g.cast(flat, to="int64"), count))
    order, _ = g.topk(keys, count, axis=0, largest=False)
    offsets = g.select(g.less(order, count), order, g.sub(order, count))
    total = g.sizes(g.cast(g.reduce_sum(lengths, axes=(0,), keepdims=True), to="int64"))
    rows = g.reshape(x, g.concat(count, g.shape(x, start=2), axis=0))
    tokens = g.gather(rows, g.slice(offsets, g.constant([0], "int64"), total), axis=0)
    sums = g.concat(g.constant([0], "int32"), g.cumsum(lengths, axis=0), axis=0)
    longest = g.reduce_max(lengths, axes=(0,), keepdims=True)
    return tokens, g.reshape(g.cast(offsets, to="int32"), g.shape(x, end=2)), sums, longest


@op("RestorePadding")
def restore_padding(g: Graph, node: Node) -> Any:
    return _padded(g, node.input(0), node.input(1))


def _token_places(g: Graph, tokens: Value, offsets: Value) -> Value:
    """[T] where the tokens lie in the flattened batch."""
    flat = g.cast(g.reshape(offsets, [-1]), to="int64")
    return g.gather(flat, counted(g, tokens, 0), axis=0)  # type: ignore[no-any-return]


def _padded(g: Graph, tokens: Value, offsets: Value) -> Value:
    """Tokens [T, ...] put back to [B, S, ...], zeros where there was padding."""
    rest = g.shape(tokens, start=1)
    count = g.shape(g.reshape(offsets, [-1]))
    zero = g.constant(0.0, tokens.type.dtype)  # type: ignore[union-attr]
    rows = g.expand(zero, g.concat(count, rest, axis=0))
    places = g.unsqueeze(_token_places(g, tokens, offsets), axes=(1,))
    filled = g.scatter_nd(rows, places, tokens)
    return g.reshape(filled, g.concat(g.shape(offsets), rest, axis=0))  # type: ignore[no-any-return]


@op("PackedAttention")
def packed_attention(g: Graph, node: Node) -> Any:
    projected = g.add(g.matmul(node.input(0), node.input(1)), node.input(2))
    widths = node.ints("qkv_hidden_sizes")
    sizes = () if widths is None else (g.constant(list(widths), "int64"),)
    parts = g.split(projected, *sizes, axis=1, parts=3)
    return _attend(g, node, parts, offsets=3, sums=4, bias=5)


@op("PackedMultiHeadAttention")
def packed_multi_head_attention(g: Graph, node: Node) -> Any:
    """Queries, keys and values come one by one [T, N * D], or packed in one tensor [T, N, 3, D]."""
    if node.optional(1) is None:
        packed = (g.gather(node.input(0), index, axis=2) for index in range(3))
        parts = [g.flatten(part, axis=1) for part in packed]
    else:
        parts = [node.input(index) for index in range(3)]
    if node.optional(3) is not None:
        widths = [part.type.shape[1] for part in parts]
        if not all(isinstance(width, int) for width in widths):
            raise node.unsupported("a bias needs inputs of known width")
        biases = g.split(node.input(3), widths, axis=0, parts=3)
        parts = [g.add(part, bias) for part, bias in zip(parts, biases)]
    return _attend(g, node, parts, offsets=4, sums=5, bias=6)


def _attend(g: Graph, node: Node, parts: Any, *, offsets: int, sums: int, bias: int) -> Value:
    """Attention within each sequence of packed queries, keys and values [T, N * D]; the others are input positions."""
    node.ignore("mask_filter_value")
    places, heads = node.input(offsets), node.int("num_heads")
    q, k, v = (split_heads(g, node, _padded(g, part, places), heads) for part in parts)
    limits = g.cast(node.input(sums), to="int64")
    batch = counted(g, q, 0)
    lengths = g.sub(g.gather(limits, g.add(batch, 1), axis=0), g.gather(limits, batch, axis=0))
    kept = g.less(counted(g, k, 2), g.reshape(lengths, [-1, 1, 1, 1]))
    mask = as_bias(g, kept, q.type.dtype, -10000.0)  # type: ignore[union-attr]
    if node.optional(bias) is not None:
        mask = g.add(mask, node.input(bias))
    y = join_heads(g, g.attention(q, k, v, mask, scale=node.float("scale", 0.0) or None))
    rows = g.reshape(y, g.concat(g.constant([-1], "int64"), g.shape(y, start=2), axis=0))
    return g.gather(rows, _token_places(g, parts[0], places), axis=0)  # type: ignore[no-any-return]
