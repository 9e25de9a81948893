"""Reductions and running sums on the emulated device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mlu_networks import check, floats, integers

FOLDS = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 5, 7), (1,)), ((3, 5, 7), (2,)), ((3, 5, 7), (0, 2)), ((3, 5, 7), None), ((5,), (0,)), ((3, 4), ()),
        ((70, 1000), (1,)), ((2, 5000), (1,)), ((1000, 70), (0,)), ((2, 40, 6, 6), (2, 3)),
    ],
)  # fmt: skip
def test_floats(shape: tuple[int, ...], axes: tuple[int, ...] | None, dtype: Any) -> None:
    """By rows and by columns, in one chunk and in several; NaN is found."""
    x = floats(*shape, dtype=dtype)
    x.reshape(-1)[3 % x.size] = np.nan
    y = (1 + floats(*shape) / 32).astype(dtype)  # products of many numbers stay within range

    def build(n: Any, x: Any, y: Any) -> list[Any]:
        kept = [getattr(n, name)(x, axes=axes) for name in FOLDS]
        return [*kept, *(getattr(n, name)(y, axes=axes, keepdims=False) for name in FOLDS)]

    check(build, x, y, tolerances=(2e-3, 1e-3) if dtype is np.float32 else (1e-2, 2e-2))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_whole_numbers(dtype: Any) -> None:
    names = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod")

    def build(n: Any, x: Any) -> list[Any]:
        return [getattr(n, name)(x, axes=axes) for name in names for axes in ((0,), (2,), (0, 2), None)]

    check(build, integers(3, 5, 7, low=0, high=5, dtype=dtype))


def test_truth_values() -> None:
    x = integers(4, 9, low=0, high=2, dtype=np.bool_)
    check(lambda n, x: [n.reduce_max(x, axes=(1,)), n.reduce_min(x, axes=(0,))], x)


def test_positions() -> None:
    """The first and the last of equals; NaN is an extreme."""
    x = np.round(floats(3, 5, 7))
    x[1, 2] = np.nan

    def build(n: Any, x: Any, y: Any, long: Any) -> list[Any]:
        ways = [(name, axis, last) for name in ("argmax", "argmin") for axis in range(3) for last in (True, False)]
        made = [getattr(n, name)(x, axis=axis, select_last_index=last) for name, axis, last in ways]
        return [*made, n.argmax(y, axis=1, keepdims=False), n.argmin(long, axis=1), n.argmax(long, axis=0)]

    check(build, x, integers(3, 9), floats(3, 5000))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_running_sums(dtype: Any) -> None:
    ways = [(axis, exclusive, reverse) for axis in (0, 1) for exclusive in (True, False) for reverse in (True, False)]
    x = (integers(30, 50, low=-3, high=3) / 4).astype(dtype)
    check(lambda n, x: [n.cumsum(x, axis=a, exclusive=e, reverse=r) for a, e, r in ways], x)


def test_an_axis_longer_than_a_tile() -> None:
    check(lambda n, x: [n.cumsum(x, axis=0, reverse=True), n.reduce_sum(x)], integers(200000, dtype=np.int32))
