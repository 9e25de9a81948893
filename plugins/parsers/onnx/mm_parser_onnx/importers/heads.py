"""Features split into heads of attention and joined again."""

from __future__ import annotations

from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import product, reshape, size_of


def split_heads(g: Graph, node: Node, x: Value, heads: int | None) -> Value:
    """[B, S, H * D] as [B, H, S, D]; a tensor of rank 4 is that already. `node` is for messages."""
    shape = x.type.shape or ()  # type: ignore[union-attr]
    if len(shape) == 4:
        return x
    if not heads or len(shape) != 3:
        raise node.unsupported(f"an input has rank {len(shape)}; rank 3 needs the number of heads")
    width = shape[2]
    depth = width // heads if isinstance(width, int) else -1
    if isinstance(width, int) and width % heads:
        raise node.unsupported(f"{width} features do not split into {heads} heads")
    split = reshape(g, x, [size_of(g, x, 0), size_of(g, x, 1), heads, depth])
    return g.transpose(split, permutation=(0, 2, 1, 3))  # type: ignore[no-any-return]


def join_heads(g: Graph, x: Value) -> Value:
    """[B, H, S, D] as [B, S, H * D]."""
    joined = g.transpose(x, permutation=(0, 2, 1, 3))
    width = product(g, [size_of(g, x, 1), size_of(g, x, 3)])
    return reshape(g, joined, [size_of(g, x, 0), size_of(g, x, 2), width])
