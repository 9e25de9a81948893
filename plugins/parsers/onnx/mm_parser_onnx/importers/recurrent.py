"""Recurrent networks."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family
from mm_parser_onnx.vendor import snake_case

FAMILY = Family()
op = FAMILY.op


def common(node: Node) -> dict[str, Any]:
    node.ignore("output_sequence")
    return {
        "direction": node.text("direction", "forward").lower(),
        "hidden_size": node.int("hidden_size"),
        "activations": tuple(map(snake_case, node.texts("activations", ()))),
        "activation_alpha": node.floats("activation_alpha", ()),
        "activation_beta": node.floats("activation_beta", ()),
        "clip": node.float("clip", 0.0),
        "layout": node.int("layout", 0),
    }


@op("RNN")
def rnn(g: Graph, node: Node) -> Any:
    return g.rnn(*(node.optional(index) for index in range(6)), **common(node))


@op("GRU")
def gru(g: Graph, node: Node) -> Any:
    after = node.flag("linear_before_reset")
    return g.gru(*(node.optional(index) for index in range(6)), linear_before_reset=after, **common(node))


@op("LSTM")
def lstm(g: Graph, node: Node) -> Any:
    coupled = node.flag("input_forget")
    return g.lstm(*(node.optional(index) for index in range(8)), input_forget=coupled, **common(node))
