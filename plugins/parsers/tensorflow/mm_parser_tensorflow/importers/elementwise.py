"""Element-wise arithmetic, comparison, logic and casts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import dtype_of, rank_of

FAMILY = Family()
op = FAMILY.op
_SAME = (
    ("Abs", "abs"), ("Neg", "neg"), ("Sign", "sign"), ("Exp", "exp"), ("Log", "log"), ("Sqrt", "sqrt"),
    ("Rsqrt", "rsqrt"), ("Square", "square"), ("Reciprocal", "reciprocal"), ("Inv", "reciprocal"), ("Sin", "sin"),
    ("Cos", "cos"), ("Tan", "tan"), ("Asin", "asin"), ("Acos", "acos"), ("Atan", "atan"), ("Sinh", "sinh"),
    ("Cosh", "cosh"), ("Tanh", "tanh"), ("Asinh", "asinh"), ("Acosh", "acosh"), ("Atanh", "atanh"), ("Erf", "erf"),
    ("LogicalNot", "logical_not"), ("Invert", "bitwise_not"),
    ("Add", "add"), ("AddV2", "add"), ("Sub", "sub"), ("Mul", "mul"), ("RealDiv", "div"), ("TruncateDiv", "div"),
    ("FloorMod", "mod"), ("Mod", "fmod"), ("TruncateMod", "fmod"), ("Maximum", "maximum"), ("Minimum", "minimum"),
    ("Pow", "pow"), ("Less", "less"), ("LessEqual", "less_or_equal"), ("Greater", "greater"),
    ("GreaterEqual", "greater_or_equal"), ("LogicalAnd", "logical_and"), ("LogicalOr", "logical_or"),
    ("BitwiseAnd", "bitwise_and"), ("BitwiseOr", "bitwise_or"), ("BitwiseXor", "bitwise_xor"),
    ("LeftShift", "shift_left"), ("RightShift", "shift_right"),
)  # fmt: skip


def _same(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return node.pointwise(lambda *operands: g.op(f"mm.{name}", *operands))

    return build


FAMILY.rows(_SAME, _same)


def _made(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare `build(g, *operands)` for operators: it makes the result from operands that broadcast."""

    def declare(build: Callable[..., Any]) -> Callable[..., Any]:
        op(*names)(lambda g, node: node.pointwise(lambda *operands: build(g, *operands)))
        return build

    return declare


