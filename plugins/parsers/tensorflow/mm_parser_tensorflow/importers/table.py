"""Lookup tables: their contents become constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_tensorflow.elements import dtype_of
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.resources import Resource
from mm_parser_tensorflow.table import Family

FAMILY = Family()
op = FAMILY.op


def _contents(node: Node) -> tuple[Any, Any]:
    found = node.operand()
    if not isinstance(found, Resource):
        raise node.unsupported(f"it reads {found}, not a table")
    return found.table(node.proto.attr["Tin"].type, node.proto.attr["Tout"].type)


def _words(column: Any) -> Any:
    return np.array([word.decode("utf-8", "replace") for word in column.reshape(-1).tolist()], object)


@op("LookupTableFindV2")
def find(g: Graph, node: Node) -> Any:
    """The value of each key; of keys that the table does not have the default, which goes behind the values."""
    keys, values = _contents(node)
    x, default = node.input(1), node.input(2)
    to = dtype_of(node.proto.attr["Tout"].type)
    if to.name == "string":
        values = _words(values)
    if keys.dtype.kind in "OS":
        place = g.op("text.find", x, g.constant(_words(keys)))
    else:
        order = np.argsort(keys)
        keys, values = keys[order], values[order]
        place = g.op("ml.find", x, g.constant(keys))
    row = g.concat(g.constant(values, to), g.reshape(default, [1]), axis=0)
    return g.gather(row, g.select(g.less(place, 0), len(values), place), axis=0)
