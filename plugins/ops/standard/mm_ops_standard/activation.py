"""Activations. The element-wise ones are rows of a table: name, meaning, attributes, numpy, primitives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mm_core.ops import FLOATS, NUMERIC, Attribute, KnownValues, OpDef, Operand, Tier, Trait, lookup
from mm_core.types import Array
from mm_ops_standard.checks import require
from mm_ops_standard.elementwise import Elementwise, define
from mm_ops_standard.known import larger
from mm_ops_standard.places import places_along
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import axis_of
from mm_ops_standard.unary import Unary


class Activation(Unary):
    """An element-wise function of one float operand: `function` in numpy, `expand(graph, x, ...)` in primitives."""

    tier = Tier.COMPOSITE
    expand: ClassVar[Callable[..., Any]]

    def reference(self, x: Array, **attributes: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.function(wide(x), **attributes)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, **attributes: Any) -> Any:
        return in_float32(graph, lambda value: self.expand(graph, value, **attributes), x)


def _sigmoid(x: Array) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Array) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu(x: Array, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + lookup("mm.erf").reference(np.asarray(x / math.sqrt(2))))


def _shrink(x: Array, lambd: float, bias: float) -> Any:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, np.where(np.isnan(x), x, 0)))


def _gelu_values(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        inner = g.mul(g.add(x, g.mul(g.mul(g.mul(x, x), x), 0.044715)), math.sqrt(2 / math.pi))
        return g.mul(g.mul(x, 0.5), g.add(g.tanh(inner), 1.0))
    return g.mul(g.mul(x, 0.5), g.add(g.erf(g.mul(x, math.sqrt(0.5))), 1.0))


def _sigmoid_values(g: Any, x: Any) -> Any:
    return g.div(1.0, g.add(g.exp(g.neg(x)), 1.0))


def _softplus_values(g: Any, x: Any) -> Any:
    return g.add(g.maximum(x, 0.0), g.log(g.add(g.exp(g.neg(g.abs(x))), 1.0)))


def _elu_values(g: Any, x: Any, alpha: float) -> Any:
    return g.select(g.less(x, 0.0), g.mul(g.sub(g.exp(x), 1.0), alpha), x)


def _bounded(g: Any, x: Any, alpha: float, beta: float) -> Any:
    return g.maximum(g.minimum(g.add(g.mul(x, alpha), beta), 1.0), 0.0)


def _shrink_values(g: Any, x: Any, lambd: float, bias: float) -> Any:
    inside = g.select(g.is_nan(x), x, 0.0)
    above = g.select(g.less(lambd, x), g.sub(x, bias), inside)
    return g.select(g.less(x, -lambd), g.add(x, bias), above)


_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875

_TABLE: tuple[tuple[str, str, tuple[Attribute, ...], Callable[..., Any], Callable[..., Any]], ...] = (
    (
        "leaky_relu", "x above zero, alpha * x below (ONNX LeakyRelu).",
        (Attribute("alpha", float, 0.01),),
        lambda x, alpha: np.where(x < 0, alpha * x, x),
        lambda g, x, alpha: g.select(g.less(x, 0.0), g.mul(x, alpha), x),
    ),
    (
        "thresholded_relu", "x above alpha, else zero (ONNX ThresholdedRelu).",
        (Attribute("alpha", float, 1.0),),
        lambda x, alpha: np.where(x <= alpha, 0, x),
        lambda g, x, alpha: g.select(g.less_or_equal(x, alpha), 0.0, x),
    ),
    (
        "sigmoid", "1 / (1 + exp(-x)) (ONNX Sigmoid).", (), _sigmoid, _sigmoid_values,
    ),
    (
        "log_sigmoid", "log(1 / (1 + exp(-x))) (torch.nn.LogSigmoid).", (),
        lambda x: -_softplus(-x),
        lambda g, x: g.neg(_softplus_values(g, g.neg(x))),
    ),
    (
        "silu", "x * sigmoid(x) (arXiv 1702.03118; ONNX Swish with alpha 1).", (),
        lambda x: x * _sigmoid(x),
        lambda g, x: g.mul(x, _sigmoid_values(g, x)),
    ),
    (
        "swish", "x * sigmoid(alpha * x) (arXiv 1710.05941; ONNX Swish).",
        (Attribute("alpha", float, 1.0),),
        lambda x, alpha: x * _sigmoid(alpha * x),
        lambda g, x, alpha: g.mul(x, _sigmoid_values(g, g.mul(x, alpha))),
    ),
    (
        "hard_sigmoid", "alpha * x + beta, bounded by 0 and 1 (ONNX HardSigmoid).",
        (Attribute("alpha", float, 0.2), Attribute("beta", float, 0.5)),
        lambda x, alpha, beta: np.maximum(np.minimum(alpha * x + beta, 1), 0),
        _bounded,
    ),
    (
        "hard_swish", "x * hard_sigmoid(x) with slope 1/6 (arXiv 1905.02244; ONNX HardSwish).", (),
        lambda x: x * np.maximum(np.minimum(x / 6 + 0.5, 1), 0),
        lambda g, x: g.mul(x, _bounded(g, x, 1 / 6, 0.5)),
    ),
    (
        "elu", "x above zero, alpha * (exp(x) - 1) below (arXiv 1511.07289; ONNX Elu).",
        (Attribute("alpha", float, 1.0),),
        lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x),
        _elu_values,
    ),
    (
        "selu", "gamma * elu(x), which keeps mean and variance (arXiv 1706.02515; ONNX Selu).",
        (Attribute("alpha", float, _SELU_ALPHA), Attribute("gamma", float, _SELU_GAMMA)),
        lambda x, alpha, gamma: gamma * np.where(x < 0, alpha * np.expm1(x), x),
        lambda g, x, alpha, gamma: g.mul(_elu_values(g, x, alpha), gamma),
    ),
    (
        "celu", "x above zero, alpha * (exp(x / alpha) - 1) below (arXiv 1704.07483; ONNX Celu).",
        (Attribute("alpha", float, 1.0),),
        lambda x, alpha: np.where(x < 0, alpha * np.expm1(x / alpha), x),
        lambda g, x, alpha: g.select(g.less(x, 0.0), g.mul(g.sub(g.exp(g.div(x, alpha)), 1.0), alpha), x),
    ),
    ("softplus", "log(1 + exp(x)), without overflow (ONNX Softplus).", (), _softplus, _softplus_values),
    (
        "softsign", "x / (1 + |x|) (ONNX Softsign).", (),
        lambda x: x / (1 + np.abs(x)),
        lambda g, x: g.div(x, g.add(g.abs(x), 1.0)),
    ),
    (
        "mish", "x * tanh(softplus(x)) (arXiv 1908.08681; ONNX Mish).", (),
        lambda x: x * np.tanh(_softplus(x)),
        lambda g, x: g.mul(x, g.tanh(_softplus_values(g, x))),
    ),
    (
        "gelu", "x times the normal distribution function of x, exact or by tanh (arXiv 1606.08415; ONNX Gelu).",
        (Attribute("approximate", str, "none", ("none", "tanh")),),
        _gelu, _gelu_values,
    ),
    (
        "shrink", "x + bias below -lambd, x - bias above lambd, else zero (ONNX Shrink).",
        (Attribute("lambd", float, 0.5), Attribute("bias", float, 0.0)),
        _shrink, _shrink_values,
    ),
)  # fmt: skip


class Relu(Unary):
    """max(x, 0); NaN stays (ONNX Relu)."""

    name = "mm.relu"
    tier = Tier.COMPOSITE
    dtypes = {"T": NUMERIC}
    known_function = staticmethod(lambda item: larger(item, 0))

    def reference(self, x: Array) -> Array:
        return np.maximum(wide(x), 0).astype(x.dtype)

    def decompose(self, graph: Any, x: Any) -> Any:
        return graph.maximum(x, 0)


class PRelu(Elementwise):
    """x above zero, slope * x below; the slope broadcasts to x (arXiv 1502.01852; ONNX PRelu)."""

    name = "mm.prelu"
    tier = Tier.COMPOSITE
    operands = (Operand("x"), Operand("slope"))
    dtypes = {"T": NUMERIC}

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        shape = super().infer(types, values, **attributes)
        require(
            len(shape) == len(types[0].shape),
            f"{self.name}: the slope of shape {list(types[1].shape)} does not broadcast to {list(types[0].shape)}",
        )
        return shape

    def reference(self, x: Array, slope: Array) -> Array:
        signal = wide(x)
        return np.where(signal < 0, signal * wide(slope), signal).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, slope: Any) -> Any:
        return graph.select(graph.less(x, 0), graph.mul(x, slope), x)


class _AlongAxis(OpDef):
    """A function of whole slices along one axis; the shape stays."""

    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("axis", int, -1),)
    traits: ClassVar[frozenset[Trait]] = frozenset()

    def infer(self, types: Any, values: KnownValues, *, axis: int) -> Any:
        axis_of(self.name, axis, len(types[0].shape))
        return types[0].shape


def _shifted(x: Array, axis: int) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))


def _shifted_values(graph: Any, x: Any, axis: int) -> tuple[Any, tuple[int, ...]]:
    axes = (axis % len(x.type.shape),)
    return graph.sub(x, graph.reduce_max(x, axes=axes, keepdims=True)), axes


class Softmax(_AlongAxis):
    """exp(x) / sum(exp(x)) along `axis`, shifted by the maximum so that nothing overflows (ONNX Softmax since 13)."""

    name = "mm.softmax"

    def reference(self, x: Array, *, axis: int) -> Array:
        powers = np.exp(_shifted(wide(x), axis))
        return np.asarray(powers / powers.sum(axis=axis, keepdims=True)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, axis: int) -> Any:
        def build(x: Any) -> Any:
            shifted, axes = _shifted_values(graph, x, axis)
            powers = graph.exp(shifted)
            return graph.div(powers, graph.reduce_sum(powers, axes=axes, keepdims=True))

        return in_float32(graph, build, x)


class LogSoftmax(_AlongAxis):
    """The logarithm of softmax, without computing softmax (ONNX LogSoftmax since 13)."""

    name = "mm.log_softmax"

    def reference(self, x: Array, *, axis: int) -> Array:
        shifted = _shifted(wide(x), axis)
        with np.errstate(divide="ignore"):
            return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, axis: int) -> Any:
        def build(x: Any) -> Any:
            shifted, axes = _shifted_values(graph, x, axis)
            return graph.sub(shifted, graph.log(graph.reduce_sum(graph.exp(shifted), axes=axes, keepdims=True)))

        return in_float32(graph, build, x)


class Hardmax(_AlongAxis):
    """One at the first maximum along `axis`, zero elsewhere (ONNX Hardmax since 13)."""

    name = "mm.hardmax"

    def reference(self, x: Array, *, axis: int) -> Array:
        y = np.zeros_like(x)
        if x.size:
            np.put_along_axis(y, np.expand_dims(wide(x).argmax(axis), axis), 1, axis)
        return y

    def decompose(self, graph: Any, x: Any, *, axis: int) -> Any:
        axis %= len(x.type.shape)
        best = graph.argmax(x, axis=axis, keepdims=True)
        return graph.cast(graph.equal(best, places_along(graph, x, axis)), to=x.type.dtype)


OPS: tuple[type[OpDef], ...] = (
    Relu,
    *(
        define(Activation, name, summary, function, FLOATS, attributes=attributes, expand=expand)
        for name, summary, attributes, function, expand in _TABLE
    ),
    PRelu,
    Softmax,
    LogSoftmax,
    Hardmax,
)
