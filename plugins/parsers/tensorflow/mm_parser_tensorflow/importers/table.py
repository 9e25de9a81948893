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


@op("LookupTableFindV2")
def find(g: Graph, node: Node) -> Any:
    """The value of each key; of keys that the table does not have the default, which goes behind the values."""
    keys, values = _contents(node)
    x, default = node.input(1), node.input(2)
    to = dtype_of(node.proto.attr["Tout"].type)
    if to.name == "string":
        raise node.unsupported("a table of strings")
    if keys.dtype.kind in "OS":
        words = np.array([key.decode("utf-8", "replace") for key in keys.reshape(-1).tolist()], object)
        place = g.op("text.find", x, g.constant(words))
    else:
        order = np.argsort(keys)
        keys, values = keys[order], values[order]
        place = g.op("ml.find", x, g.constant(keys))
    row = g.concat(g.constant(values, to), g.reshape(default, [1]), axis=0)
    return g.gather(row, g.select(g.less(place, 0), len(values), place), axis=0)
