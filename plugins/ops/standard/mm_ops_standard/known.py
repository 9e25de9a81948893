"""Partially known integer tensors: elementwise functions over object arrays of ints, SymDims and None."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.ops import MAX_KNOWN_ELEMENTS, Partial
from mm_core.types import Dim, TensorType, dim_max, dim_min, floordiv, is_non_negative, mod

FOLLOWED = ("int32", "int64", "bool")
"""Element types whose values inference follows; an element of a bool tensor is True, False or None."""

_LEAST, _MOST = -(2**63), 2**63 - 1


def partial(items: Any, shape: tuple[int, ...]) -> Partial:
    """An object array of the shape from a flat list of elements."""
    array = np.empty(prod(shape), object)
    array[:] = items
    return array.reshape(shape)


def fits(shape: Any) -> bool:
    """Whether a shape is static and small enough for its elements to be followed."""
    return shape is not None and all(type(dim) is int for dim in shape) and prod(shape) <= MAX_KNOWN_ELEMENTS


def combine(function: Callable[..., Any], *partials: Partial | None, strict: bool = True) -> Partial | None:
    """`function` of the elements, broadcast. With `strict`, an unknown element makes the result's unknown."""
    known = [item for item in partials if item is not None]
    if len(known) < len(partials):
        return None
    shape = np.broadcast_shapes(*(item.shape for item in known))
    if not fits(shape):
        return None

    def checked(*items: Any) -> Any:
        if strict and any(item is None for item in items):
            return None
        try:
            result = function(*items)
        except InputError:  # Beyond what dimensions may be: unknown from here on.
            return None
        return None if isinstance(result, int) and not _LEAST <= result <= _MOST else result

    columns = zip(*(array.flat for array in np.broadcast_arrays(*known)))
    return partial([checked(*column) for column in columns], shape)


def elements(known: Partial) -> tuple[Any, ...]:
    """The elements in order: each an int, a SymDim, or None if unknown."""
    return tuple(known.flat)


def integers(known: Partial | None) -> tuple[int, ...] | None:
    """The elements as plain integers, or None if one is not."""
    items = None if known is None else elements(known)
    return None if items is None or not all(type(item) is int for item in items) else items


def dims(known: Partial | None, type_: Any) -> tuple[Dim | None, ...] | None:
    """Elements of a 1-D integer operand as dimensions; all unknown if only its length is known, else None."""
    if known is not None:
        return elements(known)
    length = type_.shape[0] if isinstance(type_, TensorType) and type_.shape else None
    return (None,) * length if isinstance(length, int) else None


def is_less(left: Dim, right: Dim) -> bool | None:
    """left < right where that is certain, symbols being sizes."""
    if is_non_negative(right - left - 1):
        return True
    return False if is_non_negative(left - right) else None


def is_equal(left: Dim, right: Dim) -> bool | None:
    """left == right where that is certain."""
    if left == right:
        return True
    return False if is_less(left, right) or is_less(right, left) else None


def smaller(left: Dim, right: Dim) -> Dim:
    """The smaller dimension, without a `min` where one is provably it."""
    if is_non_negative(right - left):
        return left
    return right if is_non_negative(left - right) else dim_min(left, right)


def larger(left: Dim, right: Dim) -> Dim:
    """The larger dimension, without a `max` where one is provably it."""
    if is_non_negative(right - left):
        return right
    return left if is_non_negative(left - right) else dim_max(left, right)


def divide(left: Dim, right: Dim) -> Dim | None:
    """Integer division that truncates, where the signs are known."""
    if right == 0:
        return None
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return floordiv(left, right) if is_non_negative(left) and is_non_negative(right) else None


def floor_modulo(left: Dim, right: Dim) -> Dim | None:
    """The remainder with the divisor's sign."""
    return None if right == 0 else mod(left, right)


def truncated_modulo(left: Dim, right: Dim) -> Dim | None:
    """The remainder with the dividend's sign, where the signs are known."""
    quotient = divide(left, right)
    return None if quotient is None else left - quotient * right
