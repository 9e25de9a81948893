"""Fake quantization: numbers rounded to what small integers can hold, as TFLite's training leaves them in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Tensor, dtype_of

FAMILY = Family()
op = FAMILY.op


@op("FakeQuantWithMinMaxArgs")
def fake_quant_args(g: Graph, node: Node) -> Any:
    limits = (g.constant(np.float32(node.number(name, default))) for name, default in (("min", -6.0), ("max", 6.0)))
    return _fake_quant(g, node, *limits)


@op("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_vars(g: Graph, node: Node) -> Any:
    """The range is an operand; of the channels, along the last axis, each has its own."""
    return _fake_quant(g, node, node.input(1), node.input(2))


def _fake_quant(g: Graph, node: Node, low: Value, high: Value) -> Tensor:
    """The range is moved so that zero is one of the numbers, then numbers are clamped and rounded half up."""
    least = 1.0 if node.flag("narrow_range") else 0.0
    most = float(2 ** node.integer("num_bits", 8) - 1)
    scale = g.div(g.sub(high, low), most - least)
    start = g.sub(least, g.div(low, scale))
    zero = g.clip(g.floor(g.add(start, 0.5)), least, most)
    bottom, top = g.mul(g.sub(least, zero), scale), g.mul(g.sub(most, zero), scale)
    inverse = g.div(most - least, g.sub(high, low))

    def build(x: Value, bottom: Value, top: Value, scale: Value, inverse: Value) -> Any:
        shifted = g.sub(g.minimum(g.maximum(x, bottom), top), bottom)
        return g.add(g.mul(g.floor(g.add(g.mul(shifted, inverse), 0.5)), scale), bottom)

    return node.pointwise(build, node.tensor(0), bottom, top, scale, inverse)


@op("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4")
def quantize_and_dequantize(g: Graph, node: Node) -> Any:
    """Scaled so that the range reaches the ends of the integers, rounded, scaled back."""
    if not node.flag("range_given") or node.integer("axis", -1) != -1:
        raise node.unsupported("the range must be given, one for the whole tensor")
    bits, signed = node.integer("num_bits", 8), node.flag("signed_input", True)
    least = -(2 ** (bits - 1)) + node.flag("narrow_range") if signed else 0
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low, high = node.input(1), node.input(2)
    infinite = g.constant(np.asarray(np.inf), dtype_of(low))
    by_low = (
        g.select(g.less(g.mul(low, float(least)), 1e-30), infinite, g.div(float(least), low)) if least else infinite
    )
    by_high = g.select(g.less_or_equal(high, 0.0), infinite, g.div(float(most), high))
    scale = g.minimum(by_low, by_high)
    up = node.choice("round_mode", ("HALF_TO_EVEN", "HALF_UP"), "HALF_TO_EVEN") == "HALF_UP"

    def build(x: Value, scale: Value) -> Any:
        scaled = g.mul(g.minimum(g.maximum(x, g.div(float(least), scale)), g.div(float(most), scale)), scale)
        return g.div(g.floor(g.add(scaled, 0.5)) if up else g.round(scaled), scale)

    return node.pointwise(build, node.tensor(0), scale)
