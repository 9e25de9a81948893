"""Element-wise arithmetic, comparison, logic and casts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, Kind, as_value, cast, dtype
from mm_parser_torch.complexes import Complex
from mm_parser_torch.pointwise import pointwise
from mm_parser_torch.sizes import Size, expand, full, product, reshape, size_of, sizes_of
from mm_parser_torch.table import Family, Importer

FAMILY = Family()
op = FAMILY.op
_BOOL, _WIDE = BY_NAME["bool"], BY_NAME["float64"]
_TO_FLOAT = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "log", "reciprocal", "rsqrt",
    "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
)  # fmt: skip
_SAME = ("abs", "neg")
_ROUNDING = ("ceil", "floor", "round", "trunc")
_COMPARISONS = (
    ("eq", "equal"), ("ne", "not_equal"), ("lt", "less"), ("le", "less_or_equal"), ("gt", "greater"),
    ("ge", "greater_or_equal"),
)  # fmt: skip
_ERFC_STEPS = {32: 20, 64: 80}
"""Steps of the continued fraction that an element type's digits need from 1.5 on."""
_WINITZKI, _HALLEY_STEPS = 0.147, 3
_BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")


def _unary(name: str, kind: Kind) -> Importer:
    def build(g: Graph, call: Call, x: Value) -> Value:
        return pointwise(g, call, lambda x: g.op(f"mm.{name}", x), x, kind=kind, single=True)

    return build


def _rounding(name: str) -> Importer:
    def build(g: Graph, call: Call, x: Value) -> Value:
        return g.op(f"mm.{name}", x) if dtype(x).is_float else g.identity(x)  # type: ignore[no-any-return]

    return build


def binary(name: str, kind: Kind = Kind.DEFAULT) -> Importer:
    """One operator of two operands."""

    def build(g: Graph, call: Call, a: Any, b: Any) -> Value:
        return pointwise(g, call, lambda a, b: g.op(f"mm.{name}", a, b), a, b, kind=kind, single=True)

    return build


def _number_of_two(name: str) -> Importer:
    """The larger or smaller one; beside NaN, the other."""

    def build(g: Graph, call: Call, a: Any, b: Any) -> Value:
        def choose(a: Value, b: Value) -> Any:
            found = g.op(f"mm.{name}", a, b)
            return g.select(g.is_nan(a), b, g.select(g.is_nan(b), a, found)) if dtype(a).is_float else found

        return pointwise(g, call, choose, a, b)

    return build


def _compare(name: str) -> Importer:
    def build(g: Graph, call: Call, a: Any, b: Any) -> Value:
        return pointwise(g, call, lambda a, b: g.op(f"mm.{name}", a, b), a, b, kind=Kind.ALWAYS_BOOL)

    return build


def _logic(name: str) -> Importer:
    def build(g: Graph, call: Call, *operands: Any) -> Any:
        return g.op(f"mm.{name}", *(as_value(g, operand, _BOOL) for operand in operands))

    return build


for _name in _TO_FLOAT:
    op(_name)(_unary(_name, Kind.INT_TO_FLOAT))
for _name in _SAME:
    op(_name)(_unary(_name, Kind.DEFAULT))
op("_neg_view")(_unary("neg", Kind.DEFAULT))
for _name in _ROUNDING:
    op(_name)(_rounding(_name))
for _name, _ours in _COMPARISONS:
    op(f"{_name}.Tensor", f"{_name}.Scalar")(_compare(_ours))
for _name in _BITS:
    op(f"{_name}.Tensor", f"{_name}.Scalar", f"{_name}.Scalar_Tensor")(binary(_name))
for _name in ("logical_and", "logical_or", "logical_xor", "logical_not"):
    op(_name)(_logic(_name))
for _name in ("maximum", "minimum"):
    op(_name)(binary(_name))
for _name, _ours in (("fmax", "maximum"), ("fmin", "minimum")):
    op(_name)(_number_of_two(_ours))
op("mul.Tensor", "mul.Scalar")(binary("mul"))
op("fmod.Tensor", "fmod.Scalar")(binary("fmod"))
op("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")(binary("mod"))


@op("sign", "sgn")
def sign(g: Graph, call: Call, x: Value) -> Value:
    """-1, 0 or 1; PyTorch counts NaN as 0."""

    def build(x: Value) -> Any:
        return g.select(g.is_nan(x), 0.0, g.sign(x)) if dtype(x).is_float else g.sign(x)

    return pointwise(g, call, build, x)


@op("add.Tensor", "add.Scalar")
def add(g: Graph, call: Call, a: Any, b: Any, alpha: Any) -> Value:
    return _sum(g, call, "add", a, b, alpha)


@op("sub.Tensor", "sub.Scalar")
def sub(g: Graph, call: Call, a: Any, b: Any, alpha: Any) -> Value:
    return _sum(g, call, "sub", a, b, alpha)


