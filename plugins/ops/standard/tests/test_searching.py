"""Searching, against ONNX Runtime and numpy."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(9)
X = RNG.standard_normal((4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "x",
    [
        np.round(X),
        X > 0,
        np.zeros((2, 2), np.int32),
        np.round(X).astype(np.int8),
        np.array([0.0, -0.0, np.nan, np.inf, 1e-42], np.float32),
        np.zeros((3, 0), np.float32),
    ],
)
def test_nonzero_is_onnxs(reference: Any, run_onnx: Any, x: Any) -> None:
    np.testing.assert_array_equal(reference("mm.nonzero", x), np.stack(np.nonzero(x)))
    if x.dtype != np.int8:
        np.testing.assert_array_equal(reference("mm.nonzero", x), run_onnx("NonZero", x))
    opcheck("mm.nonzero", [x])


def test_nonzero_of_a_scalar(reference: Any) -> None:
    # ONNX gives a scalar no rows, ONNX Runtime gives it one.
    for x, count in ((np.array(3.0), 1), (np.array(0), 0), (np.array(True), 1)):
        assert reference("mm.nonzero", x).shape == (0, count)
        opcheck("mm.nonzero", [x])


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_compress_is_onnxs(reference: Any, run_onnx: Any, axis: int | None) -> None:
    attributes = {} if axis is None else {"axis": axis}
    for keep in ([True, False, True], [False] * 4, [True]):
        condition = np.array(keep)
        wanted = run_onnx("Compress", X, condition, **attributes)
        np.testing.assert_array_equal(reference("mm.compress", X, condition, axis=axis), wanted)
        opcheck("mm.compress", [X, condition], {"axis": axis})


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_is_onnxs(reference: Any, run_onnx: Any, axis: int | None, is_sorted: bool) -> None:
    x = np.array([[3, 1, 1], [3, 1, 1], [0, 7, 0]], np.float32)
    attributes = {} if axis is None else {"axis": axis}
    wanted = run_onnx("Unique", x, outputs=4, sorted=int(is_sorted), **attributes)
    for mine, theirs in zip(reference("mm.unique", x, axis=axis, sorted=is_sorted), wanted):
        np.testing.assert_array_equal(mine, theirs)
    opcheck("mm.unique", [x], {"axis": axis, "sorted": is_sorted})


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, ml_dtypes.bfloat16, np.float64])
def test_unique_of_every_kind(dtype: Any, axis: int | None, is_sorted: bool) -> None:
    x = RNG.integers(0, 3, (5, 2, 3)).astype(dtype)
    opcheck("mm.unique", [x], {"axis": axis, "sorted": is_sorted})


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_of_odd_numbers(reference: Any, axis: int | None) -> None:
    """A NaN equals nothing and comes last, zeros of both signs are equal."""
    x = np.array([[np.nan, 0.0, -0.0], [np.nan, 1.0, 1.0], [-np.inf, 0.0, np.inf]], np.float32)
    for is_sorted in (False, True):
        opcheck("mm.unique", [x], {"axis": axis, "sorted": is_sorted})
    if axis is None:
        y, first, inverse, counts = reference("mm.unique", x)
        np.testing.assert_array_equal(y, np.float32([-np.inf, 0, 1, np.inf, np.nan, np.nan]))
        assert first.tolist() == [6, 1, 4, 8, 0, 3]
        assert inverse.tolist() == [4, 1, 1, 5, 2, 2, 0, 1, 3]
        assert counts.tolist() == [1, 3, 2, 1, 1, 1]


@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((0, 3), 0), ((0, 3), None), ((1,), None), ((), None)])
def test_unique_of_little(shape: tuple[int, ...], axis: int | None) -> None:
    for is_sorted in (False, True):
        opcheck("mm.unique", [np.zeros(shape, np.float32)], {"axis": axis, "sorted": is_sorted})


def test_searching_refuses() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises(mm.VerifyError, match="rank 1"):
        network.compress(x, np.ones((2, 2), np.bool_))
    with pytest.raises(mm.VerifyError, match="axis 3 is outside"):
        network.unique(x, axis=3)
