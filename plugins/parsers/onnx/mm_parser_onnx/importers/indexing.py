"""Elements fetched from and put at places that integer tensors name."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_REDUCTIONS = ("none", "add", "mul", "max", "min")


@op("Gather")
def gather(g: Graph, node: Node) -> Any:
    return g.gather(node.input(0), node.input(1), axis=node.int("axis", 0))


@op("GatherElements")
def gather_elements(g: Graph, node: Node) -> Any:
    return g.gather_elements(node.input(0), node.input(1), axis=node.int("axis", 0))


@op("GatherND")
def gather_nd(g: Graph, node: Node) -> Any:
    return g.gather_nd(node.input(0), node.input(1), batch_dims=node.int("batch_dims", 0))


@op("Scatter", "ScatterElements")
def scatter_elements(g: Graph, node: Node) -> Any:
    reduction = node.choice("reduction", _REDUCTIONS, "none")
    return g.scatter_elements(*node.operands(), axis=node.int("axis", 0), reduction=reduction)


@op("ScatterND")
def scatter_nd(g: Graph, node: Node) -> Any:
    return g.scatter_nd(*node.operands(), reduction=node.choice("reduction", _REDUCTIONS, "none"))


@op("TensorScatter")
def tensor_scatter(g: Graph, node: Node) -> Any:
    mode = node.choice("mode", ("linear", "circular"), "linear")
    return g.tensor_scatter(node.input(0), node.input(1), node.optional(2), axis=node.int("axis", -2), mode=mode)


@op("OneHot")
def one_hot(g: Graph, node: Node) -> Any:
    return g.one_hot(*node.operands(), axis=node.int("axis", -1))


@op("NonZero")
def nonzero(g: Graph, node: Node) -> Any:
    return g.nonzero(node.input())


@op("Compress")
def compress(g: Graph, node: Node) -> Any:
    return g.compress(node.input(0), node.input(1), axis=node.int("axis"))


@op("Unique")
def unique(g: Graph, node: Node) -> Any:
    return g.unique(node.input(), axis=node.int("axis"), sorted=node.flag("sorted", True))


@op("Trilu")
def trilu(g: Graph, node: Node) -> Any:
    """The triangle of the last two axes above (`upper`) or below the diagonal k; zeros elsewhere."""
    x, rank = node.input(), node.rank()
    if rank < 2:
        raise node.unsupported(f"it takes matrices, the input has rank {rank}")
    shape = g.shape(x, start=rank - 2)
    rows, columns = g.iota(shape, axis=0), g.iota(shape, axis=1)
    diagonal = rows if node.optional(1) is None else g.add(rows, g.reshape(node.input(1), []))
    kept = g.less_or_equal(diagonal, columns) if node.flag("upper", True) else g.less_or_equal(columns, diagonal)
    dtype = node.type().dtype
    zero = False if dtype is BY_NAME["bool"] else 0
    return g.select(kept, x, g.constant(zero, dtype))
