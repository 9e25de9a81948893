"""Strings. Their operators are those of the package mm-ops-text."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
MAX_COLUMNS = 2**26
"""Of a vector of counts: a model may not ask for any amount of memory."""


@op("StringConcat")
def string_concat(g: Graph, node: Node) -> Any:
    return g.op("text.concat", node.input(0), node.input(1))


@op("StringSplit")
def string_split(g: Graph, node: Node) -> Any:
    splits = node.int("maxsplit", -1)
    return g.op("text.split", node.input(), delimiter=node.text("delimiter", ""), max_splits=splits)


@op("StringNormalizer")
def string_normalizer(g: Graph, node: Node) -> Any:
    node.ignore("locale")
    return g.op(
        "text.normalize",
        node.input(),
        case=node.choice("case_change_action", ("NONE", "LOWER", "UPPER"), "NONE").lower(),
        case_sensitive=node.flag("is_case_sensitive"),
        stopwords=node.texts("stopwords", ()),
    )


@op("RegexFullMatch")
def regex_full_match(g: Graph, node: Node) -> Any:
    return g.op("text.regex_full_match", node.input(), pattern=node.text("pattern", REQUIRED))


@op("TfIdfVectorizer")
def tfidf_vectorizer(g: Graph, node: Node) -> Any:
    """Counts of n-grams, each column weighted in the modes that say so. Words become numbers first."""
    mode = node.choice("mode", ("TF", "IDF", "TFIDF"), "")
    columns, weights = node.ints("ngram_indexes", REQUIRED), node.floats("weights")
    words, numbers = node.texts("pool_strings", ()), node.ints("pool_int64s", ())
    x = node.input()
    is_text = node.type().dtype is BY_NAME["string"]
    if bool(words) == bool(numbers) or bool(words) != is_text:
        raise node.unsupported(f"one pool is needed, of what the input {x.type} holds")
    if not all(0 <= column < MAX_COLUMNS for column in columns) or (
        weights is not None and len(weights) != len(columns)
    ):
        raise node.unsupported(
            f"{len(columns)} n-grams need columns from 0 to {MAX_COLUMNS}, and as many weights or none"
        )
    if words:
        vocabulary, numbers = np.unique(np.array(words, object), return_inverse=True)
        x = g.op("text.find", x, vocabulary)
    size = max(columns, default=-1) + 1
    counts: Value = g.op(
        "text.ngram_counts", x, np.array(numbers, np.int64), np.array(columns, np.int64),
        starts=node.ints("ngram_counts", REQUIRED), least=node.int("min_gram_length", REQUIRED),
        most=node.int("max_gram_length", REQUIRED), skips=node.int("max_skip_count", REQUIRED), size=size,
    )  # fmt: skip
    if mode == "IDF":
        counts = g.cast(g.less(0.0, counts), to="float32")
    return counts if mode == "TF" or weights is None else g.mul(counts, _by_column(weights, columns, size))


def _by_column(weights: tuple[float, ...], columns: tuple[int, ...], size: int) -> Any:
    """The weight of each column: the specification gives one to each n-gram of the pool."""
    placed = np.ones(size, np.float32)
    placed[list(columns)] = weights
    return placed
