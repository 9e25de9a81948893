"""Arithmetic, bitwise and logical operators of two operands: one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mm_core.ops import BOOL, INTEGERS, NUMERIC, OpDef, Operand, Trait
from mm_core.types import DType
from mm_ops_standard.elementwise import Elementwise, define
from mm_ops_standard.known import divide, floor_modulo, larger, smaller, truncated_modulo


class Binary(Elementwise):
    """An element-wise operator of two operands of one element type."""

    operands = (Operand("a"), Operand("b"))


def _divide(a: Any, b: Any) -> Any:
    """Integers truncate towards zero, as in C; a zero divisor gives zero."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)
    inexact = (quotient * b != a) & ((a < 0) != (b < 0)) & (b != 0)
    return quotient + inexact.astype(a.dtype)


def _power(a: Any, b: Any) -> Any:
    """Integers to a negative power truncate: zero, unless the base is 1 or -1."""
    if a.dtype.kind != "i":
        return np.power(a, b)
    inverse = np.where(np.abs(a) == 1, np.power(a, b & 1), 0)
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0))).astype(a.dtype)


def _known_power(a: Any, b: Any) -> Any:
    if not isinstance(b, int) or not 0 <= b <= 8:
        return None
    result = 1
    for _ in range(b):
        result = result * a
    return result


_ROWS: tuple[tuple[str, Callable[..., Any], frozenset[DType], str, bool, Callable[..., Any] | None], ...] = (
    # name, numpy function, element types, summary, commutative, on partially known integers
    ("add", np.add, NUMERIC, "a + b.", True, lambda a, b: a + b),
    ("sub", np.subtract, NUMERIC, "a - b.", False, lambda a, b: a - b),
    ("mul", np.multiply, NUMERIC, "a * b.", True, lambda a, b: a * b),
    ("div", _divide, NUMERIC, "a / b; integers truncate towards zero.", False, divide),
    ("pow", _power, NUMERIC, "a to the power b.", False, _known_power),
    ("mod", np.mod, NUMERIC, "The remainder of floor division: it has b's sign.", False, floor_modulo),
    ("fmod", np.fmod, NUMERIC, "The remainder of truncated division: it has a's sign.", False, truncated_modulo),
    ("maximum", np.maximum, NUMERIC, "The larger of a and b; NaN if either is.", True, larger),
    ("minimum", np.minimum, NUMERIC, "The smaller of a and b; NaN if either is.", True, smaller),
    ("logical_and", np.logical_and, BOOL, "a and b.", True, lambda a, b: a and b),
    ("logical_or", np.logical_or, BOOL, "a or b.", True, lambda a, b: a or b),
    ("logical_xor", np.logical_xor, BOOL, "Either a or b.", True, lambda a, b: a is not b),
    ("bitwise_and", np.bitwise_and, INTEGERS, "The bits set in both.", True, None),
    ("bitwise_or", np.bitwise_or, INTEGERS, "The bits set in either.", True, None),
    ("bitwise_xor", np.bitwise_xor, INTEGERS, "The bits set in one of the two.", True, None),
    ("shift_left", np.left_shift, INTEGERS, "a * 2**b modulo the width.", False, None),
    ("shift_right", np.right_shift, INTEGERS, "a shifted b bits down, keeping its sign.", False, None),
)

OPS: tuple[type[OpDef], ...] = tuple(
    define(
        Binary, name, summary, function, dtypes, known_function=known,
        traits=Elementwise.traits | ({Trait.COMMUTATIVE} if commutative else set()),
    )
    for name, function, dtypes, summary, commutative, known in _ROWS
)  # fmt: skip
