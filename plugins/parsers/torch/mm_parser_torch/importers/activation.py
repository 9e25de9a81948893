"""Activations and softmax."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, as_value, axis_of, cast, dtype, rank
from mm_parser_torch.pointwise import pointwise
from mm_parser_torch.table import Family, Importer

FAMILY = Family()
op = FAMILY.op


def _plain(name: str) -> Importer:
    def build(g: Graph, call: Call, x: Value) -> Any:
        return pointwise(g, call, lambda x: g.op(f"mm.{name}", x), x, single=True)

    return build


for _name, _ours in (
    ("relu", "relu"), ("silu", "silu"), ("mish", "mish"), ("hardswish", "hard_swish"), ("log_sigmoid", "log_sigmoid"),
    ("selu", "selu"), ("softsign", "softsign"),
):  # fmt: skip
    op(_name)(_plain(_ours))


@op("gelu")
def gelu(g: Graph, call: Call, x: Value, approximate: str) -> Any:
    return g.gelu(x, approximate=approximate)


@op("leaky_relu")
def leaky_relu(g: Graph, call: Call, x: Value, slope: Any) -> Any:
    return pointwise(g, call, lambda x: g.select(g.greater(x, 0), x, g.mul(x, as_value(g, slope, dtype(x)))), x)


@op("rrelu_with_noise", "rrelu_with_noise_functional")
def rrelu(g: Graph, call: Call, x: Value, noise: Value, low: Any, high: Any, training: bool) -> Any:
    """The slope below zero is the middle of what training draws from."""
    if training:
        raise call.unsupported("random slopes are for training", remedy="call eval() on the module")
    y = leaky_relu(g, call, x, (low + high) / 2)
    return y if len(call.examples) == 1 else [y, noise]


@op("hardsigmoid")
def hardsigmoid(g: Graph, call: Call, x: Value) -> Any:
    return pointwise(g, call, lambda x: g.hard_sigmoid(x, alpha=1 / 6, beta=0.5), x)


@op("hardtanh")
def hardtanh(g: Graph, call: Call, x: Value, low: Any, high: Any) -> Any:
    return pointwise(g, call, lambda x: g.clip(x, as_value(g, low, dtype(x)), as_value(g, high, dtype(x))), x)


@op("elu")
def elu(g: Graph, call: Call, x: Value, alpha: Any, scale: Any, input_scale: Any) -> Any:
    """scale * x above zero, else scale * alpha * (exp(x * input_scale) - 1)."""

    def build(x: Value) -> Any:
        if scale == 1 and input_scale == 1:
            return g.elu(x, alpha=float(alpha))
        curve = g.mul(g.sub(g.exp(g.mul(x, float(input_scale))), 1.0), float(alpha) * float(scale))
        return g.select(g.greater(x, 0.0), g.mul(x, float(scale)), curve)

    return pointwise(g, call, build, x)


@op("softplus")
def softplus(g: Graph, call: Call, x: Value, beta: Any, threshold: Any) -> Any:
    def build(x: Value) -> Any:
        if beta == 1:
            curve = g.softplus(x)
        else:
            curve = g.div(g.softplus(g.mul(x, float(beta))), float(beta))
        return g.select(g.greater(g.mul(x, float(beta)), float(threshold)), x, curve)

    return pointwise(g, call, build, x)


@op("threshold")
def threshold(g: Graph, call: Call, x: Value, limit: Any, value: Any) -> Any:
    def build(x: Value) -> Any:
        return g.select(g.less_or_equal(x, as_value(g, limit, dtype(x))), as_value(g, value, dtype(x)), x)

    return pointwise(g, call, build, x)


def _softmax(name: str) -> Importer:
    """`_softmax` states whether halves become floats, `softmax.int` a type: the result's type says both."""

    def build(g: Graph, call: Call, x: Value, dim: int, *ignored: Any) -> Any:
        wide = cast(g, x, call.dtype())
        if not rank(x):
            return g.reshape(g.op(f"mm.{name}", g.reshape(wide, [1]), axis=0), [])
        return g.op(f"mm.{name}", wide, axis=axis_of(x, dim))

    return build


op("_softmax", "softmax.int")(_softmax("softmax"))
op("_log_softmax", "log_softmax.int")(_softmax("log_softmax"))


@op("_safe_softmax")
def safe_softmax(g: Graph, call: Call, x: Value, dim: int, *ignored: Any) -> Any:
    """Rows of minus infinity alone give zeros."""
    wide = cast(g, x, call.dtype())
    axis = axis_of(x, dim)
    nothing = g.equal(g.reduce_max(wide, axes=(axis,), keepdims=True), float("-inf"))
    return g.select(nothing, 0.0, g.softmax(wide, axis=axis))


@op("glu")
def glu(g: Graph, call: Call, x: Value, dim: int) -> Any:
    value, gate = g.split(x, axis=axis_of(x, dim), parts=2)
    return g.mul(value, g.sigmoid(gate))


@op("log_sigmoid_forward")
def log_sigmoid_forward(g: Graph, call: Call, x: Value) -> Any:
    """The second result is a buffer for the gradient, empty on the CPU."""
    return g.log_sigmoid(x), g.constant([], dtype(x))
