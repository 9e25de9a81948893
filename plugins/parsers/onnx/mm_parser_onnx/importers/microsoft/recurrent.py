"""Recurrent networks with quantized weights."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.recurrent import common
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("DynamicQuantizeLSTM")
def dynamic_quantize_lstm(g: Graph, node: Node) -> Any:
    """The LSTM of the dequantized weights. Activations stay in float32: ONNX Runtime quantizes them for speed."""
    x, w, r = node.input(0), _weights(g, node, 1, 8), _weights(g, node, 2, 10)
    others = (node.optional(index) for index in range(3, 8))
    return g.lstm(x, w, r, *others, input_forget=node.flag("input_forget"), **common(node))


def _weights(g: Graph, node: Node, index: int, scale: int) -> Value:
    """[D, in, 4 * H] of codes as [D, 4 * H, in] of floats; scale and zero point are [D] or [D, 4 * H]."""

    def column(place: int) -> Value:
        vectors = g.cast(node.input(place), to="float32")
        return g.unsqueeze(vectors, axes=(1, 2) if node.rank(place) == 1 else (1,))  # type: ignore[no-any-return]

    away = g.sub(g.cast(node.input(index), to="float32"), column(scale + 1))
    return g.transpose(g.mul(away, column(scale)), permutation=(0, 2, 1))  # type: ignore[no-any-return]
