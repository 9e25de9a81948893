"""Rows gathered by the segment that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import dtype_of, rank_of

FAMILY = Family()
op = FAMILY.op


def _least(dtype: Any) -> Any:
    """What the greatest of no elements is."""
    return np.finfo(dtype.numpy).min if dtype.is_float else np.iinfo(dtype.numpy).min


def _most(dtype: Any) -> Any:
    return np.finfo(dtype.numpy).max if dtype.is_float else np.iinfo(dtype.numpy).max


_STARTS: dict[str, Any] = {"add": lambda _: 0, "mul": lambda _: 1, "max": _least, "min": _most}


def _unsorted(reduction: str) -> Importer:
    """Rows of negative segments are left out: they go to one segment more, which is cut off."""

    def build(g: Graph, node: Node) -> Any:
        x, segments = node.input(0), g.cast(node.input(1), to="int64")
        count = g.reshape(g.cast(node.input(2), to="int64"), [1])
        own = g.shape(x, start=rank_of(segments))
        start = g.constant(np.asarray(_STARTS[reduction](dtype_of(x))), dtype_of(x))
        rows = g.expand(start, g.concat(g.add(count, 1), own, axis=0))
        places = g.select(g.less(segments, 0), g.reshape(count, []), segments)
        found = g.scatter_nd(rows, g.unsqueeze(places, axes=(rank_of(segments),)), x, reduction=reduction)
        return g.slice(found, [0], count, [0])

    return build


FAMILY.rows(
    (
        ("UnsortedSegmentSum", "add"), ("UnsortedSegmentProd", "mul"), ("UnsortedSegmentMax", "max"),
        ("UnsortedSegmentMin", "min"),
    ),
    _unsorted,
)  # fmt: skip


@op("SegmentSum", "SegmentSumV2")
def segment_sum(g: Graph, node: Node) -> Any:
    """Segments are sorted: there are as many as the last one says."""
    x, segments = node.input(0), g.cast(node.input(1), to="int64")
    last = g.slice(segments, [-1], [2**63 - 1], [0])
    count = g.sizes(g.add(last, 1))
    rows = g.expand(g.constant(0, dtype_of(x)), g.concat(count, g.shape(x, start=1), axis=0))
    return g.scatter_nd(rows, g.unsqueeze(segments, axes=(1,)), x, reduction="add")
