"""Element-wise operators of one operand, one row each; `cast`; and composites of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mm_core.ops import ALL, BOOL, FLOATS, INTEGERS, NUMERIC, SMALL_FLOATS, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import DType, as_dtype, is_non_negative
from mm_core.types.dtypes import bool_
from mm_ops_standard.elementwise import Elementwise, define
from mm_ops_standard.known import FOLLOWED, combine


class Unary(Elementwise):
    """An element-wise operator of one operand."""

    operands = (Operand("x"),)

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return types[0].shape


class UnaryComposite(Unary):
    """One operand; `expand(graph, x)` builds it from primitives."""

    tier = Tier.COMPOSITE
    expand: ClassVar[Callable[..., Any]]

    def decompose(self, graph: Any, x: Any) -> Any:
        return self.expand(graph, x)


class Predicate(Unary):
    """One operand in, bool out."""

    results = (Result("y", bool_),)


def _erf(x: Any) -> Any:
    """numpy has no erf: the C library's, element by element in double precision."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64)), np.float64).astype(x.dtype)


def _known_abs(item: Any) -> Any:
    if isinstance(item, int):
        return abs(item)
    return item if is_non_negative(item) else None


_FUNCTIONS: tuple[tuple[str, Callable[..., Any], frozenset[DType], str], ...] = (
    ("sign", np.sign, NUMERIC, "-1, 0 or 1 by the sign of x; NaN stays."),
    ("floor", np.floor, FLOATS, "The largest integer not above x."),
    ("ceil", np.ceil, FLOATS, "The smallest integer not below x."),
    ("round", np.rint, FLOATS, "The nearest integer, halves to the even one."),
    ("exp", np.exp, FLOATS, "e to the power x."),
    ("log", np.log, FLOATS, "The natural logarithm."),
    ("sqrt", np.sqrt, FLOATS, "The square root; NaN below zero."),
    ("sin", np.sin, FLOATS, "The sine of x radians."),
    ("cos", np.cos, FLOATS, "The cosine of x radians."),
    ("tan", np.tan, FLOATS, "The tangent of x radians."),
    ("asin", np.arcsin, FLOATS, "The arc sine in radians."),
    ("acos", np.arccos, FLOATS, "The arc cosine in radians."),
    ("atan", np.arctan, FLOATS, "The arc tangent in radians."),
    ("sinh", np.sinh, FLOATS, "The hyperbolic sine."),
    ("cosh", np.cosh, FLOATS, "The hyperbolic cosine."),
    ("tanh", np.tanh, FLOATS, "The hyperbolic tangent."),
    ("asinh", np.arcsinh, FLOATS, "The inverse hyperbolic sine."),
    ("acosh", np.arccosh, FLOATS, "The inverse hyperbolic cosine."),
    ("atanh", np.arctanh, FLOATS, "The inverse hyperbolic tangent."),
    ("erf", _erf, FLOATS, "The error function."),
    ("bitwise_not", np.invert, INTEGERS, "All bits turned over."),
)

_COMPOSITES: tuple[tuple[str, Callable[..., Any], frozenset[DType], str, Callable[..., Any]], ...] = (
    ("reciprocal", lambda x: np.ones((), x.dtype) / x, FLOATS, "1 / x.", lambda g, x: g.div(1, x)),
    ("square", np.square, NUMERIC, "x * x.", lambda g, x: g.mul(x, x)),
    ("rsqrt", lambda x: np.ones((), x.dtype) / np.sqrt(x), FLOATS, "1 / sqrt(x).", lambda g, x: g.div(1, g.sqrt(x))),
    (
        "trunc", np.trunc, FLOATS, "x without its fraction.",
        lambda g, x: g.select(g.less(x, 0), g.ceil(x), g.floor(x)),
    ),
)  # fmt: skip


class IsInf(Predicate):
    """Whether an element is infinite, of the signs asked for."""

    name = "mm.is_inf"
    dtypes = {"T": FLOATS | SMALL_FLOATS}
    attributes = (Attribute("detect_negative", bool, True), Attribute("detect_positive", bool, True))

    def reference(self, x: Any, *, detect_negative: bool, detect_positive: bool) -> Any:
        wide = x.astype(np.float64)
        return (np.isposinf(wide) & detect_positive) | (np.isneginf(wide) & detect_negative)