def _rounding(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        if not dtype_of(node.tensor()).is_float:
            return node.tensor()
        return node.pointwise(lambda x: g.op(f"mm.{name}", x))

    return build


FAMILY.rows((("Floor", "floor"), ("Ceil", "ceil"), ("Round", "round"), ("Rint", "round")), _rounding)


def _comparison(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return node.pointwise(lambda a, b: g.op(f"mm.{name}", a, b))

    return build


FAMILY.rows((("Equal", "equal"), ("NotEqual", "not_equal")), _comparison)


def floored(g: Graph, a: Value, b: Value) -> Any:
    """The quotient rounded down."""
    if dtype_of(a).is_float:
        return g.floor(g.div(a, b))
    return g.div(g.sub(a, g.mod(a, b)), b) if dtype_of(a).kind == "signed" else g.div(a, b)


_made("FloorDiv")(floored)


@_made("Div")
def _div(g: Graph, a: Value, b: Value) -> Any:
    """Integers are rounded towards zero, as our division does."""
    return g.div(a, b)


@_made("SquaredDifference")
def _squared_difference(g: Graph, a: Value, b: Value) -> Any:
    return g.square(g.sub(a, b))


def _zero_where(g: Graph, zero: Value, result: Value) -> Any:
    """The result, and zero where the operand given is zero, whatever the other one is."""
    return g.select(g.equal(zero, 0.0), 0.0, result)


@_made("DivNoNan")
def _div_no_nan(g: Graph, a: Value, b: Value) -> Any:
    return _zero_where(g, b, g.div(a, b))


@_made("MulNoNan")
def _mul_no_nan(g: Graph, a: Value, b: Value) -> Any:
    return _zero_where(g, b, g.mul(a, b))


@_made("Xdivy")
def _xdivy(g: Graph, a: Value, b: Value) -> Any:
    return _zero_where(g, a, g.div(a, b))


@_made("Xlogy")
def _xlogy(g: Graph, a: Value, b: Value) -> Any:
    return _zero_where(g, a, g.mul(a, g.log(b)))


@_made("Xlog1py")
def _xlog1py(g: Graph, a: Value, b: Value) -> Any:
    return _zero_where(g, a, g.mul(a, _log1p(g, b)))


@_made("Erfc")
def _erfc(g: Graph, x: Value) -> Any:
    """1 - erf(x); of a negation 1 + erf, the form in which GELU is recognised."""
    made = x.defining_op
    if made is not None and made.name == "mm.neg":
        return g.add(g.erf(made.operands[0]), 1.0)
    return g.sub(1.0, g.erf(x))


@_made("Expm1")
def _expm1(g: Graph, x: Value) -> Any:
    """Kahan's way to keep the digits near zero: (e^x - 1) * x / log(e^x)."""
    power = g.exp(x)
    less = g.sub(power, 1.0)
    far = g.logical_or(g.equal(less, -1.0), g.is_inf(power))
    exact = g.div(g.mul(less, x), g.log(power))
    return g.select(g.equal(power, 1.0), x, g.select(far, less, exact))


@_made("Log1p")
def _log1p(g: Graph, x: Value) -> Any:
    """log(u) * x / (u - 1) for u = 1 + x, which undoes the rounding of u."""
    u = g.add(x, 1.0)
    exact = g.div(g.mul(g.log(u), x), g.sub(u, 1.0))
    return g.select(g.equal(u, 1.0), x, g.select(g.is_inf(u), g.log(u), exact))


@_made("Atan2")
def _atan2(g: Graph, y: Value, x: Value) -> Any:
    """The angle of (x, y): that of the quotient, half a turn further where x < 0."""
    near = g.atan(g.div(y, x))
    half_turn = g.select(g.less(y, 0.0), -math.pi, math.pi)
    upright = g.select(g.equal(y, 0.0), 0.0, g.mul(half_turn, 0.5))
    turned = g.select(g.less(x, 0.0), g.add(near, half_turn), near)
    return g.select(g.equal(x, 0.0), upright, turned)


@_made("IsNan")
def _is_nan(g: Graph, x: Value) -> Any:
    return g.is_nan(x)


@_made("IsInf")
def _is_inf(g: Graph, x: Value) -> Any:
    return g.is_inf(x)


@_made("IsFinite")
def _is_finite(g: Graph, x: Value) -> Any:
    return g.logical_not(g.logical_or(g.is_nan(x), g.is_inf(x)))


@_made("SelectV2")
def _select(g: Graph, condition: Value, a: Value, b: Value) -> Any:
    return g.select(condition, a, b)


@op("Select")
def select(g: Graph, node: Node) -> Any:
    """A condition that is a vector chooses whole rows."""
    condition = node.input(0)
    behind = node.rank(1) - rank_of(condition)
    if rank_of(condition) and behind:
        condition = g.unsqueeze(condition, axes=tuple(range(rank_of(condition), node.rank(1))))
    return node.pointwise(lambda c, a, b: g.select(c, a, b), condition, node.tensor(1), node.tensor(2))


@_made("ClipByValue")
def _clip(g: Graph, x: Value, low: Value, high: Value) -> Any:
    return g.minimum(g.maximum(x, low), high)


@op("AddN", "AccumulateNV2")
def add_n(g: Graph, node: Node) -> Any:
    def total(first: Value, *others: Value) -> Any:
        for other in others:
            first = g.add(first, other)
        return first

    return node.pointwise(total)


@op("ApproximateEqual")
def approximate_equal(g: Graph, node: Node) -> Any:
    tolerance = node.number("tolerance", 1e-5)
    return node.pointwise(lambda a, b: g.less(g.abs(g.sub(a, b)), tolerance))


@op("Cast")
def cast(g: Graph, node: Node) -> Any:
    to = node.dtype("DstT")
    if to is dtype_of(node.tensor()):
        return node.tensor()
    return node.pointwise(lambda x: g.cast(x, to=to))


@op("Bitcast")
def bitcast(g: Graph, node: Node) -> Any:
    to = node.dtype("type")
    if to.bits != dtype_of(node.tensor()).bits:
        raise node.unsupported("the element types differ in size")
    return node.pointwise(lambda x: g.bit_cast(x, to=to))


@op("ZerosLike")
def zeros_like(g: Graph, node: Node) -> Any:
    return _filled(g, node, 0)


@op("OnesLike")
def ones_like(g: Graph, node: Node) -> Any:
    return _filled(g, node, 1)


def _filled(g: Graph, node: Node, number: int) -> Any:
    x = node.input()
    return g.expand(g.constant(np.asarray(number), dtype_of(x)), g.shape(x))