@op("rsub.Tensor", "rsub.Scalar")
def rsub(g: Graph, call: Call, a: Any, b: Any, alpha: Any) -> Value:
    return _sum(g, call, "sub", b, a, alpha)


def _sum(g: Graph, call: Call, name: str, a: Any, b: Any, alpha: Any) -> Value:
    if not isinstance(alpha, Value) and alpha == 1:
        return binary(name)(g, call, a, b)  # type: ignore[no-any-return]

    def build(a: Value, b: Value) -> Any:
        return g.op(f"mm.{name}", a, g.mul(b, as_value(g, alpha, dtype(b))))

    return pointwise(g, call, build, a, b)


@op("div.Tensor", "div.Scalar", "true_divide.Tensor", "true_divide.Scalar")
def div(g: Graph, call: Call, a: Any, b: Any) -> Value:
    return binary("div", Kind.INT_TO_FLOAT)(g, call, a, b)  # type: ignore[no-any-return]


@op("div.Tensor_mode", "div.Scalar_mode")
def div_mode(g: Graph, call: Call, a: Any, b: Any, mode: str | None) -> Value:
    if mode is None:
        return div(g, call, a, b)  # type: ignore[no-any-return]
    if mode == "trunc" and call.dtype().is_float:
        # PyTorch rounds the quotient of halves to a half first.
        quotient = binary("div")(g, call, a, b)
        return g.trunc(quotient)  # type: ignore[no-any-return]
    return pointwise(g, call, lambda a, b: g.div(a, b) if mode == "trunc" else _floored(g, a, b), a, b)


@op("floor_divide", "floor_divide.Scalar")
def floor_divide(g: Graph, call: Call, a: Any, b: Any) -> Value:
    return pointwise(g, call, lambda a, b: _floored(g, a, b), a, b)


def _floored(g: Graph, a: Value, b: Value) -> Any:
    """Floats as Python divides them: from the exact remainder, so that 1 // 0.1 is 9."""
    if not dtype(a).is_float:
        return g.div(g.sub(a, g.mod(a, b)), b) if dtype(a).kind == "signed" else g.div(a, b)
    near = g.div(g.sub(a, g.mod(a, b)), b)
    floor = g.floor(near)
    exact = g.select(g.greater(g.sub(near, floor), 0.5), g.add(floor, 1.0), floor)
    return g.select(g.equal(b, 0.0), g.div(a, b), exact)


# --- powers, exponentials, angles -------------------------------------------------------------------------------------


@op("pow.Tensor_Scalar")
def pow_scalar(g: Graph, call: Call, x: Value, exponent: Any) -> Any:
    powers: dict[Any, Any] = {
        0.5: g.sqrt, -0.5: g.rsqrt, 2: g.square, -1: g.reciprocal, 1: g.identity,
        3: lambda x: g.mul(g.square(x), x), -2: lambda x: g.reciprocal(g.square(x)),
    }  # fmt: skip
    simple = None if isinstance(exponent, Value) else powers.get(exponent)
    if simple is not None and call.dtype().is_float:
        return pointwise(g, call, lambda x, _: simple(x), x, exponent)
    return pow_tensor(g, call, x, exponent)


@op("pow.Tensor_Tensor", "pow.Scalar")
def pow_tensor(g: Graph, call: Call, base: Any, exponent: Any) -> Value:
    return pointwise(g, call, lambda a, b: g.pow(a, b), base, exponent)


@op("exp2")
def exp2(g: Graph, call: Call, x: Value) -> Value:
    return pointwise(g, call, lambda x: g.pow(as_value(g, 2.0, dtype(x)), x), x, kind=Kind.INT_TO_FLOAT)


@op("erfc", "special_erfc")
def erfc(g: Graph, call: Call, x: Value) -> Value:
    """1 - erf(x) up to 1.5; beyond, e^(-x^2) over a continued fraction, whose digits do not cancel."""

    def build(x: Value) -> Any:
        size = g.maximum(x, 1.5)
        tail = size
        for step in range(_ERFC_STEPS[dtype(x).bits], 0, -1):
            tail = g.add(size, g.div(as_value(g, step / 2, dtype(x)), tail))
        far = g.div(g.exp(g.neg(g.square(size))), g.mul(tail, math.sqrt(math.pi)))
        return g.select(g.greater(x, 1.5), far, g.sub(1.0, g.erf(x)))

    return pointwise(g, call, build, x, kind=Kind.INT_TO_FLOAT)


