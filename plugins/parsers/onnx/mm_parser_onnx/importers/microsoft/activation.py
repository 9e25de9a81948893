"""Activations, alone and together with the bias, the gate or the dropout beside them."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.importers.normalization import is_inference
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("Gelu")
def gelu(g: Graph, node: Node) -> Any:
    return g.gelu(node.input())


@op("BiasGelu")
def bias_gelu(g: Graph, node: Node) -> Any:
    return g.gelu(g.add(node.input(0), node.input(1)))


@op("FastGelu")
def fast_gelu(g: Graph, node: Node) -> Any:
    return g.gelu(biased(g, node.input(0), node.optional(1)), approximate="tanh")


@op("QuickGelu")
def quick_gelu(g: Graph, node: Node) -> Any:
    return g.swish(node.input(), alpha=node.float("alpha", 1.702))


@op("ScaledSiLU")
def scaled_silu(g: Graph, node: Node) -> Any:
    """Scaled, and the sigmoid taken, in the element type itself: each step is rounded to it."""
    x, scale = node.input(0), node.optional(1)
    factor = node.float("alpha", 1.0)
    scaled = g.mul(x, factor) if scale is None else g.mul(x, g.cast_like(g.reshape(scale, []), x))
    return g.mul(scaled, g.sigmoid(scaled))


@op("BiasSplitGelu")
def bias_split_gelu(g: Graph, node: Node) -> Any:
    left, right = g.split(g.add(node.input(0), node.input(1)), axis=-1, parts=2)
    return g.mul(left, g.gelu(right))


@op("SwiGLU")
def swiglu(g: Graph, node: Node) -> Any:
    """gate * sigmoid(alpha * gate) * (up + beta), both halves bounded by `limit`; without `up` the gate holds both."""
    gate, up = node.input(0), node.optional(1)
    if up is None:
        gate, up = g.split(gate, axis=-1, parts=2)
    if node.flag("round_activation"):
        raise node.unsupported("round_activation is not offered")
    dtype = node.type().dtype
    gate, up = g.cast(gate, to="float32"), g.cast(up, to="float32")
    limit = node.float("limit", 0.0)
    if limit > 0:
        gate, up = g.minimum(gate, limit), g.maximum(g.minimum(up, limit), -limit)
    active = g.swish(gate, alpha=node.float("activation_alpha", 1.0))
    return g.cast(g.mul(active, g.add(up, node.float("activation_beta", 0.0))), to=dtype)


@op("BiasAdd")
def bias_add(g: Graph, node: Node) -> Any:
    return g.add(g.add(node.input(0), node.input(1)), node.input(2))


@op("BiasSoftmax")
def bias_softmax(g: Graph, node: Node) -> Any:
    """Softmax over all axes from `axis` on, taken as one; the bias broadcasts by its ones or its missing axes."""
    x, axis = node.input(0), node.axis(default=1)
    if node.flag("is_inner_broadcast") and node.rank(1) != node.rank(0):
        raise node.unsupported("a bias that broadcasts inside must have the rank of the scores")
    scores = g.add(x, node.input(1))
    if axis == node.rank() - 1:
        return g.softmax(scores, axis=-1)
    return g.reshape(g.softmax(g.flatten(scores, axis=axis), axis=-1), g.shape(x))


@op("BiasDropout")
def bias_dropout(g: Graph, node: Node) -> Any:
    """At inference: nothing is dropped."""
    node.ignore("seed")
    if not is_inference(node, 4):
        raise node.unsupported("training mode is not offered")
    y = biased(g, g.add(node.input(0), node.input(1)), node.optional(2))
    return (y, g.expand(g.constant(True), g.shape(y))) if node.wants(1) else y


def biased(g: Graph, x: Value, bias: Value | None) -> Value:
    """The sum with a bias, where there is one."""
    return x if bias is None else g.add(x, bias)


def activated(g: Graph, node: Node, y: Value, name: str | None, parameters: tuple[float, ...]) -> Value:
    """The activation that a fused operator applies to its result; `parameters` are alpha and beta, or the limits."""
    if not name:
        return y
    alpha, beta = (*parameters, *(None,) * 2)[:2]
    given = {key: value for key, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    match name:
        case "Relu" | "Sigmoid" | "Tanh":
            built = g.op(f"mm.{name.lower()}", y)
        case "LeakyRelu" | "Elu" | "HardSigmoid":
            snake = {"LeakyRelu": "leaky_relu", "Elu": "elu", "HardSigmoid": "hard_sigmoid"}[name]
            built = g.op(f"mm.{snake}", y, **given)
        case "Clip" if len(parameters) == 2:
            built = g.clip(y, alpha, beta)
        case "HardSwish":
            built = g.hard_swish(y)
        case "Gelu":
            built = g.gelu(y)
        case "FastGelu":
            built = g.gelu(y, approximate="tanh")
        case _:
            raise node.unsupported(f"the activation {name!r} with {len(parameters)} parameters is not offered")
    return built  # type: ignore[no-any-return]
