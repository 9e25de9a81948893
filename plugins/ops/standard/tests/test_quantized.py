"""Quantized products against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(12)


def scalar(value: float, dtype: Any = np.float32) -> Any:
    return np.array(value, dtype)


def bytes_of(dtype: Any, *shape: int) -> Any:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max + 1, shape).astype(dtype)


def test_matmul(reference: Any, run_onnx: Any) -> None:
    a, b = bytes_of(np.uint8, 2, 4, 6), bytes_of(np.int8, 6, 5)
    inputs = [
        a, scalar(0.02), scalar(100, np.uint8), b, scalar(0.03), scalar(3, np.int8), scalar(0.5), scalar(128, np.uint8),
    ]  # fmt: skip
    np.testing.assert_array_equal(reference("mm.qlinear_matmul", *inputs), run_onnx("QLinearMatMul", *inputs))
    opcheck("mm.qlinear_matmul", inputs)


def test_matmul_by_row_and_column(reference: Any) -> None:
    a, b = bytes_of(np.uint8, 4, 6), bytes_of(np.int8, 6, 5)
    rows, columns = (np.arange(1, count + 1).astype(np.float32) / 64 for count in (4, 5))
    inputs = [
        a, rows, np.arange(4).astype(np.uint8), b, columns, np.arange(5).astype(np.int8), scalar(4), scalar(0, np.int8),
    ]  # fmt: skip
    exact = (a.astype(float) - np.arange(4)[:, None]) * rows[:, None] @ ((b.astype(float) - np.arange(5)) * columns)
    np.testing.assert_array_equal(reference("mm.qlinear_matmul", *inputs), np.clip(np.rint(exact / 4), -128, 127))
    opcheck("mm.qlinear_matmul", inputs)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_conv(reference: Any, run_onnx: Any, per_channel: bool, with_bias: bool) -> None:
    x, w = bytes_of(np.uint8, 1, 4, 7, 6), bytes_of(np.int8, 6, 2, 3, 3)
    w_scale = (np.arange(1, 7) / 100).astype(np.float32) if per_channel else scalar(0.03)
    w_zero = np.zeros(6, np.int8) if per_channel else scalar(0, np.int8)
    inputs = [x, scalar(0.02), scalar(120, np.uint8), w, w_scale, w_zero, scalar(0.3), scalar(128, np.uint8)]
    if with_bias:
        inputs.append(RNG.integers(-2000, 2000, 6).astype(np.int32))
    geometry = {"strides": (2, 1), "pads": (1, 1, 1, 1), "group": 2}
    wanted = run_onnx("QLinearConv", *inputs, strides=[2, 1], pads=[1, 1, 1, 1], group=2)
    np.testing.assert_array_equal(reference("mm.qlinear_conv", *inputs, **geometry), wanted)
    opcheck("mm.qlinear_conv", inputs, geometry, symbolic=False)