@op("erfinv")
def erfinv(g: Graph, call: Call, x: Value) -> Value:
    """A first guess by logarithms (Winitzki's), then Halley's steps on erf."""

    def build(x: Value) -> Any:
        def number(value: float) -> Value:
            return as_value(g, value, dtype(x))

        size = g.abs(x)
        tail = g.log(g.mul(g.sub(1.0, size), g.add(1.0, size)))
        middle = g.add(g.mul(tail, 0.5), number(2 / (math.pi * _WINITZKI)))
        y = g.sqrt(g.sub(g.sqrt(g.sub(g.square(middle), g.div(tail, _WINITZKI))), middle))
        for _ in range(_HALLEY_STEPS):
            wrong = g.div(g.sub(g.erf(y), size), g.mul(g.exp(g.neg(g.square(y))), 2 / math.sqrt(math.pi)))
            y = g.sub(y, g.div(wrong, g.add(g.mul(y, wrong), 1.0)))
        y = g.select(g.equal(size, 1.0), math.inf, y)
        return g.select(g.less(x, 0.0), g.neg(y), y)

    wide = as_value(g, x, _WIDE)
    return cast(g, build(wide), call.dtype())


@op("expm1")
def expm1(g: Graph, call: Call, x: Value) -> Value:
    """Kahan's way to keep the digits near zero: (e^x - 1) * (x / log(e^x))."""

    def build(x: Value) -> Any:
        power = g.exp(x)
        less = g.sub(power, 1.0)
        exact = g.mul(less, g.div(x, g.log(power)))
        far = g.logical_or(g.equal(less, -1.0), g.is_inf(power))
        return g.select(g.equal(power, 1.0), x, g.select(far, less, exact))

    return pointwise(g, call, build, x, kind=Kind.INT_TO_FLOAT)


@op("log1p")
def log1p(g: Graph, call: Call, x: Value) -> Value:
    """log(u) * x / (u - 1) for u = 1 + x, which undoes the rounding of u."""

    def build(x: Value) -> Any:
        u = g.add(x, 1.0)
        exact = g.div(g.mul(g.log(u), x), g.sub(u, 1.0))
        return g.select(g.equal(u, 1.0), x, g.select(g.is_inf(u), g.log(u), exact))

    return pointwise(g, call, build, x, kind=Kind.INT_TO_FLOAT)


@op("log2")
def log2(g: Graph, call: Call, x: Value) -> Value:
    return pointwise(g, call, lambda x: g.mul(g.log(x), 1 / math.log(2)), x, kind=Kind.INT_TO_FLOAT)


@op("log10")
def log10(g: Graph, call: Call, x: Value) -> Value:
    return pointwise(g, call, lambda x: g.mul(g.log(x), 1 / math.log(10)), x, kind=Kind.INT_TO_FLOAT)


@op("atan2")
def atan2(g: Graph, call: Call, y: Any, x: Any) -> Value:
    """The angle of (x, y) by the quotient that is at most 1, then by octant, half and sign."""

    def build(y: Value, x: Value) -> Any:
        up, across = g.abs(y), g.abs(x)
        small, large = g.minimum(up, across), g.maximum(up, across)
        quotient = g.select(
            g.equal(small, large), g.select(g.equal(large, 0.0), large, as_value(g, 1.0, dtype(x))), g.div(small, large)
        )
        quotient = g.select(g.logical_or(g.is_nan(x), g.is_nan(y)), math.nan, quotient)
        angle = g.atan(quotient)
        right, straight = (as_value(g, number, dtype(x)) for number in (math.pi / 2, math.pi))
        angle = g.select(g.greater(up, across), g.sub(right, angle), angle)
        angle = g.select(is_negative(g, x), g.sub(straight, angle), angle)
        return g.select(is_negative(g, y), g.neg(angle), angle)

    return pointwise(g, call, build, y, x, kind=Kind.INT_TO_FLOAT)


def is_negative(g: Graph, x: Value) -> Any:
    """Whether the sign bit is set; that of a zero shows in its reciprocal."""
    if not dtype(x).is_float:
        return g.less(x, 0)
    return g.logical_or(g.less(x, 0.0), g.logical_and(g.equal(x, 0.0), g.less(g.reciprocal(x), 0.0)))


@op("signbit")
def signbit(g: Graph, call: Call, x: Value) -> Any:
    return g.not_equal(x, x) if dtype(x) is _BOOL else is_negative(g, x)


@op("copysign.Tensor", "copysign.Scalar")
def copysign(g: Graph, call: Call, size: Any, sign: Any) -> Value:
    def build(size: Value, sign: Value) -> Any:
        return g.select(is_negative(g, sign), g.neg(g.abs(size)), g.abs(size))

    return pointwise(g, call, build, size, sign, kind=Kind.INT_TO_FLOAT)


@op("hypot")
def hypot(g: Graph, call: Call, x: Value, y: Value) -> Value:
    return pointwise(g, call, lambda x, y: length(g, x, y), x, y)


