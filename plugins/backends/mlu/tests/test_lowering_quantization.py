"""Quantized tensors on the device: every type and grain, ties, ends of ranges, numbers that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mlu_networks import SPECIAL, check, floats, integers
from mm_backend_mlu.compiler import MluCompiler

import mm_core as mm
from mm_core.compiler import No

TYPES = ("int8", "uint8", "int16", "uint16")
EXACT = (0.0, 0.0)


def _steps(dtype: str, *shape: int) -> np.ndarray:
    """Whole numbers over the range of a type, its ends among them."""
    ends = np.iinfo(dtype)
    array = np.random.default_rng(0).integers(ends.min, ends.max, shape, dtype, endpoint=True)
    array.flat[:2] = ends.min, ends.max
    return array


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("real", [np.float32, np.float16])
def test_quantize(dtype: str, real: type) -> None:
    x = np.concatenate([floats(300), np.arange(-40, 40) * 0.125, SPECIAL, np.array([6e4, -6e4])]).astype(real)
    scale, zero = np.array(0.25, real), np.array(3, dtype)
    check(lambda n, x: n.quantize(x, scale, zero, to=dtype), x, tolerances=EXACT)
    check(lambda n, x: n.quantize(x, np.array(0.3, real), to=dtype), x, tolerances=EXACT)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("real", [np.float32, np.float16])
def test_dequantize(dtype: str, real: type) -> None:
    scale, zero = np.array(0.3, real), np.array(100, dtype)
    check(lambda n, x: n.dequantize(x, scale, zero), _steps(dtype, 9, 70), tolerances=EXACT)
    check(lambda n, x: n.dequantize(x, scale), _steps(dtype, 9, 70), tolerances=EXACT)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("known", [True, False], ids=["constants", "when running"])
def test_grain_along_an_axis(axis: int, known: bool) -> None:
    shape = (5, 70, 9)
    scale = np.linspace(0.1, 2, shape[axis], dtype=np.float32)
    zero = integers(shape[axis], low=-20, high=20, dtype=np.int8)
    given = () if known else (scale, zero)

    def there_and_back(n: Any, x: Any, *running: Any) -> Any:
        small = n.quantize(x, *(running or (scale, zero)), to="int8", axis=axis)
        return small, n.dequantize(small, *(running or (scale, zero)), axis=axis)

    check(there_and_back, floats(*shape) * np.float32(9), *given, tolerances=EXACT)


def test_bias_of_32_bits() -> None:
    x = np.array([2**24 + 1, -(2**31), 2**31 - 1, 5], np.int32)
    scale = np.array([0.5, 0.25, 0.1, 3.0], np.float32)
    check(lambda n, x: n.dequantize(x, scale, np.zeros(4, np.int32), axis=0), x, tolerances=EXACT)


def test_around_a_convolution() -> None:
    """Images lie channels last between them and dense outside."""
    def build(n: Any, x: Any) -> Any:
        image = n.dequantize(x, np.array(0.05, np.float32), np.array(128, np.uint8))
        y = n.relu(n.conv(image, floats(16, 3, 3, 3), pads=(1, 1, 1, 1)))
        return n.dequantize(n.quantize(y, np.array(0.1, np.float32), to="int8"), np.array(0.1, np.float32))

    check(build, _steps("uint8", 2, 3, 9, 11), tolerances=(0.0, 0.1001))


def test_bytes_become_numbers_on_the_vector_unit() -> None:
    check(lambda n, x: n.mul(n.cast(x, to="float32"), 0.5), _steps("uint8", 300), tolerances=EXACT)
    check(lambda n, x: n.cast(x, to="float16"), _steps("uint8", 300), tolerances=EXACT)


@pytest.mark.parametrize(
    ("shape", "attributes", "reason"),
    [((3, 2), {"block_size": 3}, "a scale for each block"), ((), {"to": "int32"}, "steps of type int32")],
)
def test_refused(shape: tuple[int, ...], attributes: dict[str, Any], reason: str) -> None:
    network = mm.Network("refused")
    x = network.add_input("x", mm.float32, (3, 6))
    y = network.quantize(x, np.ones(shape, np.float32), **attributes)
    answer = MluCompiler("mtp_372").supports(y.defining_op)
    assert isinstance(answer, No)
    assert reason in answer.reason
