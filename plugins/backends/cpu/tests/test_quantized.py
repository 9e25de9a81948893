"""Quantized regions on the CPU: kernels on bytes give what the network of quantize and dequantize says.

Results are bytes, and equal to those of the operators' references but for one step where float32 sums round otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_backend_cpu.codegen.isa import usable

import mm_core as mm
from mm_core.testing.interpreter import interpret

pytest.importorskip("mm_passes_quantization")
ARCHS = pytest.mark.parametrize("arch", [isa.name for isa in usable()])
FORMS = pytest.mark.parametrize(
    ("dtype", "zero"), [("uint8", 0), ("uint8", 255), ("uint8", 117), ("int8", -128), ("int8", 127), ("int8", 0)]
)
X_SCALE, Y_SCALE = np.float32(0.02), np.float32(0.07)


class Quantized:
    """A network with an input of bytes, and helpers that quantize as a quantizer does."""

    def __init__(self, dtype: str, zero: int, shape: tuple[Any, ...]) -> None:
        self.rng = np.random.default_rng(7)
        self.network = mm.Network("quantized")
        self.kind, self.zero = np.dtype(dtype).type, zero
        # Not at an end, where an activation that is never negative would leave one value.
        self.y_zero = np.iinfo(self.kind).min + 60
        self.x = self.network.add_input("x", mm.types.BY_NAME[dtype], shape)

    def numbers(self, x: Any) -> Any:
        scale, zero = (X_SCALE, self.zero) if x is self.x else (Y_SCALE, self.y_zero)
        return self.network.dequantize(x, scale, self.kind(zero))

    def bytes(self, x: Any) -> Any:
        return self.network.quantize(x, Y_SCALE, self.kind(self.y_zero), to=np.dtype(self.kind).name)

    def weights(self, *shape: int, axis: int = 0, per_channel: bool = True) -> Any:
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        if not per_channel:
            return self.network.dequantize(values, np.float32(0.003), np.int8(0))
        scales = self.rng.uniform(0.001, 0.004, shape[axis]).astype(np.float32)
        return self.network.dequantize(values, scales, np.zeros(shape[axis], np.int8), axis=axis)

    def bias(self, count: int) -> np.ndarray:
        return self.rng.standard_normal(count).astype(np.float32)

    def check(self, result: Any, arch: str, kernels: list[str], sizes: tuple[int, ...]) -> mm.Model:
        """The result is that of the references, within a step of at most one byte in a hundred."""
        self.network.mark_output(result, "y")
        low, high = np.iinfo(self.kind).min, np.iinfo(self.kind).max
        x = self.rng.integers(low, high + 1, sizes).astype(self.kind)
        with np.errstate(all="ignore"):
            (expected,) = interpret(self.network, [x])
        config = mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": arch})
        model = mm.Builder(config).build(self.network)
        assert [record.kernel for record in model.report.kernels] == kernels
        actual = model.create_engine(threads=2).create_context().run({"x": x})["y"]
        assert actual.dtype == expected.dtype
        if expected.dtype == np.float32:
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
        else:
            steps = np.abs(actual.astype(int) - expected.astype(int))
            assert steps.max(initial=0) <= 1
            assert (steps != 0).mean() < 0.01
            assert len(np.unique(expected)) > 40
        return model


@ARCHS
@FORMS
@pytest.mark.parametrize("per_channel", [True, False])
def test_conv(arch: str, dtype: str, zero: int, per_channel: bool) -> None:
    q = Quantized(dtype, zero, ("N", 20, 13, 11))
    y = q.network.conv(
        q.numbers(q.x), q.weights(37, 20, 3, 3, per_channel=per_channel), q.bias(37), strides=(2, 1), pads=(1, 1, 1, 0)
    )
    kind = "i8" if dtype == "int8" else "ui8"
    kernels = ["copy", f"{kind}_conv+quantize", "copy"]
    q.check(q.bytes(y), arch, kernels, (2, 20, 13, 11))


@ARCHS
@FORMS
def test_depthwise(arch: str, dtype: str, zero: int) -> None:
    q = Quantized(dtype, zero, (1, 40, 15, 16))
    y = q.network.conv(q.numbers(q.x), q.weights(40, 1, 3, 3), q.bias(40), pads=(1, 1, 1, 1), group=40)
    kind = "i8" if dtype == "int8" else "ui8"
    q.check(q.bytes(q.network.relu(y)), arch, ["copy", f"{kind}_conv+relu+quantize", "copy"], (1, 40, 15, 16))


@ARCHS
@FORMS
def test_residual(arch: str, dtype: str, zero: int) -> None:
    """Two convolutions, the second with the input added to it: no float32 between them."""
    q = Quantized(dtype, zero, (1, 24, 9, 9))
    h = q.bytes(q.network.relu(q.network.conv(q.numbers(q.x), q.weights(24, 24, 1, 1), q.bias(24))))
    y = q.network.conv(q.numbers(h), q.weights(24, 24, 3, 3), q.bias(24), pads=(1, 1, 1, 1))
    y = q.network.add(q.numbers(q.bytes(y)), q.numbers(q.x))
    kind = "i8" if dtype == "int8" else "ui8"
    first, second = f"{kind}_conv+relu+quantize", f"{kind}_conv+quantize+dequantize+dequantize+add+quantize"
    model = q.check(q.bytes(y), arch, ["copy", first, second, "copy"], (1, 24, 9, 9))
    assert "f32" not in buffers_of(model)


def buffers_of(model: mm.Model) -> set[str]:
    """The types of what lies in the arena."""
    (executable,) = model.executables
    return {buffer[2] for buffer in executable.manifest["program"]["buffers"] if buffer[0] == "arena"}


@ARCHS
@FORMS
@pytest.mark.parametrize("product", ["matmul", "gemm", "linear"])
def test_product(arch: str, dtype: str, zero: int, product: str) -> None:
    q = Quantized(dtype, zero, ("N", 61))
    if product == "matmul":
        y = q.network.add(q.network.matmul(q.numbers(q.x), q.weights(61, 50, axis=1)), q.bias(50))
    elif product == "gemm":
        y = q.network.gemm(q.numbers(q.x), q.weights(50, 61), q.bias(50), trans_b=True)
    else:
        y = q.network.linear(q.numbers(q.x), q.weights(50, 61), q.bias(50))
    kind = "i8" if dtype == "int8" else "ui8"
    tail = "add+gelu+quantize" if product == "matmul" else "gelu+quantize"
    q.check(q.bytes(q.network.gelu(y)), arch, [f"{kind}_gemm+{tail}"], (23, 61))


@ARCHS
def test_numbers_where_nothing_quantizes(arch: str) -> None:
    q = Quantized("uint8", 100, ("N", 64))
    y = q.network.linear(q.numbers(q.x), q.weights(48, 64), q.bias(48))
    q.check(y, arch, ["ui8_gemm"], (19, 64))


def test_weights_of_nine_bits_are_left_to_float32() -> None:
    q = Quantized("uint8", 3, (1, 8, 6, 6))
    values = q.rng.integers(0, 256, (64, 8, 1, 1)).astype(np.uint8)
    weights = q.network.dequantize(values, np.float32(0.01), np.uint8(17))
    y = q.bytes(q.network.conv(q.numbers(q.x), weights))
    model = q.check(y, "", ["dequantize", "copy", "conv", "quantize", "copy"], (1, 8, 6, 6))
    assert "f32" in buffers_of(model)


@ARCHS
def test_pool_and_concat_on_bytes(arch: str) -> None:
    q = Quantized("uint8", 9, (1, 24, 40, 40))
    x = q.numbers(q.x)
    pooled = q.network.max_pool(x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    q.check(
        q.network.concat(pooled, x, axis=1), arch, ["copy", "max_pool", "concat", "dequantize", "copy"], (1, 24, 40, 40)
    )


@ARCHS
def test_resized_and_joined_on_bytes(arch: str) -> None:
    q = Quantized("uint8", 9, (1, 24, 10, 11))
    x = q.numbers(q.x)
    other = q.numbers(q.bytes(q.network.tanh(x)))
    large = [q.network.resize(part, scales=(2.0, 2.0), axes=(2, 3)) for part in (x, other)]
    kernels = ["dequantize+tanh+quantize", "resize", "resize", "dequantize+quantize", "concat"]
    model = q.check(q.bytes(q.network.concat(*large, axis=1)), arch, kernels, (1, 24, 10, 11))
    assert buffers_of(model) == {"ui8"}


@ARCHS
@FORMS
def test_costly_functions_of_bytes_are_tables(arch: str, dtype: str, zero: int) -> None:
    """Every byte gives just what the references give, also where the function reads it twice."""
    q = Quantized(dtype, zero, ("N",))
    x = q.numbers(q.x)
    q.network.mark_output(q.bytes(q.network.mul(x, q.network.tanh(q.network.exp(x)))), "y")
    every = np.arange(259).astype(np.uint8).view(q.kind)
    (expected,) = interpret(q.network, [every])
    config = mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": arch})
    model = mm.Builder(config).build(q.network)
    (record,) = model.report.kernels
    assert record.note == "1 operation, vector"
    actual = model.create_engine(threads=1).create_context().run({"x": every})["y"]
    np.testing.assert_array_equal(actual, expected)
    assert len(np.unique(expected)) > 4


@ARCHS
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_table_behind_a_product(arch: str, dtype: str) -> None:
    q = Quantized(dtype, 3, ("N", 61))
    y = q.network.gelu(q.numbers(q.bytes(q.network.linear(q.numbers(q.x), q.weights(50, 61), q.bias(50)))))
    kind = "i8" if dtype == "int8" else "ui8"
    q.check(q.bytes(y), arch, [f"{kind}_gemm+quantize+dequantize+gelu+quantize"], (23, 61))


@ARCHS
@FORMS
@pytest.mark.parametrize("per_channel", [True, False])
def test_qlinear_products(arch: str, dtype: str, zero: int, per_channel: bool) -> None:
    """ONNX's operators run on the kernels of networks with pairs."""
    q = Quantized(dtype, zero, (1, 20, 9, 7))
    scales = q.rng.uniform(0.001, 0.004, 36 if per_channel else 1).astype(np.float32)
    zeros = np.zeros(scales.shape, np.int8)
    weights = q.rng.integers(-128, 128, (36, 20, 3, 3)).astype(np.int8)
    bias = q.rng.integers(-9000, 9000, 36).astype(np.int32)
    y = q.network.qlinear_conv(
        q.x, X_SCALE, q.kind(zero), weights, scales, zeros, Y_SCALE, q.kind(q.y_zero), bias, pads=(1, 1, 1, 1)
    )
    matrix = q.rng.integers(-128, 128, (7, 36)).astype(np.int8)
    y = q.network.qlinear_matmul(
        y, Y_SCALE, q.kind(q.y_zero), matrix, scales, zeros, Y_SCALE, q.kind(q.y_zero)
    )
    kind = "i8" if dtype == "int8" else "ui8"
    q.check(y, arch, ["copy", f"{kind}_conv+quantize", "copy", f"{kind}_gemm+quantize"], (1, 20, 9, 7))
