"""Random streams."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


def _uniform(g: Graph, node: Node, shape: Any, dtype: Any) -> Value:
    low, high = node.float("low", 0.0), node.float("high", 1.0)
    return g.random_uniform(shape, low=low, high=high, dtype=dtype, seed=node.float("seed"))  # type: ignore[no-any-return]


def _normal(g: Graph, node: Node, shape: Any, dtype: Any) -> Value:
    mean, scale = node.float("mean", 0.0), node.float("scale", 1.0)
    return g.random_normal(shape, mean=mean, scale=scale, dtype=dtype, seed=node.float("seed"))  # type: ignore[no-any-return]


_STREAMS = {"RandomUniform": _uniform, "RandomNormal": _normal}


@op("RandomUniform", "RandomNormal")
def stated_shape(g: Graph, node: Node) -> Any:
    shape = np.array(node.ints("shape", ()), np.int64)
    return _STREAMS[node.op_type](g, node, shape, node.dtype("dtype", BY_NAME["float32"]))


@op("RandomUniformLike", "RandomNormalLike")
def shape_of_input(g: Graph, node: Node) -> Any:
    own = node.type().dtype
    stream = _STREAMS[node.op_type.removesuffix("Like")]
    return stream(g, node, g.shape(node.input()), node.dtype("dtype", own if own.is_float else BY_NAME["float32"]))


@op("Bernoulli")
def bernoulli(g: Graph, node: Node) -> Any:
    return g.bernoulli(node.input(), dtype=node.dtype("dtype", node.type().dtype), seed=node.float("seed"))


@op("Multinomial")
def multinomial(g: Graph, node: Node) -> Any:
    dtype = node.dtype("dtype", BY_NAME["int32"])
    return g.multinomial(node.input(), sample_size=node.int("sample_size", 1), dtype=dtype, seed=node.float("seed"))
