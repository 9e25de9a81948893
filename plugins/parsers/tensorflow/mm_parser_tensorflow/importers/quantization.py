"""Fake quantization: numbers rounded to what small integers can hold, as TFLite's training leaves them in the graph.

Codes, and numbers half way between two of them, are those of TensorFlow's fake_quant_ops_functor.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, Array, TensorData
from mm_parser_tensorflow.node import Node, constant_of, weight_of
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Tensor, rank_of

FAMILY = Family()
op = FAMILY.op
_CODE = BY_NAME["int8"]
_MIDDLE = np.float32(128)
"""TensorFlow's codes of eight bits begin with 0, ours with -128: symmetric weights have the zero point 0."""
_HALF = np.float32(0.5)
_NOTHING = np.float32(1e30)
"""The step of a range without extent: whatever is counted in it is zero."""


@dataclass(frozen=True)
class Steps:
    """A range counted in equal steps, one for a tensor or one for each place of its last axis; all are float32.

    Codes reach from `least` to `most`, `zero` is the one of 0.0.
    """

    scale: Array
    inverse: Array
    zero: Array
    least: np.float32
    most: np.float32

    @classmethod
    def of(cls, low: Array, high: Array, least: float, most: float) -> Steps:
        """The range is moved so that zero is one of its numbers."""
        count = np.float32(most - least)
        extent = np.where(high > low, high - low, _NOTHING)
        scale = extent / count
        zero = np.floor(np.clip(np.float32(least) - low / scale, least, most) + _HALF)
        return cls(scale, count / extent, zero, np.float32(least), np.float32(most))

    @property
    def bottom(self) -> Array:
        """The least number."""
        return np.asarray((self.least - self.zero) * self.scale)

    @property
    def top(self) -> Array:
        return np.asarray((self.most - self.zero) * self.scale)

    def codes(self, x: Array, by_division: bool) -> Array:
        """The int8 codes of numbers."""
        shifted = np.clip(x, self.bottom, self.top) - self.bottom
        ratio = shifted / self.scale if by_division else shifted * self.inverse
        distance = np.floor(ratio - (self.zero - self.least) + _HALF)
        return (distance + self.zero - _MIDDLE).astype(np.int8)

    @property
    def zero_point(self) -> Array:
        return (self.zero - _MIDDLE).astype(np.int8)


@op("FakeQuantWithMinMaxArgs")
def fake_quant_args(g: Graph, node: Node) -> Any:
    low, high = (g.constant(np.float32(node.number(name, default))) for name, default in (("min", -6.0), ("max", 6.0)))
    return _fake_quant(g, node, low, high, by_division=False)


@op("FakeQuantWithMinMaxVars")
def fake_quant_vars(g: Graph, node: Node) -> Any:
    return _fake_quant(g, node, node.input(1), node.input(2), by_division=True)