def length(g: Graph, x: Value, y: Value) -> Any:
    """sqrt(x * x + y * y), scaled by the larger of both so that squares neither overflow nor vanish; of inf, inf."""
    left, right = g.abs(x), g.abs(y)
    large, small = g.maximum(left, right), g.minimum(left, right)
    ratio = g.select(g.equal(large, small), g.cast(g.not_equal(large, 0.0), to=dtype(x)), g.div(small, large))
    found = g.mul(large, g.sqrt(g.add(g.square(ratio), 1.0)))
    return g.select(g.logical_or(g.is_inf(x), g.is_inf(y)), math.inf, found)


# --- choice, predicates, bits -----------------------------------------------------------------------------------------


@op("where.self")
def where(g: Graph, call: Call, condition: Value, a: Any, b: Any) -> Any:
    result = call.dtype()
    return g.select(cast(g, condition, _BOOL), as_value(g, a, result), as_value(g, b, result))


@op("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(g: Graph, call: Call, x: Value, mask: Value, value: Any) -> Any:
    result = call.dtype()
    return g.select(cast(g, mask, _BOOL), as_value(g, value, result), cast(g, x, result))


@op("clamp", "clamp.Tensor")
def clamp(g: Graph, call: Call, x: Value, low: Any, high: Any) -> Value:
    operands = [operand for operand in (x, low, high) if operand is not None]

    def build(x: Value, *limits: Value) -> Any:
        found = iter(limits)
        if low is not None:
            x = g.maximum(x, next(found))
        return x if high is None else g.minimum(x, next(found))

    def clip(x: Value, *limits: Value) -> Any:
        found = iter(limits)
        return g.clip(x, None if low is None else next(found), None if high is None else next(found))

    numbers = all(low_or_high is None or call.is_number(low_or_high) for low_or_high in (low, high))
    return pointwise(g, call, clip if numbers else build, *operands)


@op("isnan")
def isnan(g: Graph, call: Call, x: Value) -> Any:
    return g.is_nan(x) if dtype(x).is_float else g.not_equal(x, x)


@op("isinf")
def isinf(g: Graph, call: Call, x: Value) -> Any:
    return g.is_inf(x) if dtype(x).is_float else g.not_equal(x, x)


@op("bitwise_not")
def bitwise_not(g: Graph, call: Call, x: Value) -> Any:
    return g.logical_not(x) if dtype(x) is _BOOL else g.bitwise_not(x)


for _name, _short, _ours in (("left", "lshift", "shift_left"), ("right", "rshift", "shift_right")):
    op(
        *(f"bitwise_{_name}_shift.{overload}" for overload in ("Tensor", "Tensor_Scalar", "Scalar_Tensor")),
        *(f"__{_short}__.{overload}" for overload in ("Tensor", "Scalar")),
    )(binary(_ours))


# --- copies and casts -------------------------------------------------------------------------------------------------


@op("round.decimals")
def round_decimals(g: Graph, call: Call, x: Value, decimals: int) -> Any:
    """Scaled, rounded and scaled back; a negative number of digits divides first."""
    if not dtype(x).is_float:
        return g.identity(x)
    scale = 10.0 ** abs(decimals)
    if decimals < 0:
        return pointwise(g, call, lambda x: g.mul(g.round(g.div(x, scale)), scale), x)
    return pointwise(g, call, lambda x: g.div(g.round(g.mul(x, scale)), scale), x)


@op("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "lift_fresh")
def same(g: Graph, call: Call, x: Value, *ignored: Any) -> Any:
    return g.identity(x)


@op("_to_copy", "to.dtype", "to.dtype_layout", "prims.convert_element_type.default")
def to_copy(g: Graph, call: Call, x: Value, *ignored: Any) -> Any:
    if call.examples[0].dtype.is_complex:
        return Complex(cast(g, x, call.dtype()), full(g, as_value(g, 0, call.dtype()), sizes_of(g, x)))
    return cast(g, x, call.dtype()) if dtype(x) is not call.dtype() else g.identity(x)


@op("resize_", "resize")
def resize(g: Graph, call: Call, x: Value, sizes: Sequence[Size]) -> Any:
    """The first elements in another shape; further ones, which PyTorch leaves to chance, are zero."""
    flat = g.reshape(x, [-1])
    wanted, have = product(g, sizes), size_of(g, flat, 0)
    if not isinstance(wanted, int) or not isinstance(have, int):
        raise call.unsupported("the sizes must be known")
    kept = g.slice(flat, [0], [wanted], [0]) if wanted < have else g.pad(flat, [0, wanted - have])
    return reshape(g, kept, sizes)


@op("copy")
def copy(g: Graph, call: Call, x: Value, source: Value) -> Any:
    return expand(g, cast(g, source, dtype(x)), sizes_of(g, x))
