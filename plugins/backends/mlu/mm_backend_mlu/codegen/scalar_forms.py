"""C of every element-wise operation for one element: what the scalar unit does where the vector unit cannot.

In a form `{0}`, `{1}` ... are operands, `{T}` the C type of the result and `{U}` an unsigned type in which integers
wrap. float16 is computed in float. Functions of `mm::` are in kernels/scalar.h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS, INTEGERS, Node, Number

_FLOAT = {name: name + "f({0})" for name in (
    "floor", "ceil", "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "erf", "trunc",
)} | {
    "abs": "fabsf({0})", "round": "rintf({0})", "neg": "(-{0})", "sign": "mm::sign({0})",
    "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})",
    "reciprocal": "(1.0f / {0})", "rsqrt": "(1.0f / sqrtf({0}))", "sigmoid": "(1.0f / (1.0f + expf(-{0})))",
    "pow": "powf({0}, {1})", "mod": "mm::modulo({0}, {1})", "fmod": "fmodf({0}, {1})",
    "maximum": "mm::larger({0}, {1})", "minimum": "mm::smaller({0}, {1})",
    "is_nan": "({0} != {0})", "quantize": "mm::quantized<{T}>({0}, {1}, {2})",
}  # fmt: skip
_INTEGER = {
    "add": "({T})(({U}){0} + ({U}){1})", "sub": "({T})(({U}){0} - ({U}){1})", "mul": "({T})(({U}){0} * ({U}){1})",
    "neg": "({T})(0 - ({U}){0})", "abs": "({T})({0} < 0 ? 0 - ({U}){0} : ({U}){0})",
    "sign": "({T})(({0} > 0) - ({0} < 0))",
    "div": "mm::quotient<{T}>({0}, {1})", "mod": "mm::modulo<{T}>({0}, {1})",
    "fmod": "mm::remainder<{T}>({0}, {1})", "pow": "mm::power<{T}>({0}, {1})",
    "maximum": "({0} > {1} ? {0} : {1})", "minimum": "({0} < {1} ? {0} : {1})",
    "bitwise_and": "({T})({0} & {1})", "bitwise_or": "({T})({0} | {1})", "bitwise_xor": "({T})({0} ^ {1})",
    "bitwise_not": "({T})(~{0})",
    "shift_left": "mm::shift_left<{T}>({0}, {1})", "shift_right": "mm::shift_right<{T}>({0}, {1})",
}  # fmt: skip
_BOOLEAN = {
    "logical_and": "({0} & {1})", "logical_or": "({0} | {1})", "logical_xor": "({0} ^ {1})", "logical_not": "(!{0})",
    "maximum": "({0} | {1})", "minimum": "({0} & {1})",
}  # fmt: skip
_ALL = {
    "equal": "({0} == {1})", "less": "({0} < {1})", "less_or_equal": "({0} <= {1})", "greater": "({0} > {1})",
    "greater_or_equal": "({0} >= {1})", "not_equal": "({0} != {1})", "select": "({0} ? {1} : {2})", "identity": "{0}",
}  # fmt: skip
FORMS: Mapping[str, Mapping[str, str]] = {
    **{name: {**_ALL, **_FLOAT} for name in FLOATS},
    **{name: {**_ALL, **_INTEGER} for name in INTEGERS},
    "i1": {**_ALL, **_BOOLEAN},
}


def value_type(dtype: str) -> str:
    """The C type in which the scalar unit holds a value of an element type."""
    return "float" if dtype in FLOATS else C_TYPES[dtype]


def literal(number: Number, dtype: str) -> str:
    """A constant in C, of the type in which the scalar unit holds it."""
    if dtype not in FLOATS:
        suffix = "ULL" if dtype == "ui64" else "LL"
        if int(number) == -(2**63):
            return f"({C_TYPES[dtype]})(-9223372036854775807LL - 1)"
        return f"({C_TYPES[dtype]})({int(number)}{suffix if abs(int(number)) >= 2**31 else ''})"
    value = float(number)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{value!r}f" if value >= 0 and math.copysign(1.0, value) > 0 else f"({value!r}f)"


def scalar_form(node: Node) -> str | None:
    """The form of a node; None where there is none."""
    if node.op == "cast":
        if node.result == "i1":
            return "({0} != 0)"
        if node.dtype in FLOATS and node.result not in FLOATS:
            return f"mm::to_integer<{C_TYPES[node.result]}>({{0}})"
        return f"({value_type(node.result)})({{0}})"
    if node.op == "is_inf" and node.dtype in FLOATS:
        tests = [f"{{0}} == {sign}INFINITY" for sign, wanted in zip(("-", ""), node.flags) if wanted]
        return f"({' || '.join(tests)})" if tests else "false"
    form = FORMS.get(node.dtype, {}).get(node.op)
    if form is None:
        return None
    wrapping = "uint64_t" if C_TYPES[node.result].endswith("64_t") else "uint32_t"
    return form.replace("{T}", C_TYPES[node.result]).replace("{U}", wrapping)
