"""Axes folded or scanned."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import Tensor, View, dtype_of, rank_of, view

FAMILY = Family()
op = FAMILY.op


def reduce(g: Graph, tensor: Tensor, axes: tuple[int, ...], keep: bool, build: Any) -> Any:
    """`build(value, axes)` over axes of a tensor in the layout that it has; it keeps or drops them as `keep` says."""
    if not axes:
        return tensor
    if not isinstance(tensor, View):
        return build(tensor, axes)
    order = tensor.order
    result = build(tensor.base, tuple(sorted(order[axis] for axis in axes)))
    if keep:
        return view(result, order)
    left = [axis for index, axis in enumerate(order) if index not in axes]
    return view(result, [sorted(left).index(axis) for axis in left])


def _fold(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        x, keep = node.tensor(), node.flag("keep_dims")

        def fold(value: Value, axes: tuple[int, ...]) -> Any:
            return g.op(f"mm.{name}", value, axes=axes, keepdims=keep)

        return reduce(g, x, node.axes(1, rank_of(x)), keep, fold)

    return build


FAMILY.rows(
    (
        ("Sum", "reduce_sum"), ("Mean", "reduce_mean"), ("Max", "reduce_max"), ("Min", "reduce_min"),
        ("Prod", "reduce_prod"), ("EuclideanNorm", "reduce_l2"),
    ),
    _fold,
)  # fmt: skip


def _truth(name: str) -> Importer:
    """All and any, as the least and greatest of 0 and 1."""

    def build(g: Graph, node: Node) -> Any:
        x, keep = node.tensor(), node.flag("keep_dims")

        def fold(value: Value, axes: tuple[int, ...]) -> Any:
            number = g.cast(value, to="uint8")
            return g.cast(g.op(f"mm.{name}", number, axes=axes, keepdims=keep), to="bool")

        return reduce(g, x, node.axes(1, rank_of(x)), keep, fold)

    return build


FAMILY.rows((("All", "reduce_min"), ("Any", "reduce_max")), _truth)


def _place(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        x = node.tensor()
        axis, to = node.axis(1, rank_of(x)), node.dtype("output_type")

        def fold(value: Value, axes: tuple[int, ...]) -> Any:
            found = g.op(f"mm.{name}", value, axis=axes[0], keepdims=False)
            return found if dtype_of(found) is to else g.cast(found, to=to)

        return reduce(g, x, (axis,), False, fold)

    return build


FAMILY.rows((("ArgMax", "argmax"), ("ArgMin", "argmin")), _place)


def _scan(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        x = node.input()
        how = {"exclusive": node.flag("exclusive"), "reverse": node.flag("reverse")}
        return g.op(f"mm.{name}", x, axis=node.axis(1, rank_of(x)), **how)

    return build


FAMILY.rows((("Cumsum", "cumsum"), ("Cumprod", "cumprod")), _scan)


@op("TopKV2", "TopK")
def top_k(g: Graph, node: Node) -> Any:
    stated = node.input(1) if node.op == "TopKV2" else g.constant(node.integer("k"), "int64")
    k = g.reshape(g.cast(stated, to="int64"), [1])
    values, places = g.topk(node.input(), k, axis=node.rank() - 1)
    to = node.dtype("index_type") if node.has("index_type") else "int32"
    return values, g.cast(places, to=to)
