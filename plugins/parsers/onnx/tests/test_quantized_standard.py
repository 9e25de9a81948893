"""The standard quantized operators at the edges of their ranges, against ONNX Runtime, by references and natively."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from microsoft_models import Draw, check

BYTES = [np.uint8, np.int8]
PAIRS = [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)]


@pytest.fixture
def draw() -> Draw:
    return Draw(6)


def scale(value: float) -> Any:
    return np.array(value, np.float32)


@pytest.mark.parametrize(("a_type", "b_type"), PAIRS)
@pytest.mark.parametrize("shapes", [((3, 16), (16, 5)), ((2, 3, 16), (2, 16, 5)), ((2, 3, 16), (16, 5))])
def test_matmul_integer(draw: Draw, a_type: Any, b_type: Any, shapes: Any) -> None:
    a, b = draw.bytes(*shapes[0], dtype=a_type), draw.bytes(*shapes[1], dtype=b_type)
    check("MatMulInteger", [a, b], domain="")
    check("MatMulInteger", [a, b, np.array(5, a_type), np.array(7, b_type)], domain="")


@pytest.mark.parametrize("b_type", BYTES)
@pytest.mark.parametrize("per_column", [False, True])
def test_qlinear_matmul(draw: Draw, b_type: Any, per_column: bool) -> None:
    b_scale = np.abs(draw.floats(5)) * 0.01 + 0.001 if per_column else scale(0.013)
    b_zero = np.full(5, 3, b_type) if per_column else np.array(3, b_type)
    inputs = [
        draw.bytes(2, 3, 16), scale(0.021), np.array(120, np.uint8), draw.bytes(16, 5, dtype=b_type), b_scale, b_zero,
        scale(0.31), np.array(110, np.uint8),
    ]  # fmt: skip
    check("QLinearMatMul", inputs, domain="", steps=1)


@pytest.mark.parametrize(("x_type", "w_type"), [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_convolutions(draw: Draw, x_type: Any, w_type: Any, group: int) -> None:
    x, w = draw.bytes(2, 4, 7, 6, dtype=x_type), draw.bytes(8, 4 // group, 3, 3, dtype=w_type)
    settings = {"group": group, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2], "domain": ""}
    if x_type is np.uint8:
        check("ConvInteger", [x, w, np.array(9, x_type), np.array(4, w_type)], **settings)
    inputs = [
        x, scale(0.021), np.array(9, x_type), w, np.abs(draw.floats(8)) * 0.01 + 0.001, np.full(8, 4, w_type),
        scale(0.31), np.array(11, x_type), draw.integers(-500, 500, 8),
    ]  # fmt: skip
    inputs[5] = np.zeros(8, w_type) if w_type is np.int8 else inputs[5]
    check("QLinearConv", inputs, steps=1, **settings)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, 2.5, 3.0], [-3.0, -1.0], [-1.5, 0.25, 7.75], [1e-30, -1e-30]])
def test_dynamic_quantize_linear(values: list[float]) -> None:
    check("DynamicQuantizeLinear", [np.array(values, np.float32)], 3, domain="")


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_quantize_rounds_halves_to_even_and_saturates(dtype: Any) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, np.inf, -np.inf, 3.49999, 0.0], np.float32)
    check("QuantizeLinear", [x, scale(1.0), np.array(0, dtype)], domain="")
    check("QuantizeLinear", [x, scale(0.25), np.array(3, dtype)], domain="")


@pytest.mark.parametrize("dtype", [np.int8, ml_dtypes.int4, ml_dtypes.uint4])
@pytest.mark.parametrize("axis", [0, 1])
def test_blocks(draw: Draw, dtype: Any, axis: int) -> None:
    x = draw.floats(8, 8)
    shape = (2, 8) if axis == 0 else (8, 2)
    steps, zeros = np.abs(draw.floats(*shape)) + 0.05, np.full(shape, 2, np.int8).astype(dtype)
    settings = {"domain": "", "axis": axis, "block_size": 4}
    low, high = {"int8": (-128, 127), "int4": (-8, 7), "uint4": (0, 15)}[np.dtype(dtype).name]
    spread = steps.repeat(4, axis)
    codes = np.clip(np.rint(x / spread) + 2, low, high).astype(np.int8).astype(dtype)
    check("QuantizeLinear", [x, steps, zeros], constants=(2,), expected=[codes], **settings)
    check("DequantizeLinear", [codes, steps, zeros], constants=(0, 2), **settings)
