"""Values made from nothing, or from a shape alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import ParseError
from mm_core.ir import Graph
from mm_core.types import TensorData
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("Constant")
def constant(g: Graph, node: Node) -> Any:
    data = node.tensor("value")
    if data is None:
        data = node.sparse_tensor("sparse_value")
    found: list[Any] = [] if data is None else [data]
    readers: tuple[tuple[str, Any, Any], ...] = (
        ("value_float", node.float, np.float32), ("value_floats", node.floats, np.float32),
        ("value_int", node.int, np.int64), ("value_ints", node.ints, np.int64),
        ("value_string", node.text, object), ("value_strings", node.texts, object),
    )  # fmt: skip
    for name, read, storage in readers:
        value = read(name)
        if value is not None:
            found.append(TensorData.of(np.array(value, storage)))
    if len(found) != 1:
        raise ParseError(f"a Constant needs one value, it has {len(found)}", where=node.where)
    return g.constant(found[0])


@op("ConstantOfShape")
def constant_of_shape(g: Graph, node: Node) -> Any:
    value = node.tensor("value")
    return g.constant_of_shape(node.input(), value=TensorData.of(np.zeros(1, np.float32)) if value is None else value)


@op("Range")
def range_(g: Graph, node: Node) -> Any:
    node.ignore("stash_type")
    return g.range(*(node.scalar(index) for index in range(3)))


@op("EyeLike")
def eye_like(g: Graph, node: Node) -> Any:
    return g.eye_like(node.input(), dtype=node.dtype("dtype", node.type().dtype), k=node.int("k", 0))
