"""Checks that the definitions share. A broken rule is a VerifyError that says what was expected."""

from __future__ import annotations

import numpy as np

from mm_core.errors import InputError, VerifyError
from mm_core.types import Array, Dim, agree, provably_unequal


def require(condition: bool, what: str, *, remedy: str = "") -> None:
    """VerifyError(what) unless the condition holds."""
    if not condition:
        raise VerifyError(what, remedy=remedy)


def require_rank(op: str, operand: str, shape: tuple[Dim, ...], least: int, most: int | None = None) -> None:
    """The rank must be between `least` and `most`, without `most` exactly `least`."""
    most = least if most is None else most
    wanted = str(least) if least == most else f"{least} to {most}" if most < 1000 else f"at least {least}"
    require(least <= len(shape) <= most, f"{op}: {operand} must have rank {wanted}, its shape is {list(shape)}")


def require_square(op: str, shape: tuple[Dim, ...]) -> None:
    """The last two axes must hold square matrices."""
    require_rank(op, "x", shape, 2, 1000)
    same(shape[-2], shape[-1], f"{op}: rows and columns")


def require_bias(op: str, shape: tuple[Dim, ...] | None, channels: Dim) -> None:
    """A bias, if there is one, must have one element for each output channel."""
    if shape is not None:
        require_rank(op, "b", shape, 1)
        same(shape[0], channels, f"{op}: length of the bias and output channels")


def same(left: Dim, right: Dim, what: str) -> Dim:
    """The dimension that both are, guarded where only running can tell; VerifyError if they never agree."""
    if provably_unequal(left, right):
        raise VerifyError(f"{what} differ: {left} and {right}")
    try:
        return agree(left, right, what)
    except InputError as error:
        raise VerifyError(error.what) from None


def require_multiple(dim: Dim, divisor: int, what: str) -> None:
    """VerifyError(what) if the dimension is known not to be a multiple of the divisor."""
    rest = dim % divisor
    require(not isinstance(rest, int) or rest == 0, f"{what}: {dim} is not a multiple of {divisor}")


def checked_indices(op: str, indices: Array, size: int) -> Array:
    """Indices counted from the front; InputError for one outside [-size, size)."""
    if indices.size and (indices.min() < -size or indices.max() >= size):
        worst = indices.max() if indices.max() >= size else indices.min()
        raise InputError(f"{op}: index {worst} is outside an axis of {size} elements")
    return np.where(indices < 0, indices + size, indices)
