"""BANG C of the element-wise operations that the vector unit does: the one statement of what it can.

A form is looked up by operation and by how its operands lie: `t` a tile, `s` a scalar, `c` a vector that repeats every
`{m}` elements. In it `{d}` is the result's tile, `{0}`, `{1}` ... the operands, `{n}` the number of elements, `{x}`,
`{y}`, `{z}` scratch tiles and `{T}` the type of elements. Functions of `mm::` are in kernels/vector.h.

Truth values lie in tiles of the type beside them as 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """`code` are statements; `scratch` is how many scratch tiles they use. One that is `wide` computes in float only.

    One that is `in_place` may write its result over an operand.
    """

    code: str
    scratch: int = 0
    wide: bool = False
    in_place: bool = True


def _binary(name: str) -> Form:
    return Form(f"__bang_{name}({{d}}, {{0}}, {{1}}, {{n}});")


def _with_scalar(name: str) -> Form:
    return Form(f"__bang_{name}_scalar({{d}}, {{0}}, {{1}}, {{n}});")


def _cycle(name: str) -> Form:
    return Form(f"__bang_cycle_{name}({{d}}, {{0}}, {{1}}, {{n}}, {{m}});")


def _comparison(op: str, name: str) -> dict[tuple[str, str], Form]:
    return {(op, "tt"): _binary(name), (op, "ts"): _with_scalar(name)}


FORMS: dict[tuple[str, str], Form] = {
    ("add", "tt"): _binary("add"), ("add", "ts"): _with_scalar("add"), ("add", "tc"): _cycle("add"),
    ("mul", "tt"): _binary("mul"), ("mul", "ts"): _with_scalar("mul"), ("mul", "tc"): _cycle("mul"),
    ("sub", "tt"): _binary("sub"), ("sub", "ts"): _with_scalar("sub"),
    ("sub", "st"): Form(
        "__bang_mul_scalar({d}, {1}, ({T})-1, {n});\n__bang_add_scalar({d}, {d}, {0}, {n});",
    ),
    ("div", "tt"): Form("__bang_active_reciphp({x}, {1}, {n});\n__bang_mul({d}, {0}, {x}, {n});", 1, wide=True),
    ("div", "st"): Form("__bang_active_reciphp({d}, {1}, {n});\n__bang_mul_scalar({d}, {d}, {0}, {n});", wide=True),
    ("reciprocal", "t"): Form("__bang_active_reciphp({d}, {0}, {n});", wide=True),
    ("maximum", "tt"): _binary("maxequal"), ("maximum", "ts"): _with_scalar("maxeq"),
    ("minimum", "tt"): _binary("minequal"), ("minimum", "ts"): _with_scalar("mineq"),
    ("neg", "t"): Form("__bang_mul_scalar({d}, {0}, ({T})-1, {n});"),
    ("abs", "t"): Form("__bang_active_abs({d}, {0}, {n});"),
    ("exp", "t"): Form("__bang_active_exphp({d}, {0}, {n});", wide=True),
    ("sigmoid", "t"): Form("__bang_active_sigmoid({d}, {0}, {n});", wide=True),
    ("tanh", "t"): Form("mm::vector_tanh({d}, {0}, {x}, {n});", 1, wide=True, in_place=False),
    ("erf", "t"): Form("mm::vector_erf({d}, {0}, {x}, {y}, {n});", 2, wide=True, in_place=False),
    **_comparison("equal", "eq"), **_comparison("not_equal", "ne"), **_comparison("less", "lt"),
    **_comparison("less_or_equal", "le"), **_comparison("greater", "gt"), **_comparison("greater_or_equal", "ge"),
    ("is_nan", "t"): Form("__bang_ne({d}, {0}, {0}, {n});"),
    ("logical_and", "tt"): _binary("mul"),
    ("logical_or", "tt"): _binary("maxequal"),
    ("logical_xor", "tt"): _binary("ne"),
    ("logical_not", "t"): Form("__bang_eq_scalar({d}, {0}, ({T})0, {n});"),
    ("select", "ttt"): Form("mm::vector_select({d}, {0}, {1}, {2}, {x}, {y}, {n});", 2, in_place=False),
    ("truth", "t"): Form("__bang_ne_scalar({d}, {0}, ({T})0, {n});"),
}  # fmt: skip
"""`truth` is a cast to bool."""

SWAPPED = {
    "add": "add", "mul": "mul", "maximum": "maximum", "minimum": "minimum", "equal": "equal",
    "not_equal": "not_equal", "less": "greater", "less_or_equal": "greater_or_equal", "greater": "less",
    "greater_or_equal": "less_or_equal", "logical_and": "logical_and", "logical_or": "logical_or",
    "logical_xor": "logical_xor",
}  # fmt: skip
"""What an operation of two operands is with its operands exchanged."""