@op("FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_per_channel(g: Graph, node: Node) -> Any:
    """Each place of the last axis has a range of its own."""
    return _fake_quant(g, node, node.input(1), node.input(2), by_division=False)


def _fake_quant(g: Graph, node: Node, low: Value, high: Value, by_division: bool) -> Tensor:
    """Of a known range and codes of a byte a pair of quantize and dequantize: backends then count with the codes."""
    bits = node.integer("num_bits", 8)
    least, most = float(node.flag("narrow_range")), float(2**bits - 1)
    start, end = constant_of(low), constant_of(high)
    if start is None or end is None:
        return _rounded(g, node, *_moved(g, low, high, least, most), by_division=by_division)
    steps = Steps.of(start, end, least, most)
    x = node.tensor(0)
    data = weight_of(x) if isinstance(x, Value) else None
    if bits <= 8 and data is not None:
        return _weight(g, node, data, lambda: steps.codes(data.numpy(), by_division), steps.scale, steps.zero_point)
    if bits <= 8 and not steps.scale.ndim:
        return node.pointwise(lambda x: _counted(g, x, steps, by_division), x)
    parts = (steps.bottom, steps.top, steps.scale, steps.inverse, steps.zero - steps.least)
    return _rounded(g, node, *map(g.constant, parts), by_division=by_division)


def _counted(g: Graph, x: Value, steps: Steps, by_division: bool) -> Value:
    """What lies outside of the range meets the end of the codes, if they end as bytes do."""
    if steps.least > 0 or steps.most < 255:
        x = g.minimum(g.maximum(x, float(steps.bottom)), float(steps.top))
    shifted = g.sub(x, float(steps.bottom)) if steps.bottom else x
    ratio = g.div(shifted, float(steps.scale)) if by_division else g.mul(shifted, float(steps.inverse))
    distance = g.floor(g.add(g.sub(ratio, float(steps.zero - steps.least)), 0.5))
    return _pair(g, distance, steps.scale, steps.zero_point)


def _pair(g: Graph, distance: Value, scale: Array, zero_point: Array) -> Value:
    """Whole steps from zero as codes, and these as numbers again."""
    zero = g.constant(zero_point)
    return g.dequantize(g.quantize(distance, g.constant(np.float32(1)), zero, to=_CODE), g.constant(scale), zero)  # type: ignore[no-any-return]


def _weight(
    g: Graph, node: Node, data: TensorData, codes: Callable[[], Array], scale: Array, zero_point: Array
) -> Value:
    """A constant as its codes, which are computed when they are read."""
    handle = TensorData(_CODE, data.shape, codes, key=f"{data.key or node.name}:codes")
    axis = {"axis": len(data.shape) - 1} if scale.ndim else {}
    return g.dequantize(g.constant(handle), g.constant(scale), g.constant(zero_point), **axis)  # type: ignore[no-any-return]


def _moved(g: Graph, low: Value, high: Value, least: float, most: float) -> list[Value]:
    """`Steps` of a range that running tells: bottom, top, scale, its inverse, and the distance of zero."""
    extent = g.select(g.greater(high, low), g.sub(high, low), float(_NOTHING))
    scale = g.div(extent, most - least)
    zero = g.floor(g.add(g.clip(g.sub(least, g.div(low, scale)), least, most), 0.5))
    bottom, top = (g.mul(g.sub(end, zero), scale) for end in (least, most))
    return [bottom, top, scale, g.div(most - least, extent), g.sub(zero, least)]


def _rounded(
    g: Graph, node: Node, bottom: Value, top: Value, scale: Value, inverse: Value, zero: Value, *, by_division: bool
) -> Tensor:
    """Numbers rounded as floats."""

    def build(x: Value, bottom: Value, top: Value, scale: Value, inverse: Value, zero: Value) -> Any:
        shifted = g.sub(g.minimum(g.maximum(x, bottom), top), bottom)
        ratio = g.div(shifted, scale) if by_division else g.mul(shifted, inverse)
        return g.mul(g.floor(g.add(g.sub(ratio, zero), 0.5)), scale)

    return node.pointwise(build, node.tensor(0), bottom, top, scale, inverse, zero)


@op("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(g: Graph, node: Node) -> Any:
    """Scaled so that the range reaches an end of the integers, rounded, scaled back; zero is always one of them.

    The range is given, or that of the tensor: of all of it, or of each place along an axis.
    """
    bits = node.ints(3, "the bits")[0] if node.op.endswith("V3") else node.integer("num_bits", 8)
    signed = node.flag("signed_input", True)
    least = -(2 ** (bits - 1)) + node.flag("narrow_range") if signed else 0
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low, high = _range(g, node)
    # The sides' steps; a side without an extent, or beyond zero, has none.
    below = g.div(g.minimum(low, 0.0), float(least)) if least else g.constant(np.float32(0))
    step = g.maximum(below, g.div(g.maximum(high, 0.0), float(most)))
    step = g.select(g.greater(step, 0.0), step, float(_NOTHING))
    up = node.choice("round_mode", ("HALF_TO_EVEN", "HALF_UP"), "HALF_TO_EVEN") == "HALF_UP"
    limits = float(least), float(most)
    known, x = constant_of(step), node.tensor(0)
    if known is None or known.ndim or bits > 8:
        return node.pointwise(
            lambda x, step: g.mul(g.clip(_distance(g, x, g.div(1.0, step), up), *limits), step), x, step
        )
    inverse, zero = float(np.float32(1) / known), np.asarray(0 if signed else -128, np.int8)
    data = weight_of(x) if isinstance(x, Value) else None
    if data is not None:

        def codes() -> Array:
            scaled = data.numpy() * np.float32(inverse)
            distance = np.floor(scaled + _HALF) if up else np.rint(scaled)
            return np.asarray(np.clip(distance, *limits) + zero).astype(np.int8)

        return _weight(g, node, data, codes, known, zero)

    def build(x: Value) -> Any:
        distance = _distance(g, x, inverse, up)
        return _pair(g, g.clip(distance, *limits) if most - least < 255 else distance, known, zero)

    return node.pointwise(build, x)


def _distance(g: Graph, x: Value, inverse: Any, up: bool) -> Value:
    scaled = g.mul(x, inverse)
    return g.floor(g.add(scaled, 0.5)) if up else g.round(scaled)  # type: ignore[no-any-return]


def _range(g: Graph, node: Node) -> tuple[Value, Value]:
    """The least and greatest number: given, or those of the tensor, of all of it or of each place along an axis."""
    x, axis = node.tensor(0), node.integer("axis", -1)
    if node.flag("range_given", node.op.endswith("V3")):
        if axis >= 0:
            raise node.unsupported("a range given for each place of an axis, which TensorFlow does not run either")
        return node.input(1), node.input(2)
    others = tuple(place for place in range(rank_of(x)) if place != axis)
    value, keep = node.input(0), axis >= 0
    return g.reduce_min(value, axes=others, keepdims=keep), g.reduce_max(value, axes=others, keepdims=keep)
