"""Attention and rotary embedding."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.elements import CODES
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import product, reshape, size_of
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
    q, k, v = (_split_heads(g, node, index, count) for index, count in enumerate(heads))
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
        y = _join_heads(g, y)
    return y, k, v


def _split_heads(g: Graph, node: Node, index: int, heads: int | None) -> Value:
    """[B, S, H * D] as [B, H, S, D]; tensors of rank 4 are that already."""
    x = node.input(index)
    if node.rank(index) == 4:
        return x
    if not heads or node.rank(index) != 3:
        raise node.unsupported(f"input {index} has rank {node.rank(index)}; rank 3 needs the number of heads")
    width = node.shape(index)[2]
    depth = width // heads if isinstance(width, int) else -1
    if isinstance(width, int) and width % heads:
        raise node.unsupported(f"{width} features do not split into {heads} heads")
    split = reshape(g, x, [size_of(g, x, 0), size_of(g, x, 1), heads, depth])
    return g.transpose(split, permutation=(0, 2, 1, 3))  # type: ignore[no-any-return]


def _join_heads(g: Graph, x: Value) -> Value:
    joined = g.transpose(x, permutation=(0, 2, 1, 3))
    width = product(g, [size_of(g, x, 1), size_of(g, x, 3)])
    return reshape(g, joined, [size_of(g, x, 0), size_of(g, x, 2), width])


@op("RotaryEmbedding")
def rotary_embedding(g: Graph, node: Node) -> Any:
    heads = node.int("num_heads")
    y = g.rotary_embedding(
        _split_heads(g, node, 0, heads),
        node.input(1),
        node.input(2),
        node.optional(3),
        interleaved=node.flag("interleaved"),
        rotary_dim=node.int("rotary_embedding_dim", 0),
    )
    return _join_heads(g, y) if node.rank() == 3 else y
