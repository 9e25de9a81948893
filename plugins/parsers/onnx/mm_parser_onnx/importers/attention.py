"""Attention and rotary embedding."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.elements import CODES
from mm_parser_onnx.importers.heads import join_heads, split_heads
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_HALVES = ("float16", "bfloat16", "float32")


@op("Attention")
def attention(g: Graph, node: Node) -> Any:
    """Forms with intermediate results, padded caches or short masks are left to ONNX's own function body."""
    mask, past = node.optional(3), node.optional(4)
    if node.wants(3) or node.optional(6) is not None or (past is None) != (node.optional(5) is None):
        return NotImplemented
    dtype, precision = node.type().dtype, node.int("softmax_precision")
    if precision is not None and (precision not in (CODES[dtype], 1) or dtype.name not in _HALVES):
        return NotImplemented
    node.ignore("qk_matmul_output_mode")
    windows = {"left_window": node.int("left_window_size", -1), "right_window": node.int("right_window_size", -1)}
    causal = node.flag("is_causal")
    heads = (node.int("q_num_heads"), *[node.int("kv_num_heads")] * 2)
    q, k, v = (split_heads(g, node, node.input(index), count) for index, count in enumerate(heads))
    if past is not None:
        if (causal or max(windows.values()) >= 0) and q.type.shape[2] != k.type.shape[2]:  # type: ignore[union-attr, index]
            return NotImplemented
        k, v = g.concat(past, k, axis=2), g.concat(node.input(5), v, axis=2)
    if mask is not None:
        lengths = (mask.type.shape or (1,))[-1], k.type.shape[2]  # type: ignore[union-attr, index]
        if all(isinstance(length, int) for length in lengths) and lengths[0] != lengths[1]:
            return NotImplemented
        if mask.type.dtype.is_float and mask.type.dtype is not dtype:  # type: ignore[union-attr]
            mask = g.cast(mask, to=dtype)
    y = g.attention(
        q, k, v, mask,
        scale=node.float("scale"),
        causal=causal,
        alignment="top_left" if past is None else "bottom_right",
        softcap=node.float("softcap", 0.0),
        **windows,
    )  # fmt: skip
    if node.rank() == 3:
        y = join_heads(g, y)
    return y, k, v


@op("RotaryEmbedding")
def rotary_embedding(g: Graph, node: Node) -> Any:
    heads = node.int("num_heads")
    y = g.rotary_embedding(
        split_heads(g, node, node.input(), heads),
        node.input(1),
        node.input(2),
        node.optional(3),
        interleaved=node.flag("interleaved"),
        rotary_dim=node.int("rotary_embedding_dim", 0),
    )
    return join_heads(g, y) if node.rank() == 3 else y
