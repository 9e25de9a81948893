"""Activations."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.elementwise import plain
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family, Importer

FAMILY = Family()
op = FAMILY.op

FAMILY.rows(
    (
        ("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Softplus", "softplus"), ("Softsign", "softsign"), ("Mish", "mish"),
        ("HardSwish", "hard_swish"),
    ),
    plain,
)  # fmt: skip

_PARAMETERS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("LeakyRelu", "leaky_relu", {"alpha": 0.01}),
    ("Elu", "elu", {"alpha": 1.0}),
    ("Celu", "celu", {"alpha": 1.0}),
    ("ThresholdedRelu", "thresholded_relu", {"alpha": 1.0}),
    ("HardSigmoid", "hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    ("Shrink", "shrink", {"lambd": 0.5, "bias": 0.0}),
    ("Swish", "swish", {"alpha": 1.0}),
)


def _with(name: str, defaults: dict[str, float]) -> Importer:
    """One operator whose float attributes are called as in ONNX."""

    def build(g: Graph, node: Node) -> Any:
        node.ignore("consumed_inputs")
        return g.op(f"mm.{name}", node.input(), **{key: node.float(key, value) for key, value in defaults.items()})

    return build


for _onnx_name, _name, _defaults in _PARAMETERS:
    op(_onnx_name)(_with(_name, _defaults))
op("Selu")(_with("selu", {"alpha": 1.6732, "gamma": 1.0507}))
op("Selu", since=6)(_with("selu", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}))


@op("Gelu")
def gelu(g: Graph, node: Node) -> Any:
    return g.gelu(node.input(), approximate=node.choice("approximate", ("none", "tanh"), "none"))


@op("PRelu")
def prelu_1(g: Graph, node: Node) -> Any:
    """Before version 7 the slope is one for each channel, or one for all."""
    node.ignore("consumed_inputs")
    slope = node.input(1)
    if node.rank(1) == 1 and node.shape(1) != (1,) and node.rank() > 2:
        slope = g.reshape(slope, [-1] + [1] * (node.rank() - 2))
    return g.prelu(node.input(), slope)


@op("PRelu", since=7)
def prelu_7(g: Graph, node: Node) -> Any:
    return g.prelu(node.input(0), node.input(1))


def _flattened(name: str) -> Importer:
    """Before version 13 the axes from `axis` on were taken together as one."""

    def build(g: Graph, node: Node) -> Any:
        x, rank = node.input(), node.rank()
        axis = node.axis(default=1)
        if axis == rank - 1:
            return g.op(f"mm.{name}", x, axis=-1)
        flat: Value = g.op(f"mm.{name}", g.flatten(x, axis=axis), axis=-1)
        return g.reshape(flat, g.shape(x))

    return build


def _along(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return g.op(f"mm.{name}", node.input(), axis=node.int("axis", -1))

    return build


_ALONG_AXIS = (("Softmax", "softmax"), ("LogSoftmax", "log_softmax"), ("Hardmax", "hardmax"))
FAMILY.rows(_ALONG_AXIS, _flattened)
FAMILY.rows(_ALONG_AXIS, _along, since=13)
