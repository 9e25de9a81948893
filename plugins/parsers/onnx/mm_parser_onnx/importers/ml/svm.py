"""Support vector machines, as libsvm stores them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.ml.linear import affine
from mm_parser_onnx.importers.ml.scores import (
    as_rows,
    class_labels,
    paired,
    post_transform,
    top_label,
    transformed,
)
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import CLASSICAL, Family

FAMILY = Family(CLASSICAL)
op = FAMILY.op
_LEAST = 1e-7
"""Probabilities of pairs stay this far from 0 and 1, as in libsvm."""


def _kernel(g: Graph, node: Node, vectors: int) -> Value:
    """The kernel of each row with each support vector: [N, vectors]."""
    kind = node.choice("kernel_type", ("LINEAR", "POLY", "RBF", "SIGMOID"), "LINEAR").lower()
    stated = node.floats("support_vectors", REQUIRED)
    gamma, offset, degree = node.floats("kernel_params", ()) or (0.0, 0.0, 0.0)
    if len(stated) % vectors:
        raise node.unsupported(f"{len(stated)} numbers do not make {vectors} support vectors")
    x = as_rows(g, node)
    table = np.array(stated, x.type.dtype.numpy).reshape(vectors, -1)  # type: ignore[union-attr]
    return g.op("ml.svm_kernel", x, table, kind=kind, gamma=gamma, offset=offset, degree=degree)  # type: ignore[no-any-return]


@op("SVMRegressor")
def svm_regressor(g: Graph, node: Node) -> Any:
    """One class: 1 inside, -1 outside. Without support vectors the model is linear."""
    count, coefficients = node.int("n_supports", 0), node.floats("coefficients", REQUIRED)
    rho = node.floats("rho", REQUIRED)
    if count:
        kernel = _kernel(g, node, count)
        weight = np.array(coefficients, kernel.type.dtype.numpy).reshape(-1, 1)  # type: ignore[union-attr]
        scores = g.add(g.matmul(kernel, weight), rho[0])
    else:
        node.ignore("kernel_type", "kernel_params", "support_vectors")
        scores = affine(g, node, coefficients, rho[:1], 1)
    if node.flag("one_class"):
        scores = g.select(g.less(0.0, scores), 1.0, -1.0)
    return transformed(g, scores, post_transform(node))


@op("SVMClassifier")
def svm_classifier(g: Graph, node: Node) -> Any:
    """The pairs of classes vote for the label; scores are probabilities where the model knows how to give them."""
    labels, transform = class_labels(node), post_transform(node)
    coefficients, rho = node.floats("coefficients", REQUIRED), node.floats("rho", REQUIRED)
    slopes, offsets = node.floats("prob_a", ()), node.floats("prob_b", ())
    sizes = node.ints("vectors_per_class", ())
    if not sizes:
        node.ignore("kernel_type", "kernel_params", "support_vectors")
        scores = affine(g, node, coefficients, [rho[0]] * len(labels), len(labels))
        return top_label(g, scores, labels), transformed(g, scores, transform)
    count = len(sizes) * (len(sizes) - 1) // 2
    if not len(sizes) == len(labels) >= 2 or len(rho) != count or {len(slopes), len(offsets)} not in ({0}, {count}):
        raise node.unsupported(f"{len(sizes)} classes of vectors, {len(labels)} labels and {len(rho)} rho do not agree")
    if len(coefficients) != (len(sizes) - 1) * sum(sizes):
        raise node.unsupported(f"{len(coefficients)} coefficients for {sum(sizes)} support vectors")
    pairs = list(combinations(range(len(sizes)), 2))
    kernel = _kernel(g, node, sum(sizes))
    storage = kernel.type.dtype.numpy  # type: ignore[union-attr]
    weights = _pair_weights(np.array(coefficients, storage), sizes, pairs)
    decisions = g.add(g.matmul(kernel, weights), np.array(rho, storage))
    label = top_label(g, _votes(g, decisions, pairs, len(labels)), labels)
    if slopes:
        scores = _probabilities(g, decisions, np.array(slopes, storage), np.array(offsets, storage), pairs)
        return label, transformed(g, scores, transform)
    if len(labels) == 2:
        return label, paired(g, decisions, transform, centred=True)
    return label, transformed(g, decisions, transform)


def _pair_weights(coefficients: Any, sizes: tuple[int, ...], pairs: list[tuple[int, int]]) -> Any:
    """The coefficients as [V, pairs]. libsvm stores C - 1 for each vector: one for each class that is not its own."""
    classes = np.repeat(np.arange(len(sizes)), sizes)
    table = coefficients.reshape(len(sizes) - 1, classes.size)
    weights = np.zeros((classes.size, len(pairs)), coefficients.dtype)
    for column, (first, second) in enumerate(pairs):
        weights[classes == first, column] = table[second - 1, classes == first]
        weights[classes == second, column] = table[first, classes == second]
    return weights


def _votes(g: Graph, decisions: Value, pairs: list[tuple[int, int]], classes: int) -> Value:
    """How many pairs each class wins, [N, classes]: the first of a pair where the decision is positive."""
    wins, losses = (np.eye(classes, dtype=np.float32)[[pair[side] for pair in pairs]] for side in (0, 1))
    first = g.cast(g.less(0.0, decisions), to="float32")
    return g.add(g.matmul(first, wins - losses), losses.sum(0))  # type: ignore[no-any-return]


def _probabilities(g: Graph, decisions: Value, slopes: Any, offsets: Any, pairs: list[tuple[int, int]]) -> Value:
    """Probabilities of the classes [N, C] from Platt's sigmoids of the pairs."""
    first = g.sigmoid(g.neg(g.add(g.mul(decisions, slopes), offsets)))
    first = g.clip(first, _LEAST, 1 - _LEAST)
    sides = g.concat(first, g.sub(1.0, first), axis=1)
    count = pairs[-1][1] + 1
    places = np.zeros((count, count), np.int64)
    for number, (left, right) in enumerate(pairs):
        places[left, right], places[right, left] = number, number + len(pairs)
    return g.op("ml.couple_probabilities", g.gather(sides, places, axis=1))  # type: ignore[no-any-return]
