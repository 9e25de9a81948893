"""Activations."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import View, rank_of, view

FAMILY = Family()
op = FAMILY.op


def _plain(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return node.pointwise(lambda x: g.op(f"mm.{name}", x))

    return build


FAMILY.rows(
    (
        ("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Elu", "elu"), ("Softplus", "softplus"), ("Softsign", "softsign"),
    ),
    _plain,
)  # fmt: skip


@op("Relu6")
def relu6(g: Graph, node: Node) -> Any:
    return node.pointwise(lambda x: g.clip(x, 0, 6))


@op("Selu")
def selu(g: Graph, node: Node) -> Any:
    return node.pointwise(lambda x: g.selu(x))


@op("LeakyRelu")
def leaky_relu(g: Graph, node: Node) -> Any:
    return node.pointwise(lambda x: g.leaky_relu(x, alpha=node.number("alpha", 0.2)))


def _over_last(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        x = node.tensor()
        if isinstance(x, View):
            return view(g.op(f"mm.{name}", x.base, axis=x.order[-1]), x.order)
        return g.op(f"mm.{name}", x, axis=rank_of(x) - 1)

    return build


FAMILY.rows((("Softmax", "softmax"), ("LogSoftmax", "log_softmax")), _over_last)


@op("BiasAdd", "BiasAddV1")
def bias_add(g: Graph, node: Node) -> Any:
    bias: Value = node.input(1)
    if node.text("data_format", "NHWC").startswith("NC") and node.rank() > 2:
        wide = g.unsqueeze(bias, axes=tuple(range(1, node.rank() - 1)))
        return g.add(node.input(), wide)
    return node.pointwise(lambda x, b: g.add(x, b))