class Cast(Unary):
    """Elements converted to the type `to`: floats to integers truncate, anything not zero becomes true.

    Integers keep their low bits. A float beyond 32 bits (64 for types of 32 and 64 bits) goes to the nearest end of
    that range first, NaN to 0. To a float8 or float4 type, `saturate` takes what is out of range to the largest finite
    value instead of NaN or infinity; to float8_e8m0fnu, `round_mode` says how to round between powers of two.
    """

    name = "mm.cast"
    results = (Result("y", "@to"),)
    dtypes = {"T": ALL}
    attributes = (
        Attribute("to", DType),
        Attribute("saturate", bool, True),
        Attribute("round_mode", str, "up", ("up", "down", "nearest")),
    )

    def known(self, types: Any, values: Any, **attributes: Any) -> Any:
        to = attributes["to"]
        if to.name not in FOLLOWED:
            return None

        def convert(item: Any) -> Any:
            if isinstance(item, int):
                return bool(item) if to is bool_ else int(item)
            if to is bool_:
                return True if is_non_negative(item - 1) else None
            return item

        return combine(convert, values[0])

    def reference(self, x: Any, *, to: DType, saturate: bool, round_mode: str) -> Any:
        with np.errstate(all="ignore"):
            if to.kind == "string":
                return _to_text(x)
            if x.dtype == object:
                return _from_text(x, to)
            if x.dtype == to.numpy:
                return x
            if x.dtype.kind == "c" and to.kind not in ("complex", "bool"):
                x = x.real
            if to.name == "float8_e8m0fnu":
                return _to_power_of_two(x.astype(np.float32), saturate, round_mode).astype(to.numpy)
            if to.is_integer and as_dtype(x.dtype).is_float:
                return _to_integer(x, to)
            if to in SMALL_FLOATS and (saturate or to.name == "float4_e2m1fn"):
                return _saturated(x.astype(np.float32), to).astype(to.numpy)
            if x.dtype.kind == "V" and as_dtype(x.dtype).bits < 32:
                x = x.astype(np.float32)
            return x.astype(to.numpy)


def _saturated(x: Any, to: DType) -> Any:
    import ml_dtypes

    largest = np.float32(ml_dtypes.finfo(to.numpy).max)  # type: ignore[no-untyped-call]
    return np.where(np.isnan(x), np.nan, np.clip(x, -largest, largest))


def _to_integer(x: Any, to: DType) -> Any:
    """Floats towards zero, what does not fit to the ends of 32 or 64 bits, and of that the low bits."""
    numbers = np.trunc(x.astype(np.float64))
    top = 2.0 ** (64 if to.name == "uint64" else 63 if to.name in ("int64", "uint32") else 31)
    inside = np.where(numbers < top, numbers, 0)
    negative = np.maximum(np.minimum(inside, 0), -min(top, 2.0**63)).astype(np.int64).astype(np.uint64)
    whole = np.where(inside < 0, negative, np.maximum(inside, 0).astype(np.uint64))
    whole = np.where(numbers >= top, np.uint64(int(top) - 1), whole)
    return whole.astype(np.int64).astype(to.numpy)


def _to_power_of_two(x: Any, saturate: bool, round_mode: str) -> Any:
    """Magnitudes rounded to 2**k, k from -127 to 127; what is outside to the nearest of them, or to NaN."""
    mantissa, exponent = np.frexp(np.abs(x).astype(np.float64))
    lower = np.ldexp(0.5, exponent)
    up = {"up": mantissa > 0.5, "down": np.zeros_like(mantissa, bool), "nearest": mantissa >= 0.75}[round_mode]
    rounded = np.where((mantissa == 0) | np.isinf(x), np.abs(x), np.where(up, lower * 2, lower))
    bounded = np.clip(rounded, 2.0**-127, 2.0**127)
    return np.where(np.isnan(x) | (~np.bool_(saturate) & (rounded != bounded)), np.nan, bounded)


def _to_text(x: Any) -> Any:
    """Numbers as ONNX spells them: floats with the fewest digits that read back, NaN, INF and -INF."""

    def spell(item: Any) -> str:
        if x.dtype.kind in "biuO" or as_dtype(x.dtype).is_integer:
            return str(item) if x.dtype.kind in "bO" else str(int(item))
        special = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}
        text = str(item)
        return special.get(text, text)

    return np.asarray(np.frompyfunc(spell, 1, 1)(x), object)


def _from_text(x: Any, to: DType) -> Any:
    if to.is_float or to.kind == "complex":
        return x.astype(np.float64 if to.is_float else np.complex128).astype(to.numpy)
    items = [int(float(item)) if "." in item or "e" in item.lower() else int(item) for item in x.flat]
    return np.array(items, object).reshape(x.shape).astype(to.numpy)


class CastLike(OpDef):
    """x converted to the element type of `like`."""

    name = "mm.cast_like"
    operands = (Operand("x"), Operand("like", "L"))
    results = (Result("y", "L"),)
    dtypes = {"T": ALL, "L": ALL}
    attributes = Cast.attributes[1:]

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return types[0].shape

    def reference(self, x: Any, like: Any, **attributes: Any) -> Any:
        return Cast().reference(x, to=as_dtype(like.dtype), **attributes)

    def decompose(self, graph: Any, x: Any, like: Any, **attributes: Any) -> Any:
        return graph.cast(x, to=like.type.dtype, **attributes)


OPS: tuple[type[OpDef], ...] = (
    define(Unary, "neg", "-x.", np.negative, NUMERIC, known_function=lambda item: -item),
    define(Unary, "abs", "The magnitude of x.", np.abs, NUMERIC, known_function=_known_abs),
    define(
        Unary, "logical_not", "Not x.", np.logical_not, BOOL, known_function=lambda item: not item,
    ),
    define(Predicate, "is_nan", "Whether an element is NaN.", np.isnan, FLOATS | SMALL_FLOATS),
    IsInf,
    Cast,
    CastLike,
    *(define(Unary, name, summary, function, dtypes) for name, function, dtypes, summary in _FUNCTIONS),
    *(
        define(UnaryComposite, name, summary, function, dtypes, expand=expand)
        for name, function, dtypes, summary, expand in _COMPOSITES
    ),
)  # fmt: skip
