"""C of each element-wise operation: the one statement of what expressions can hold.

A `Template` is one overload of an operation. In it `{0}`, `{1}` ... are operands (names or literals, so that they may
be repeated), `{T}` is the scalar type of the result and `{U}` an unsigned type in which integer arithmetic wraps. The
vector form exists for what takes 32 bits a lane: float32, int32, booleans as masks and, where `bytes` says so, bytes;
the scalar form for every dtype that the overload names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Attribute = str | int | float | bool | None

C_TYPES: dict[str, str] = {
    "f32": "float", "f64": "double", "i1": "uint8_t",
    "i8": "int8_t", "i16": "int16_t", "i32": "int32_t", "i64": "int64_t",
    "ui8": "uint8_t", "ui16": "uint16_t", "ui32": "uint32_t", "ui64": "uint64_t",
}  # fmt: skip
"""The C type of each dtype that expressions know, by its text name."""

UNSIGNED_TYPES: dict[str, str] = {
    dtype: "uint64_t" if c_type.endswith("64_t") else "uint32_t" for dtype, c_type in C_TYPES.items()
}
"""The type that integer arithmetic of each dtype is done in: no narrower than what C promotes to."""

VECTOR_TYPES: dict[str, str] = {"f32": "mm_vf", "i32": "mm_vi", "i1": "mm_vi", "i8": "mm_vi", "ui8": "mm_vi"}

BYTE_RANGES: dict[str, tuple[int, int]] = {"i8": (-128, 127), "ui8": (0, 255)}
"""Bytes take a lane of 32 bits in a vector; only operations that keep to their range have a vector form for them."""

_FLOATS = ("f32", "f64")
_INTEGERS = tuple(name for name in C_TYPES if name not in (*_FLOATS, "i1"))
_NUMBERS = (*_FLOATS, *_INTEGERS)
_ALL = tuple(C_TYPES)


class Template(NamedTuple):
    """One overload: the dtypes its operands may have (all the same, a `select`'s condition apart) and its C."""

    dtypes: tuple[str, ...]
    scalar: str
    vector: str | None = None
    result: str | None = None  # dtype of the result where it is not the operands'
    bytes: bool = False  # whether the vector form also holds for operands or results of 8 bits


def _function(name: str) -> Template:
    """A function of the prelude. Scalars take one lane of it, so that both forms agree to the bit."""
    return Template(("f32",), f"mm_{name}(mm_splat({{0}}))[0]", f"mm_{name}({{0}})")


def _infix(operator: str, dtypes: tuple[str, ...]) -> Template:
    return Template(dtypes, f"({{T}})({{0}} {operator} {{1}})", f"({{0}} {operator} {{1}})")


def _arithmetic(operator: str) -> tuple[Template, ...]:
    """Integers wrap as in numpy, hence unsigned: overflow of signed ones is undefined in C."""
    integers = Template(
        _INTEGERS, f"({{T}})(({{U}}){{0}} {operator} ({{U}}){{1}})", f"(mm_vi)((mm_vu){{0}} {operator} (mm_vu){{1}})"
    )
    return _infix(operator, _FLOATS), integers


def _comparison(operator: str, dtypes: tuple[str, ...] = _NUMBERS) -> Template:
    code = f"({{0}} {operator} {{1}})"
    return Template(dtypes, code, code, "i1")


def _extreme(function: str, comparison: str) -> tuple[Template, ...]:
    """NaN in either operand gives NaN."""
    scalar = f"({{0}} {comparison} {{1}} || {{0}} != {{0}} ? {{0}} : {{1}})"
    return (
        Template(("f32",), scalar, f"{function}({{0}}, {{1}})"),
        Template(("i32",), scalar, f"mm_select_i({{0}} {comparison} {{1}}, {{0}}, {{1}})"),
        Template(_NUMBERS, scalar),
    )


def _same(code: str, dtypes: tuple[str, ...]) -> Template:
    return Template(dtypes, code, code)


_FIXED: dict[str, tuple[Template, ...]] = {
    "identity": (Template(_ALL, "{0}", "{0}", bytes=True),),
    "add": _arithmetic("+"),
    "sub": _arithmetic("-"),
    "mul": _arithmetic("*"),
    "div": (_infix("/", _FLOATS),),
    "neg": (_same("(-{0})", _FLOATS), Template(_INTEGERS, "({T})(0 - ({U}){0})", "(mm_vi)(-(mm_vu){0})")),
    "square": (_same("({0} * {0})", _FLOATS),
               Template(_INTEGERS, "({T})(({U}){0} * ({U}){0})", "(mm_vi)((mm_vu){0} * (mm_vu){0})")),
    "reciprocal": (_same("(1.0f / {0})", ("f32",)), _same("(1.0 / {0})", ("f64",))),
    "abs": (_function("abs"), Template(("f64",), "__builtin_fabs({0})"),
            Template(_INTEGERS, "({T})({0} < 0 ? 0 - ({U}){0} : ({U}){0})",
                     "mm_select_i({0} < 0, (mm_vi)(-(mm_vu){0}), {0})")),
    "sqrt": (_function("sqrt"), Template(("f64",), "__builtin_sqrt({0})")),
    "relu": (_function("relu"), Template(_NUMBERS, "({0} < 0 ? 0 : {0})")),
    "maximum": _extreme("mm_max", ">="),
    "minimum": _extreme("mm_min", "<="),
    "equal": (_comparison("==", _ALL),),
    "less": (_comparison("<"),),
    "less_or_equal": (_comparison("<="),),
    "greater": (_comparison(">"),),
    "greater_or_equal": (_comparison(">="),),
    "is_nan": (Template(_FLOATS, "({0} != {0})", "({0} != {0})", "i1"),),
    "logical_not": (Template(("i1",), "(!{0})", "(~{0})"),),
    "logical_and": (_infix("&", ("i1",)),),
    "logical_or": (_infix("|", ("i1",)),),
    "logical_xor": (_infix("^", ("i1",)),),
    "bitwise_not": (Template(_INTEGERS, "({T})(~{0})", "(~{0})"),),
    "bitwise_and": (_infix("&", _INTEGERS),),
    "bitwise_or": (_infix("|", _INTEGERS),),
    "bitwise_xor": (_infix("^", _INTEGERS),),
    "select": (
        Template(("f32",), "({0} ? {1} : {2})", "mm_select({0}, {1}, {2})"),
        Template(("i32", "i1"), "({0} ? {1} : {2})", "mm_select_i({0}, {1}, {2})"),
        Template(_NUMBERS, "({0} ? {1} : {2})"),
    ),
    **{
        name: (_function(name),)
        for name in (
            "sign", "floor", "ceil", "round", "exp", "log", "sin", "cos", "erf", "tanh", "sigmoid", "silu", "softplus",
        )
    },
}  # fmt: skip


def literal(value: float, dtype: str) -> str:
    """A constant of `dtype` in scalar C."""
    if dtype in _FLOATS:
        suffix = "f" if dtype == "f32" else ""
        with np.errstate(over="ignore"):
            value = float(np.float32(value)) if dtype == "f32" else float(value)
        if math.isnan(value):
            return f'__builtin_nan{suffix}("")'
        if math.isinf(value):
            return f"({'-' if value < 0 else ''}__builtin_inf{suffix}())"
        return f"({value!r}{suffix})"
    if dtype == "i1":
        return str(int(bool(value)))
    unsigned = "U" if dtype.startswith("ui") else ""
    return f"(({C_TYPES[dtype]}){unsigned}INT64_C({int(value)}))"


def vector_literal(value: float, dtype: str) -> str:
    """A constant of `dtype` in every lane."""
    if dtype == "f32":
        return f"mm_splat({literal(value, dtype)})"
    return f"mm_splat_i({-int(bool(value)) if dtype == 'i1' else int(value)})"


def _of_vector(vector: str) -> tuple[Template, ...]:
    """A float32 operation given by its vector form alone."""
    return (Template(("f32",), f"({vector.replace('{0}', 'mm_splat({0})')})[0]", vector),)


def _clip(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    vector = "{0}"
    for name, function in (("min", "mm_at_least"), ("max", "mm_at_most")):
        if (bound := attributes.get(name)) is not None:
            vector = f"{function}({vector}, mm_splat({literal(float(bound), 'f32')}))"
    return _of_vector(vector)


def _number(attributes: Mapping[str, Attribute], name: str, default: float) -> str:
    return literal(float(attributes.get(name) or 0.0) if name in attributes else default, "f32")


def _leaky_relu(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    alpha = _number(attributes, "alpha", 0.01)
    return _of_vector(f"mm_select({{0}} < 0, {{0}} * {alpha}, {{0}})")


def _elu(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    alpha = _number(attributes, "alpha", 1.0)
    return _of_vector(f"mm_select({{0}} < 0, {alpha} * mm_expm1({{0}}), {{0}})")


def _hard_sigmoid(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    alpha, beta = _number(attributes, "alpha", 0.2), _number(attributes, "beta", 0.5)
    return _of_vector(f"mm_unit_clip({{0}} * {alpha} + {beta})")


def _gelu(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    return (_function("gelu_tanh" if attributes.get("approximate") == "tanh" else "gelu"),)


def _is_inf(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    tests = [
        f"({{0}} == {sign}__builtin_inff())"
        for sign, name in (("", "detect_positive"), ("-", "detect_negative"))
        if attributes.get(name, True)
    ]
    code = f"({' | '.join(tests)})" if tests else "(0 & ({0} != {0}))"
    return (Template(_FLOATS, code, code, "i1"),)


def _cast(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    to = str(attributes["to"])
    if to not in C_TYPES:
        return ()
    if to == "i1":
        return (Template(_ALL, "({0} != 0)", "({0} != 0)", to),)
    vector = {
        ("f32", "f32"): "{0}", ("i32", "i32"): "{0}",
        ("f32", "i32"): "mm_to_int({0})",
        ("i32", "f32"): "__builtin_convertvector({0}, mm_vf)",
        ("i1", "f32"): "(mm_vf)({0} & (mm_vi)mm_splat(1.0f))",
        ("i1", "i32"): "({0} & 1)",
        **{(byte, "i32"): "{0}" for byte in BYTE_RANGES},
        **{(byte, "f32"): "__builtin_convertvector({0}, mm_vf)" for byte in BYTE_RANGES},
    }  # fmt: skip
    integers = {"i64": "mm_to_i64", "ui32": "mm_to_i64", "ui64": "mm_to_u64"}
    convert = "" if to in _FLOATS else integers.get(to, "mm_to_i32")
    return tuple(
        Template((dtype,), f"({{T}}){convert if dtype in _FLOATS else ''}({{0}})", vector.get((dtype, to)), to, True)
        for dtype in C_TYPES
    )


def _byte_limits(attributes: Mapping[str, Attribute]) -> str:
    """Zero point and limits of the byte `to`, as arguments of C."""
    low, high = BYTE_RANGES[str(attributes["to"])]
    return f"{int(attributes['zero_point'] or 0)}, {low}, {high}"


def _quantize(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    """What was divided by the scale, rounded, moved by `zero_point` and limited to the range of the byte `to`."""
    to = str(attributes["to"])
    if to not in BYTE_RANGES:
        return ()
    vector = f"mm_quantize({{0}}, {_byte_limits(attributes)})"
    return (Template(("f32",), f"(({{T}}){vector.replace('{0}', 'mm_splat({0})')}[0])", vector, to, True),)


def _lookup(attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    """A function of bytes to bytes of the dtype `to`, given by its `table`: 256 bytes in hexadecimal digits.

    An entry's place is its argument as an unsigned byte.
    """
    to = str(attributes["to"])
    table = "".join(f"\\x{byte:02x}" for byte in bytes.fromhex(str(attributes["table"])))
    entries = f'(const uint8_t*)"{table}"'
    vector = f"(mm_lookup({{0}}, {entries}) & 255)" if to == "ui8" else f"(mm_lookup({{0}}, {entries}) << 24 >> 24)"
    return (Template(tuple(BYTE_RANGES), f"({{T}})({entries})[(uint8_t){{0}}]", vector, to, True),)


_PARAMETRIC: dict[str, Callable[[Mapping[str, Attribute]], tuple[Template, ...]]] = {
    "cast": _cast,
    "clip": _clip,
    "elu": _elu,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda attributes: _of_vector("({0} * mm_unit_clip({0} * 0.166666667f + 0.5f))"),
    "is_inf": _is_inf,
    "leaky_relu": _leaky_relu,
    "quantize": _quantize,
}

# What stands for several operators, and is no operator itself.
_COMBINED: dict[str, Callable[[Mapping[str, Attribute]], tuple[Template, ...]]] = {
    "lookup": _lookup,
    "whole_steps": lambda attributes: _of_vector(f"mm_whole_steps({{0}}, {_byte_limits(attributes)})"),
}

# x ** y with a constant y. Infinities and signed zeros as C's pow.
_POWERS = {
    1.0: "{0}",
    2.0: "({0} * {0})",
    3.0: "({0} * {0} * {0})",
    4.0: "(({0} * {0}) * ({0} * {0}))",
    -1.0: "(1.0f / {0})",
    -2.0: "(1.0f / ({0} * {0}))",
    0.5: "mm_root({0})",
    -0.5: "(1.0f / mm_root({0}))",
}


def templates(op: str, attributes: Mapping[str, Attribute]) -> tuple[Template, ...]:
    """The overloads of an operation with these attributes, none if it is not known."""
    if made := _PARAMETRIC.get(op) or _COMBINED.get(op):
        return made(attributes)
    return _FIXED.get(op, ())


def power_templates(exponent: float) -> tuple[Template, ...]:
    """The overloads of `pow` with a constant exponent."""
    return _of_vector(_POWERS[exponent]) if exponent in _POWERS else ()


def operation_names() -> tuple[str, ...]:
    """Every operator that expressions can hold."""
    return tuple(sorted({*_FIXED, *_PARAMETRIC, "pow"}))
