"""Images with the channels last, as some operators of ONNX Runtime have them; ours have them second."""

from __future__ import annotations

from mm_core.ir import Graph, Value


def channels_first(g: Graph, x: Value) -> Value:
    """[N, ..., C] as [N, C, ...]."""
    rank = len(x.type.shape)  # type: ignore[union-attr, arg-type]
    return g.transpose(x, permutation=(0, rank - 1, *range(1, rank - 1)))  # type: ignore[no-any-return]


def channels_last(g: Graph, x: Value) -> Value:
    """[N, C, ...] as [N, ..., C]."""
    rank = len(x.type.shape)  # type: ignore[union-attr, arg-type]
    return g.transpose(x, permutation=(0, *range(2, rank), 1))  # type: ignore[no-any-return]
