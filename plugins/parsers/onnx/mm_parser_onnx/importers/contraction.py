"""Products of matrices."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.importers.elementwise import plain
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op

FAMILY.rows((("MatMul", "matmul"), ("Det", "det")), plain)


@op("Gemm")
def gemm(g: Graph, node: Node) -> Any:
    node.ignore("broadcast")
    return g.gemm(
        node.input(0),
        node.input(1),
        node.optional(2),
        alpha=node.float("alpha", 1.0),
        beta=node.float("beta", 1.0),
        trans_a=node.flag("transA"),
        trans_b=node.flag("transB"),
    )


@op("MatMulInteger")
def matmul_integer(g: Graph, node: Node) -> Any:
    return g.matmul_integer(*(node.optional(index) for index in range(4)))


@op("Einsum")
def einsum(g: Graph, node: Node) -> Any:
    return g.einsum(*node.operands(), equation=node.text("equation", ""))
