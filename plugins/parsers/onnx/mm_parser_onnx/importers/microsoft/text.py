"""Texts cut into words, as exporters of scikit-learn's vectorizers do it."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)


@FAMILY.op("Tokenizer")
def tokenizer(g: Graph, node: Node) -> Any:
    """An empty separator means every character; others are refused."""
    pattern, separators = node.text("tokenexp"), node.texts("separators", ())
    if (pattern is None) != bool(separators) or set(separators) - {""}:
        raise node.unsupported(f"it cuts at {list(separators)}", remedy="say with tokenexp what the tokens are")
    return g.op(
        "text.tokens",
        node.input(),
        pattern="(?s)." if pattern is None else pattern,
        least=node.int("mincharnum", REQUIRED),
        pad=node.text("pad_value", REQUIRED),
        marks=node.flag("mark"),
    )
