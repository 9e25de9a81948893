"""What classifiers and regressors share: transforms of scores, the second score of two classes, labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def as_float(g: Graph, x: Value) -> Value:
    """Numbers as floats to compute with: float64 stays, everything else becomes float32."""
    dtype = x.type.dtype  # type: ignore[union-attr]
    return x if dtype.name in ("float32", "float64") else g.cast(x, to="float32")


def as_rows(g: Graph, node: Node) -> Value:
    """The input as floats, [N, F]; a single row may come without its first axis."""
    if node.rank() not in (1, 2):
        raise node.unsupported(f"it takes rows of features, got {node.type()}")
    x = as_float(g, node.input())
    return x if node.rank() == 2 else g.unsqueeze(x, axes=(0,))


def numbers(node: Node, name: str, x: Value) -> Any:
    """A list of floats in the element type of x, from `name` or, if present, the tensor `name`_as_tensor."""
    tensor = node.tensor(f"{name}_as_tensor")
    found = node.floats(name, ()) if tensor is None else tensor.numpy().reshape(-1)
    return np.asarray(found, x.type.dtype.numpy)  # type: ignore[union-attr]


def post_transform(node: Node) -> str:
    return node.choice("post_transform", TRANSFORMS, "NONE")


def transformed(g: Graph, scores: Value, transform: str) -> Value:
    """Scores [N, M] after the transform, as float32."""
    if transform == "LOGISTIC":
        scores = g.sigmoid(scores)
    elif transform == "SOFTMAX":
        scores = g.softmax(scores, axis=1)
    elif transform == "SOFTMAX_ZERO":
        scores = _softmax_but_zeros(g, scores)
    elif transform == "PROBIT":
        scores = _probit(g, scores)
    return g.cast(scores, to="float32")  # type: ignore[no-any-return]


def paired(g: Graph, score: Value, transform: str, centred: bool) -> Value:
    """The scores [N, 2] of two classes from that of the second, [N, 1]: around 0 if `centred`, else adding up to 1."""
    other = g.neg(score) if centred or transform == "LOGISTIC" else g.sub(1.0, score)
    both = g.concat(other, score, axis=1)
    return transformed(g, both, transform if transform in ("LOGISTIC", "PROBIT") else "NONE")


def _softmax_but_zeros(g: Graph, scores: Value) -> Value:
    """A softmax in which scores that are zero stay zero, and rows of nothing else."""
    most = g.reduce_max(scores, axes=(1,), keepdims=True)
    zero = g.less_or_equal(g.abs(scores), 1e-7)
    shares = g.select(zero, 0.0, g.exp(g.sub(scores, most)))
    total = g.reduce_sum(shares, axes=(1,), keepdims=True)
    return g.div(shares, g.select(g.equal(total, 0.0), 1.0, total))  # type: ignore[no-any-return]


def _probit(g: Graph, p: Value) -> Value:
    """sqrt(2) * inverse erf of 2 p - 1, by Winitzki's approximation, which ONNX's own evaluator and runtime share."""
    x = g.sub(g.mul(p, 2.0), 1.0)
    log = g.log(g.mul(g.sub(1.0, x), g.add(x, 1.0)))
    half, rest = g.add(g.mul(log, 0.5), 2 / (math.pi * 0.147)), g.div(log, -0.147)
    # sqrt(half^2 + rest) - half, without the difference of two equals where p is near 0.5.
    square = g.div(rest, g.add(g.sqrt(g.add(g.square(half), rest)), half))
    return g.mul(g.mul(g.sign(x), g.sqrt(square)), math.sqrt(2))  # type: ignore[no-any-return]


def class_labels(node: Node, integers: str = "classlabels_ints") -> Any:
    """The labels of the classes: strings or int64."""
    words, ints = node.texts("classlabels_strings", ()), node.ints(integers, ())
    if bool(words) == bool(ints):
        raise node.unsupported(f"one of classlabels_strings and {integers} is needed")
    return np.array(words, object) if words else np.array(ints, np.int64)


def top_label(g: Graph, scores: Value, labels: Any) -> Value:
    """The label of each row's highest score, the first of equals."""
    return g.gather(g.constant(labels), g.argmax(scores, axis=1, keepdims=False), axis=0)  # type: ignore[no-any-return]


def binary_label(g: Graph, score: Value, threshold: float, labels: Any) -> Value:
    """The second of two labels where the score [N, 1] lies above the threshold."""
    above = g.cast(g.less(threshold, g.squeeze(score, axes=(1,))), to=BY_NAME["int64"])
    return g.gather(g.constant(labels), above, axis=0)  # type: ignore[no-any-return]
