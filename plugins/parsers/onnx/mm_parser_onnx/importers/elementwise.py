"""Element-wise arithmetic, comparison, logic and casts."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family, Importer

FAMILY = Family()
op = FAMILY.op

_UNARY = (
    ("Abs", "abs"), ("Acos", "acos"), ("Acosh", "acosh"), ("Asin", "asin"), ("Asinh", "asinh"), ("Atan", "atan"),
    ("Atanh", "atanh"), ("BitwiseNot", "bitwise_not"), ("Ceil", "ceil"), ("Cos", "cos"), ("Cosh", "cosh"),
    ("Erf", "erf"), ("Exp", "exp"), ("Floor", "floor"), ("Identity", "identity"), ("IsNaN", "is_nan"), ("Log", "log"),
    ("Neg", "neg"), ("Not", "logical_not"), ("Reciprocal", "reciprocal"), ("Round", "round"), ("Sign", "sign"),
    ("Sin", "sin"), ("Sinh", "sinh"), ("Sqrt", "sqrt"), ("Tan", "tan"), ("Tanh", "tanh"),
)  # fmt: skip
_BINARY = (
    ("Add", "add"), ("And", "logical_and"), ("Div", "div"), ("Equal", "equal"), ("Greater", "greater"),
    ("Less", "less"), ("Mul", "mul"), ("Or", "logical_or"), ("Sub", "sub"), ("Xor", "logical_xor"),
)  # fmt: skip
_BINARY_LATER = (
    ("BitwiseAnd", "bitwise_and"), ("BitwiseOr", "bitwise_or"), ("BitwiseXor", "bitwise_xor"),
    ("GreaterOrEqual", "greater_or_equal"), ("LessOrEqual", "less_or_equal"),
)  # fmt: skip
_VARIADIC = (("Max", "max"), ("Mean", "mean"), ("Min", "min"), ("Sum", "sum"))


def plain(name: str) -> Importer:
    """One operator for one node, operand by operand."""

    def build(g: Graph, node: Node) -> Any:
        node.ignore("consumed_inputs")
        return g.op(f"mm.{name}", *node.operands())

    return build


def _legacy(name: str) -> Importer:
    """Before version 7 the second operand broadcast only with `broadcast`, and along `axis`."""

    def build(g: Graph, node: Node) -> Any:
        node.ignore("consumed_inputs")
        return g.op(f"mm.{name}", node.input(0), legacy_broadcast(g, node))

    return build


def legacy_broadcast(g: Graph, node: Node) -> Value:
    """The second operand shaped so that numpy's rule aligns it as `broadcast` and `axis` say."""
    a, b = node.input(0), node.input(1)
    axis = node.int("axis")
    if not node.flag("broadcast"):
        return b
    if axis is None or not node.rank(1):
        return b
    missing = node.rank(0) - node.rank(1) - axis % node.rank(0)
    if missing < 0:
        raise node.unsupported(f"operands of types {a.type} and {b.type} do not align at axis {axis}")
    return g.unsqueeze(b, axes=tuple(range(node.rank(1), node.rank(1) + missing))) if missing else b


FAMILY.rows(_UNARY, plain)
FAMILY.rows(_BINARY, _legacy)
FAMILY.rows(_BINARY, plain, since=7)
FAMILY.rows(_BINARY_LATER, plain)
FAMILY.rows(_VARIADIC, plain)


@op("Pow")
def pow_1(g: Graph, node: Node) -> Any:
    return _power(g, node.input(0), legacy_broadcast(g, node))


@op("Pow", since=7)
def pow_7(g: Graph, node: Node) -> Any:
    return _power(g, node.input(0), node.input(1))


def _power(g: Graph, base: Value, exponent: Value) -> Value:
    """The result has the base's type; an integer base with a float exponent is computed in floats."""
    dtype, other = base.type.dtype, exponent.type.dtype  # type: ignore[union-attr]
    if dtype is other:
        return g.pow(base, exponent)  # type: ignore[no-any-return]
    if dtype.is_integer and other.is_float:
        return g.cast(g.pow(g.cast(base, to=other), exponent), to=dtype)  # type: ignore[no-any-return]
    return g.pow(base, g.cast(exponent, to=dtype))  # type: ignore[no-any-return]


@op("Mod")
def mod(g: Graph, node: Node) -> Any:
    name = "fmod" if node.flag("fmod") else "mod"
    if name == "mod" and node.type().dtype.is_float and node.version < 28:
        raise node.unsupported("fmod must be 1 for floats")
    return g.op(f"mm.{name}", node.input(0), node.input(1))


@op("BitShift")
def bit_shift(g: Graph, node: Node) -> Any:
    direction = node.choice("direction", ("LEFT", "RIGHT"), "")
    return g.op(f"mm.shift_{direction.lower()}", node.input(0), node.input(1))


@op("IsInf")
def is_inf(g: Graph, node: Node) -> Any:
    return g.is_inf(
        node.input(),
        detect_negative=node.flag("detect_negative", True),
        detect_positive=node.flag("detect_positive", True),
    )


@op("Where")
def where(g: Graph, node: Node) -> Any:
    return g.select(*node.operands())


@op("Clip")
def clip_1(g: Graph, node: Node) -> Any:
    node.ignore("consumed_inputs")
    return g.clip(node.input(), node.float("min"), node.float("max"))


@op("Clip", since=11)
def clip_11(g: Graph, node: Node) -> Any:
    return g.clip(node.input(), node.optional(1), node.optional(2))


@op("Cast")
def cast_1(g: Graph, node: Node) -> Any:
    """`to` is the name of the type."""
    wanted = node.text("to", "").upper()
    names = {"DOUBLE": "FLOAT64", "FLOAT": "FLOAT32"}
    name = names.get(wanted, wanted).lower()
    if name not in BY_NAME:
        raise node.unsupported(f"{wanted!r} is not an element type")
    return g.cast(node.input(), to=name)


@op("Cast", since=6)
def cast_6(g: Graph, node: Node) -> Any:
    if not node.has("to"):
        raise node.unsupported("it needs the attribute 'to'")
    return g.cast(node.input(), to=node.dtype("to"), **_rounding(node))


@op("BitCast")
def bit_cast(g: Graph, node: Node) -> Any:
    return g.bit_cast(node.input(), to=node.dtype("to"))


@op("CastLike")
def cast_like(g: Graph, node: Node) -> Any:
    return g.cast_like(node.input(0), node.input(1), **_rounding(node))


def _rounding(node: Node) -> dict[str, Any]:
    return {
        "saturate": node.flag("saturate", True),
        "round_mode": node.choice("round_mode", ("up", "down", "nearest"), "up"),
    }
