"""Activations quantized at run time, and products of integers with constant weights, as the references say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_backend_cpu.codegen.dynamic_quantize import block_count, block_ranges, dynamic_quantize
from mm_backend_cpu.codegen.isa import usable
from mm_backend_cpu.testing import instruction_sets, run

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.interpreter import interpret
from mm_core.types import symbol

pytest.importorskip("mm_passes_quantization")
ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
ARCHS = pytest.mark.parametrize("arch", [isa.name for isa in usable()])
RNG = np.random.default_rng(3)


def quantized(isa: Any, x: np.ndarray) -> list[np.ndarray]:
    """By the two kernels, the size being known only when running."""
    blocks = block_count(x.size)
    (ranges,) = run(block_ranges(symbol("N")), isa, [x], [((blocks, 2), np.float32)], {"N": x.size})
    outputs = [(x.shape, np.uint8), ((), np.float32), ((), np.uint8)]
    return run(dynamic_quantize(symbol("N")), isa, [x, ranges], outputs, {"N": x.size})


@ISAS
@pytest.mark.parametrize("count", [0, 1, 15, 64, 83, 4096, 4097, 20011])
@pytest.mark.parametrize("shift", [-9.0, -0.3, 0.0, 9.0])
def test_quantize_by_the_range(isa: Any, count: int, shift: float) -> None:
    x = RNG.standard_normal(count).astype(np.float32) + np.float32(shift)
    for actual, expected in zip(quantized(isa, x), lookup("mm.dynamic_quantize").reference(x), strict=True):
        np.testing.assert_array_equal(actual, expected)


@ISAS
@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, -3e38])
@pytest.mark.parametrize("place", [0, 70, 4999])
@pytest.mark.parametrize("others", [0.0, 1.0])
def test_quantize_odd_numbers(isa: Any, odd: float, place: int, others: float) -> None:
    x = (RNG.standard_normal(5000) * others).astype(np.float32)
    x[place] = odd
    with np.errstate(all="ignore"):
        wanted = lookup("mm.dynamic_quantize").reference(x)
    for actual, expected in zip(quantized(isa, x), wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)


def compare(
    network: mm.Network, y: Any, arch: str, inputs: list[np.ndarray], kernels: list[str], error: float = 0.0
) -> None:
    """The CPU's results are those of the references, but for an absolute error; the kernels are as listed."""
    network.mark_output(y, "y")
    with np.errstate(all="ignore"):
        (expected,) = interpret(network, inputs)
    config = mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": arch}, strict=True)
    model = mm.Builder(config).build(network)
    assert [record.kernel for record in model.report.kernels] == kernels
    names = [spec.name for spec in model.inputs]
    actual = model.create_engine(threads=2).create_context().run(dict(zip(names, inputs, strict=True)))["y"]
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual.astype(float), expected.astype(float), rtol=0, atol=error)
    assert len(np.unique(expected)) > 40


def integers(dtype: str, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


@ARCHS
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("zero_point", ["absent", "known", "given"])
@pytest.mark.parametrize("weights", ["int8", "zero for each", "uint8"])
def test_product(arch: str, dtype: str, zero_point: str, weights: str) -> None:
    network = mm.Network("product")
    x = network.add_input("x", mm.types.BY_NAME[dtype], ("N", 3, 26))
    inputs, zero, zeros = [integers(dtype, 2, 3, 26)], None, None
    if zero_point == "known":
        zero = np.array(np.iinfo(dtype).max - 3, dtype)
    elif zero_point == "given":
        zero = network.add_input("zero", mm.types.BY_NAME[dtype], (1,))
        inputs.append(np.array([np.iinfo(dtype).max - 3], dtype))
    w = integers("uint8" if weights == "uint8" else "int8", 26, 37)
    if weights == "zero for each":
        w, zeros = w // 2, RNG.integers(-60, 60, 37).astype(np.int8)
    elif weights == "uint8":
        zeros = np.uint8(128)
    kernels = [*(["spread"] if zero_point == "given" else []), f"{'i8' if dtype == 'int8' else 'ui8'}_gemm"]
    compare(network, network.matmul_integer(x, w, zero, zeros), arch, inputs, kernels)


@ARCHS
@pytest.mark.parametrize("per_output", [True, False])
def test_what_follows_is_the_epilogue(arch: str, per_output: bool) -> None:
    network = mm.Network("layer")
    x, residual = (network.add_input(name, mm.float32, (5, size)) for name, size in (("x", 40), ("r", 24)))
    bytes_, scale, zero = network.dynamic_quantize(x)
    scales = RNG.uniform(0.001, 0.004, 24 if per_output else 1).astype(np.float32)
    y = network.cast(network.matmul_integer(bytes_, integers("int8", 40, 24), zero, np.int8(0)), to="float32")
    y = network.add(network.mul(y, network.mul(scale, scales)), RNG.standard_normal(24).astype(np.float32))
    y = network.add(network.relu(y), residual)
    inputs = [RNG.standard_normal((5, size)).astype(np.float32) for size in (40, 24)]
    kernels = ["block_ranges", "dynamic_quantize", "mul", "spread", "ui8_gemm+cast+mul+add+relu+add"]
    compare(network, y, arch, inputs, kernels, 1e-5)


@ARCHS
@pytest.mark.parametrize("floats", [False, True])
def test_a_bias_of_integers_and_a_quantization(arch: str, floats: bool) -> None:
    """As `QGemm` is written: everything is known; bytes are stored, or floats that are whole steps."""
    network = mm.Network("qgemm")
    x = network.add_input("x", mm.uint8, (7, 32))
    sums = network.matmul_integer(x, integers("int8", 32, 20), np.uint8(117), np.int8(0))
    sums = network.add(sums, RNG.integers(-9000, 9000, 20).astype(np.int32))
    y = network.mul(network.cast(sums, to="float32"), np.float32(0.001))
    y = network.quantize(y, np.float32(0.4), np.uint8(128), to="uint8")
    kernel, step = "ui8_gemm+add+cast+mul+quantize", 1.0
    if floats:
        y, kernel, step = network.dequantize(y, np.float32(0.4), np.uint8(128)), f"{kernel}+dequantize", 0.4
    compare(network, y, arch, [integers("uint8", 7, 32)], [kernel], step * 1.001)


@pytest.mark.parametrize("why", ["weights", "range", "rows"])
def test_other_products_are_computed_too(why: str) -> None:
    """Weights known only when running, farther from their zero point than a byte, and a zero point for each row."""
    network = mm.Network("others")
    x, inputs = network.add_input("x", mm.uint8, (4, 12)), [integers("uint8", 4, 12)]
    zero, zeros, w = np.array(3, np.uint8), np.uint8(7), integers("uint8", 12, 5)
    w[0] = 255
    if why == "weights":
        w, _ = network.add_input("w", mm.uint8, (12, 5)), inputs.append(w)
    elif why == "rows":
        zero, zeros = integers("uint8", 4), np.uint8(128)
    network.mark_output(network.matmul_integer(x, w, zero, zeros), "y")
    (expected,) = interpret(network, inputs)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    assert not any(record.kernel.startswith("ui8_gemm") for record in model.report.kernels)
    names = [spec.name for spec in model.inputs]
    actual = model.create_engine().create_context().run(dict(zip(names, inputs, strict=True)))["y"]
    np.testing.assert_array_equal(actual, expected)
