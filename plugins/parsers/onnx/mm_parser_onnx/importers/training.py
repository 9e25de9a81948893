"""Training (domain ai.onnx.preview.training): optimizers, and gradients of the graph itself."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.gradient import gradients
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import TRAINING, Family

FAMILY = Family(TRAINING)
op = FAMILY.op


def _each(g: Graph, node: Node, name: str, statistics: int, **attributes: Any) -> list[Any]:
    """The optimizer for each tensor. ONNX lists all x, then all gradients, then each statistic; so are the results."""
    kinds, rest = 2 + statistics, len(node.inputs) - 2
    if rest < kinds or rest % kinds:
        raise node.unsupported(f"it takes rate, step and {kinds} tensors for each one trained; got {rest} tensors")
    count = rest // kinds
    columns = [
        g.op(name, node.scalar(0), node.scalar(1), *node.operands()[2 + place :: count], **attributes)
        for place in range(count)
    ]
    return [result for kind in zip(*columns) for result in kind]


@op("Adagrad")
def adagrad(g: Graph, node: Node) -> Any:
    return _each(
        g, node, "mm.adagrad", 1, decay=node.float("decay_factor", 0.0), epsilon=node.float("epsilon", 1e-6),
        weight_decay=node.float("norm_coefficient", 0.0),
    )  # fmt: skip


@op("Adam")
def adam(g: Graph, node: Node) -> Any:
    return _each(
        g, node, "mm.adam", 2, alpha=node.float("alpha", 0.9), beta=node.float("beta", 0.999),
        epsilon=node.float("epsilon", 1e-6), weight_decay=node.float("norm_coefficient", 0.0),
        shrink=node.float("norm_coefficient_post", 0.0),
    )  # fmt: skip


@op("Momentum")
def momentum(g: Graph, node: Node) -> Any:
    return _each(
        g, node, "mm.momentum", 1, alpha=node.float("alpha", REQUIRED), beta=node.float("beta", REQUIRED),
        nesterov=node.choice("mode", ("standard", "nesterov"), "") == "nesterov",
        weight_decay=node.float("norm_coefficient", REQUIRED),
    )  # fmt: skip


@op("Gradient")
def gradient(g: Graph, node: Node) -> Any:
    """Derivatives of the value called `y` by those called `xs`, as it depends on them and on `zs`, at the inputs."""
    xs, zs, y = node.texts("xs", REQUIRED), node.texts("zs", ()), node.text("y", REQUIRED)
    names = [node.scope.value(name) for name in (*xs, *zs)]
    if len(names) != len(node.inputs):
        raise node.unsupported(f"it names {len(names)} variables and has {len(node.inputs)} inputs")
    return gradients(g, node.scope.value(y), names, node.operands(), len(xs))
