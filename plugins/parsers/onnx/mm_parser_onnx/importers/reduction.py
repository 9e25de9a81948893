"""Reductions over axes, positions of extremes, running sums, top k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_onnx.axes import Axes, over_axes
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family, Importer

FAMILY = Family()
op = FAMILY.op

_REDUCTIONS = (
    ("ReduceL1", "reduce_l1"), ("ReduceL2", "reduce_l2"), ("ReduceLogSum", "reduce_log_sum"),
    ("ReduceLogSumExp", "reduce_log_sum_exp"), ("ReduceMax", "reduce_max"), ("ReduceMean", "reduce_mean"),
    ("ReduceMin", "reduce_min"), ("ReduceProd", "reduce_prod"), ("ReduceSumSquare", "reduce_sum_square"),
)  # fmt: skip
_SUM = (("ReduceSum", "reduce_sum"),)


def _axes_attribute(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return g.op(f"mm.{name}", node.input(), axes=node.ints("axes"), keepdims=node.flag("keepdims", True))

    return build


def _axes_input(name: str) -> Importer:
    """No axes mean all of them, or with `noop_with_empty_axes` none: the element-wise part is still done."""

    def build(g: Graph, node: Node) -> Any:
        no_axes = () if node.flag("noop_with_empty_axes") else None
        keepdims = node.flag("keepdims", True)

        def reduce(g: Graph, values: Sequence[Value], axes: Axes) -> Value:
            return g.op(f"mm.{name}", *values, axes=axes or no_axes, keepdims=keepdims)  # type: ignore[no-any-return]

        return over_axes(g, node, 1, [node.input()], range(node.rank()), node.rank(), reduce)

    return build


FAMILY.rows((*_REDUCTIONS, *_SUM), _axes_attribute)
FAMILY.rows(_SUM, _axes_input, since=13)
FAMILY.rows(_REDUCTIONS, _axes_input, since=18)


def _position(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return g.op(
            f"mm.{name}",
            node.input(),
            axis=node.int("axis", 0),
            keepdims=node.flag("keepdims", True),
            select_last_index=node.flag("select_last_index"),
        )

    return build


FAMILY.rows((("ArgMax", "argmax"), ("ArgMin", "argmin")), _position)


def _running(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        exclusive, reverse = node.flag("exclusive"), node.flag("reverse")

        def run(g: Graph, values: Sequence[Value], axes: Axes) -> Value:
            return g.op(f"mm.{name}", *values, axis=axes[0], exclusive=exclusive, reverse=reverse)  # type: ignore

        return over_axes(g, node, 1, [node.input()], range(node.rank()), node.rank(), run)

    return build


FAMILY.rows((("CumSum", "cumsum"), ("CumProd", "cumprod")), _running)


@op("TopK")
def topk_1(g: Graph, node: Node) -> Any:
    return g.topk(node.input(), np.array([node.int("k")], np.int64), axis=node.int("axis", -1))


@op("TopK", since=10)
def topk_10(g: Graph, node: Node) -> Any:
    return g.topk(
        node.input(0),
        node.input(1),
        axis=node.int("axis", -1),
        largest=node.flag("largest", True),
        sorted=node.flag("sorted", True),
    )
