"""Linear models."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.ml.scores import (
    as_rows,
    binary_label,
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


def affine(g: Graph, node: Node, coefficients: tuple[float, ...], intercepts: Any, targets: int) -> Value:
    """x times the coefficients, [targets, F] in a list, plus the intercepts if any: [N, targets]."""
    if targets < 1 or len(coefficients) % targets or len(intercepts) not in (0, targets):
        raise node.unsupported(
            f"{len(coefficients)} coefficients and {len(intercepts)} intercepts do not make {targets} targets"
        )
    x = as_rows(g, node)
    storage = x.type.dtype.numpy  # type: ignore[union-attr]
    weight = np.array(coefficients, storage).reshape(targets, -1).T
    y = g.matmul(x, np.ascontiguousarray(weight))
    return g.add(y, np.array(intercepts, storage)) if len(intercepts) else y  # type: ignore[no-any-return]


@op("LinearRegressor")
def linear_regressor(g: Graph, node: Node) -> Any:
    coefficients, intercepts = node.floats("coefficients", REQUIRED), node.floats("intercepts", ())
    scores = affine(g, node, coefficients, intercepts, node.int("targets", 1))
    return transformed(g, scores, post_transform(node))


@op("LinearClassifier")
def linear_classifier(g: Graph, node: Node) -> Any:
    """Two classes may have one score, that of the second."""
    node.ignore("multi_class")
    labels, transform = class_labels(node), post_transform(node)
    coefficients, intercepts = node.floats("coefficients", REQUIRED), node.floats("intercepts", ())
    scores = affine(g, node, coefficients, intercepts, len(intercepts) or len(labels))
    width = scores.type.shape[1]  # type: ignore[union-attr,index]
    if width == 1 and len(labels) == 2:
        return binary_label(g, scores, 0.0, labels), paired(g, scores, transform, centred=False)
    if width != len(labels):
        raise node.unsupported(f"it has {len(labels)} labels and {width} scores")
    return top_label(g, scores, labels), transformed(g, scores, transform)
