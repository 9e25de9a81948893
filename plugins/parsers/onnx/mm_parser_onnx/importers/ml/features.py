"""Features prepared: chosen, put side by side, scaled, normalized, filled in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import CLASSICAL, Family

FAMILY = Family(CLASSICAL)
op = FAMILY.op


@op("ArrayFeatureExtractor")
def array_feature_extractor(g: Graph, node: Node) -> Any:
    """Columns of the last axis by number; a single row gets the axis that it lacks."""
    x, places = node.input(0), g.reshape(node.input(1), [-1])
    return g.gather(x if node.rank() > 1 else g.unsqueeze(x, axes=(0,)), places, axis=-1)


@op("Binarizer")
def binarizer(g: Graph, node: Node) -> Any:
    x, threshold = node.input(), node.float("threshold", 0.0)
    if node.type().dtype.is_integer:
        threshold = math.floor(threshold)  # x > t for an integer x.
    return g.cast(g.less(g.constant(threshold, node.type().dtype), x), to=node.type().dtype)


@op("Scaler")
def scaler(g: Graph, node: Node) -> Any:
    x = g.cast(node.input(), to="float32")
    offset, scale = (np.array(node.floats(name, ()), np.float32) for name in ("offset", "scale"))
    x = g.sub(x, offset) if offset.size else x
    return g.mul(x, scale) if scale.size else x


@op("FeatureVectorizer")
def feature_vectorizer(g: Graph, node: Node) -> Any:
    """All inputs as floats, side by side; each is cut or filled with zeros to the width stated for it."""
    widths = node.ints("inputdimensions") or [None] * len(node.inputs)
    if len(widths) != len(node.inputs):
        raise node.unsupported(f"{len(node.inputs)} inputs have {len(widths)} inputdimensions")
    return g.concat(*(_columns(g, node, index, width) for index, width in enumerate(widths)), axis=1)


def _columns(g: Graph, node: Node, index: int, width: int | None) -> Value:
    x = g.cast(node.input(index), to="float32")
    if node.rank(index) == 1:
        x = g.unsqueeze(x, axes=(0,))
    elif node.rank(index) != 2:
        raise node.unsupported(f"input {index} must have rank 1 or 2, it is {node.type(index)}")
    if width is None or x.type.shape[1] == width:
        return x  # type: ignore[no-any-return]
    filled = g.pad(x, [0, 0, 0, width], g.constant(0.0))
    return g.slice(filled, [0], [width], [1])  # type: ignore[no-any-return]


@op("Imputer")
def imputer(g: Graph, node: Node) -> Any:
    """Elements that equal one value, which may be NaN, replaced: all by one, or by one for each column."""
    x, dtype = node.input(), node.type().dtype
    if dtype.is_float:
        node.ignore("replaced_value_int64", "imputed_value_int64s")
        replaced, imputed = node.float("replaced_value_float", 0.0), node.floats("imputed_value_floats", ())
    else:
        node.ignore("replaced_value_float", "imputed_value_floats")
        replaced, imputed = node.int("replaced_value_int64", 0), node.ints("imputed_value_int64s", ())
    if not imputed:
        raise node.unsupported(f"it has no imputed values for elements of type {dtype.name}")
    missing = g.is_nan(x) if math.isnan(replaced) else g.equal(x, g.constant(replaced, dtype))
    return g.select(missing, np.array(imputed, dtype.numpy), x)


@op("Normalizer")
def normalizer(g: Graph, node: Node) -> Any:
    """Rows divided by their maximum, sum of magnitudes or length, where that is not 0."""
    norm = node.choice("norm", ("MAX", "L1", "L2"), "MAX")
    x = g.cast(node.input(), to="float32")
    if node.rank() not in (1, 2):
        raise node.unsupported(f"it takes rows of features, got {node.type()}")
    reduce = {"MAX": g.reduce_max, "L1": g.reduce_l1, "L2": g.reduce_l2}[norm]
    size = reduce(x, axes=(node.rank() - 1,), keepdims=True)
    return g.div(x, g.select(g.equal(size, 0.0), 1.0, size))


@op("CastMap", "DictVectorizer", "ZipMap")
def maps(g: Graph, node: Node) -> Any:
    raise node.unsupported(
        "maps are no values of a network",
        remedy="export without it: skl2onnx takes options={'zipmap': False}; or let an output before it be the model's",
    )
