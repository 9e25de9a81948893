"""Arithmetic that changes nothing, or that is cheaper written otherwise. Exact: signed zeros and NaN included."""

from __future__ import annotations

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.rewrite import Match, Pattern, Reason, Rewriter, Rule, rule
from mm_core.types import Array, DType, TensorType

IDEMPOTENT = ("mm.abs", "mm.sign", "mm.floor", "mm.ceil", "mm.round", "mm.relu")
INVOLUTIONS = ("mm.neg", "mm.logical_not", "mm.bitwise_not")
SELF_ABSORBING = ("mm.maximum", "mm.minimum", "mm.logical_and", "mm.logical_or", "mm.bitwise_and", "mm.bitwise_or")


def keeps_type(match: Match) -> Reason | None:
    """The value x must have the very type of the result: it was not broadcast."""
    return None if match["x"].type == match.root.results[0].type else "the other operand broadcasts"


def _adds_nothing(match: Match) -> Reason | None:
    """-0.0 is what can be added to any float; +0.0 would turn -0.0 into +0.0."""
    return keeps_type(match) or _has_sign(match.array("zero"), negative=True)


def _subtracts_nothing(match: Match) -> Reason | None:
    return keeps_type(match) or _has_sign(match.array("zero"), negative=False)


def _has_sign(array: Array, negative: bool) -> Reason | None:
    if array.dtype.kind in "iu" or (np.signbit(array.astype(np.float64)) == negative).all():
        return None
    return "the zero has the sign that changes -0.0"


def _is_power_of_two(match: Match) -> Reason | None:
    """Then the reciprocal is exact, and so is the product with it."""
    array = match.array("c")
    if not match["c"].type.dtype.is_float:
        return "integer division truncates"
    wide = array.astype(np.float64)
    with np.errstate(all="ignore"):
        reciprocal = (1 / wide).astype(array.dtype).astype(np.float64)
        exact = np.isfinite(wide) & (wide * reciprocal == 1) & (np.abs(np.frexp(wide)[0]) == 0.5)
    return None if exact.all() else "the reciprocal is not exact"


def _reciprocal(array: Array) -> Array:
    return (1 / array.astype(np.float64)).astype(array.dtype)


PATTERNS: tuple[Rule, ...] = (
    Pattern("identity", lambda p, x: p.identity(x), lambda g, x: x),
    Pattern("multiply-by-one", lambda p, x: p.mul(x, 1), lambda g, x: x, keeps_type),
    Pattern("divide-by-one", lambda p, x: p.div(x, 1), lambda g, x: x, keeps_type),
    Pattern("power-of-one", lambda p, x: p.pow(x, 1), lambda g, x: x, keeps_type),
    Pattern("add-zero", lambda p, x: p.add(x, p.number(0, "zero")), lambda g, x: x, _adds_nothing),
    Pattern("subtract-zero", lambda p, x: p.sub(x, p.number(0, "zero")), lambda g, x: x, _subtracts_nothing),
    Pattern("and-true", lambda p, x: p.logical_and(x, 1), lambda g, x: x, keeps_type),
    Pattern("or-false", lambda p, x: p.logical_or(x, 0), lambda g, x: x, keeps_type),
    Pattern("power-of-two", lambda p, x: p.pow(x, 2), lambda g, x: g.mul(x, x), keeps_type),
    Pattern("square", lambda p, x: p.square(x), lambda g, x: g.mul(x, x)),
    Pattern(
        "divide-by-power-of-two",
        lambda p, x: p.div(x, p.any_constant("c")),
        lambda g, x, match: g.mul(x, _reciprocal(match.array("c"))),
        _is_power_of_two,
    ),
    *(
        Pattern(
            f"{name.removeprefix('mm.')}-of-itself",
            lambda p, x, name=name: p.op(name, p.op(name, x, name="inner", shared=True)),
            lambda g, inner: inner.result,
        )
        for name in IDEMPOTENT
    ),
    *(
        Pattern(
            f"{name.removeprefix('mm.')}-twice",
            lambda p, x, name=name: p.op(name, p.op(name, x, shared=True)),
            lambda g, x: x,
        )
        for name in INVOLUTIONS
    ),
    *(
        Pattern(
            f"{name.removeprefix('mm.')}-with-itself",
            lambda p, x, name=name: p.op(name, x, x),
            lambda g, x: x,
        )
        for name in SELF_ABSORBING
    ),
    Pattern("select-one", lambda p, c, x: p.select(c, x, x), lambda g, x: x, keeps_type),
    Pattern("select-always", lambda p, x, y: p.select(1, x, y), lambda g, x: x, keeps_type),
    Pattern("select-never", lambda p, x, y: p.select(0, y, x), lambda g, x: x, keeps_type),
    Pattern(
        "select-by-negation",
        lambda p, c, x, y: p.select(p.logical_not(c, shared=True), x, y),
        lambda g, c, x, y: g.select(c, y, x),
    ),
)


@rule("mm.sum", "mm.max", "mm.min", "mm.mean")
def variadic_as_binary(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Reductions over operands become chains of two-operand operators, which other rules know."""
    rewriter.replace(operation, [operation.definition.decompose(rewriter, *operation.operands)])
    return None


@rule("mm.cast")
def cast_to_same(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x = operation.operands[0]
    assert x is not None
    if x.type == operation.result.type:
        rewriter.replace(operation, [x])
    return None


@rule("mm.cast")
def cast_of_cast(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A cast that loses nothing may be left out before another."""
    inner = _maker(operation.operands[0])
    if inner is None or inner.name != "mm.cast":
        return None
    source, middle = inner.operands[0], inner.result
    assert source is not None
    assert isinstance(source.type, TensorType)
    assert isinstance(middle.type, TensorType)
    if not holds_all(middle.type.dtype, source.type.dtype):
        return f"{source.type.dtype} does not fit into {middle.type.dtype}"
    rewriter.absorb(inner)
    rewriter.replace(operation, [rewriter.cast(source, **operation.attributes)])
    return None


def _maker(value: Value | None) -> Operation | None:
    return None if value is None else value.defining_op


_FRACTION_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_EXPONENT_BITS = {"float16": 5, "bfloat16": 8, "float32": 8, "float64": 11}


def holds_all(wide: DType, narrow: DType) -> bool:
    """Whether every value of one element type is a value of the other."""
    if wide is narrow:
        return True
    if narrow.kind == "bool":
        return wide.is_integer or wide.name in _FRACTION_BITS
    if narrow.is_integer:
        digits = narrow.bits - (narrow.kind == "signed")
        if wide.is_integer:
            fits = wide.bits - (wide.kind == "signed") >= digits
            return fits and (wide.kind == "signed" or narrow.kind == "unsigned")
        return _FRACTION_BITS.get(wide.name, 0) >= digits and narrow.bits <= 32
    if narrow.name in _FRACTION_BITS and wide.name in _FRACTION_BITS:
        return all(table[wide.name] >= table[narrow.name] for table in (_FRACTION_BITS, _EXPONENT_BITS))
    return False


RULES: tuple[Rule, ...] = (*PATTERNS, variadic_as_binary, cast_to_same, cast_of_cast)
