"""Quantization against ONNX Runtime, and onnx's own evaluator for the small types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import mm_core as mm
from mm_core.testing.opcheck import opcheck
from mm_core.types import as_dtype

RNG = np.random.default_rng(8)
X = (RNG.standard_normal((3, 4, 6)) * 40).astype(np.float32)
INTEGERS = [np.uint8, np.int8, np.uint16, np.int16]
SMALL = [
    ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float4_e2m1fn,
]  # fmt: skip


def grains(dtype: Any) -> list[tuple[Any, Any, dict[str, int]]]:
    """Scale, zero point and attributes for a whole tensor, for channels and for blocks."""
    positive = np.abs(RNG.standard_normal((3, 4, 2))).astype(np.float32) + np.float32(0.1)
    return [
        (np.array(0.7, np.float32), np.array(3, dtype), {}),
        (positive[0, :, 0].copy(), np.arange(4).astype(dtype), {"axis": 1}),
        (positive[:, 0, 0].copy(), np.arange(3).astype(dtype), {"axis": -3}),
        (positive, np.ones((3, 4, 2), dtype), {"axis": 2, "block_size": 3}),
    ]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("grain", range(4))
def test_integers_are_onnx_runtimes(reference: Any, run_onnx: Any, dtype: Any, grain: int) -> None:
    scale, zero, attributes = grains(dtype)[grain]
    wanted = run_onnx("QuantizeLinear", X, scale, zero, **attributes)
    found = reference("mm.quantize", X, scale, zero, to=dtype, **attributes)
    np.testing.assert_array_equal(found, wanted)
    opcheck("mm.quantize", [X, scale, zero], {"to": dtype, **attributes})
    back = reference("mm.dequantize", found, scale, zero, **attributes)
    np.testing.assert_array_equal(back, run_onnx("DequantizeLinear", wanted, scale, zero, **attributes))
    opcheck("mm.dequantize", [found, scale, zero], attributes)


@pytest.mark.parametrize("dtype", SMALL, ids=lambda dtype: np.dtype(dtype).name)
def test_small_types_are_onnxs(reference: Any, run_onnx: Any, dtype: Any) -> None:
    scale = np.array(0.5, np.float32)
    code = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    wanted = run_onnx("QuantizeLinear", X, scale, opset=23, output_dtype=code, evaluator=True)
    found = reference("mm.quantize", X, scale, to=dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype(np.float32), np.asarray(wanted).astype(np.float32))
    np.testing.assert_array_equal(reference("mm.dequantize", found, scale), found.astype(np.float32) * 0.5)
    opcheck("mm.quantize", [X, scale], {"to": dtype})
    opcheck("mm.dequantize", [found, scale])


def test_one_element_may_be_a_scalar_or_a_vector(reference: Any) -> None:
    scale, zero = np.array([0.5], np.float32), np.array(3, np.uint8)
    found = reference("mm.quantize", X, scale, zero)
    np.testing.assert_array_equal(found, reference("mm.quantize", X, scale[0], zero))
    opcheck("mm.quantize", [X, scale, zero])
    opcheck("mm.dequantize", [found, scale.reshape(()), zero.reshape(1)])


def test_halves_go_to_even_and_ends_saturate(reference: Any) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, 1e9, -1e9, np.inf, -np.inf], np.float32)
    found = reference("mm.quantize", x, np.array(1, np.float32), to="int8")
    np.testing.assert_array_equal(found, [0, 2, 2, 0, 127, -128, 127, -128])


def test_int32_accumulators_keep_their_bits(reference: Any) -> None:
    x = np.array([2**30 + 1, -(2**31)], np.int32)
    found = reference("mm.dequantize", x, np.array(1, np.float64), to="float64")
    np.testing.assert_array_equal(found, x.astype(np.float64))


def test_dequantize_to_another_type(reference: Any) -> None:
    x, scale = np.array([-3, 5], np.int8), np.array(0.1, np.float32)
    assert reference("mm.dequantize", x, scale, to="float16").dtype == np.float16
    opcheck("mm.dequantize", [x, scale], {"to": "bfloat16"})


@pytest.mark.parametrize(
    ("x_type", "scale_type"), [("float32", "float16"), ("float64", "bfloat16"), ("int32", "float32")]
)
def test_types_that_differ_decompose(x_type: str, scale_type: str) -> None:
    x, scale = (X * 20).astype(as_dtype(x_type).numpy), np.array(0.25).astype(as_dtype(scale_type).numpy)
    opcheck("mm.quantize", [x, scale, np.array(3, np.int8)], {"to": "int8"})
    opcheck("mm.dequantize", [x.astype(np.int8), scale], {"to": x_type if x_type != "int32" else "float64"})


@pytest.mark.parametrize("to", ["uint32", "int4", "float8_e8m0fnu"])
def test_blocks_that_do_not_divide_the_axis(to: str) -> None:
    """On the CPU as well: the last block is short, and the number of blocks does not tell their size."""
    x = np.random.default_rng(5).uniform(0, 7, (2, 7)).astype(np.float32)
    scale = np.array([[1, 0.5], [2, 4]], np.float32)
    network = mm.Network("blocks")
    y = network.quantize(network.add_input("x", mm.float32, ("N", 7)), scale, to=to, block_size=5)
    network.mark_output(network.dequantize(y, scale, block_size=5), "y")
    results = []
    for backend in ("cpu", "reference"):
        model = mm.Builder(mm.BuilderConfig(backends=[backend], strict=backend == "cpu")).build(network)
        results.append(model.create_engine().create_context().run({"x": x})["y"])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("x", [X, np.abs(X), -np.abs(X), np.zeros(3, np.float32)], ids=["both", "up", "down", "zero"])
def test_dynamic_quantize_is_onnx_runtimes(reference: Any, run_onnx: Any, x: Any) -> None:
    for mine, theirs in zip(reference("mm.dynamic_quantize", x), run_onnx("DynamicQuantizeLinear", x, outputs=3)):
        np.testing.assert_array_equal(mine, theirs)
    opcheck("mm.dynamic_quantize", [x])


@pytest.mark.parametrize(
    ("scale", "zero", "attributes", "message"),
    [
        (np.ones(3, np.float32), None, {}, "scales and elements along axis 1"),
        (np.ones((), np.float32), np.zeros((), np.int8), {}, "the zero point is int8, the result uint8"),
        (np.ones((3, 4, 3), np.float32), None, {"axis": 2, "block_size": 3}, "numbers of blocks"),
        (np.ones((), np.float32), None, {"block_size": -1}, "must not be negative"),
        (np.ones((), np.float32), None, {"to": "float64"}, "not a quantized type"),
        (np.ones(4, np.float32), np.zeros(3, np.uint8), {}, "sizes of the zero point"),
    ],
)
def test_quantize_refuses(scale: Any, zero: Any, attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises(mm.VerifyError, match=message):
        network.quantize(x, scale, zero, **attributes)
