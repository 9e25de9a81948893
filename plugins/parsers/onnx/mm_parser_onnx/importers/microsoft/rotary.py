"""Features of heads rotated by their positions: RotaryEmbedding and MRotaryEmbedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.heads import join_heads, split_heads
from mm_parser_onnx.importers.microsoft.masks import counted
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


def rotate(g: Graph, node: Node, x: Value, cos: Value, sin: Value, positions: Value | None, interleaved: bool) -> Value:
    """x [B, N, S, D] rotated by tables [positions, R / 2], or [B, S, R / 2]; the first R features turn."""
    half, depth = cos.type.shape[-1], x.type.shape[3]  # type: ignore[union-attr, index]
    if not isinstance(half, int):
        raise node.unsupported("the width of cos_cache must be known")
    rotary_dim = 0 if 2 * half == depth else 2 * half
    return g.rotary_embedding(  # type: ignore[no-any-return]
        x, cos, sin, positions, interleaved=interleaved, rotary_dim=rotary_dim
    )


@op("RotaryEmbedding")
def rotary_embedding(g: Graph, node: Node) -> Any:
    """Positions are stated one by one, or as the first one of all sequences."""
    cos, sin = node.input(2), node.input(3)
    x = _heads(g, node, cos)
    positions = node.input(1)
    if node.rank(1) == 1:
        positions = g.unsqueeze(g.add(counted(g, x, 2), positions), axes=(0,))
    y = rotate(g, node, x, cos, sin, positions, node.flag("interleaved"))
    return join_heads(g, y) if node.rank() == 3 else y


@op("MRotaryEmbedding")
def multimodal_rotary_embedding(g: Graph, node: Node) -> Any:
    """Three positions for each token (time, height, width); each turns its own section of the features."""
    tables = [node.input(2), node.input(3)]
    x = _heads(g, node, tables[0])
    streams = _streams(node.ints("mrope_section", ()), node.int("mrope_layout", 0))
    half = tables[0].type.shape[1]  # type: ignore[union-attr, index]
    if half != len(streams):
        raise node.unsupported(f"mrope_section covers {len(streams)} columns, cos_cache has {half}")
    chosen = np.arange(3)[:, None] == streams
    cos, sin = (
        g.reduce_sum(
            g.mul(g.gather(table, node.input(1), axis=0), g.cast_like(chosen[:, None, None], table)),
            axes=(0,),
            keepdims=False,
        )
        for table in tables
    )
    y = rotate(g, node, x, cos, sin, None, node.flag("interleaved"))
    return join_heads(g, y) if node.rank() == 3 else y


def _streams(sections: tuple[int, ...], layout: int) -> Any:
    """Which of the three positions each column of the tables takes: in turn, or woven (`layout` 1)."""
    width = sum(sections)
    if layout == 0:
        return np.repeat(np.arange(3), sections)
    columns = np.arange(width)
    woven = [(columns % 3 == stream) & (columns < 3 * sections[stream]) for stream in (1, 2)]
    return np.select(woven, [1, 2], 0)


def _heads(g: Graph, node: Node, cos: Value) -> Value:
    """The input as [B, N, S, D]."""
    if node.flag("is_packed_batching"):
        raise node.unsupported("sequences packed in one batch are not offered")
    node.ignore("scale")
    return split_heads(g, node, node.input(), _head_count(node, cos))


def _head_count(node: Node, cos: Value) -> int | None:
    """The stated number of heads; without one, all features of a head turn."""
    heads, half = node.int("num_heads", 0), cos.type.shape[1]  # type: ignore[union-attr, index]
    node.ignore("rotary_embedding_dim")
    if heads or node.rank() == 4:
        return heads or None
    width = node.shape()[2]
    if not isinstance(width, int) or not isinstance(half, int):
        raise node.unsupported("num_heads must be stated where the width of x is not known")
    return width // (2 * half)
