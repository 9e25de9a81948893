"""Networks whose weights are kept in few bits: the codes are read by the kernel, and results are the definition's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.types import BY_NAME


def built(network: mm.Network, backend: str = "cpu") -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=[backend], opt_level=2)).build(network)


def compare(network: mm.Network, inputs: dict[str, np.ndarray], kernels: list[str], tolerance: float = 2e-6) -> None:
    """Results against the reference's, by the size of the largest; and the kernels chosen."""
    expected = built(network, "reference").create_engine().create_context().run(inputs)
    model = built(network)
    assert [record.kernel for record in model.report.kernels] == kernels
    actual = model.create_engine(threads=2).create_context().run(inputs)
    for name, wanted in expected.items():
        np.testing.assert_allclose(actual[name], wanted, rtol=0, atol=tolerance * np.abs(wanted).max() * 10)


def codes(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    kind = BY_NAME[dtype]
    low, high = (0, 2**kind.bits) if kind.kind == "unsigned" else (-(2 ** (kind.bits - 1)), 2 ** (kind.bits - 1))
    return np.random.default_rng(seed).integers(low, high, shape).astype(kind.numpy)


def scales(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(2).uniform(0.01, 0.02, shape).astype(np.float32)


def rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


LARGE = 1024  # times 288: more than a megabyte of float32, which is left as codes


@pytest.mark.parametrize("dtype", ["uint4", "int4", "uint8", "int8", "uint2", "int2"])
@pytest.mark.parametrize("zero_points", [False, True])
def test_blocks_of_a_linear_layer(dtype: str, zero_points: bool) -> None:
    network = mm.Network("blocks")
    x = network.add_input("x", mm.float32, ("N", 288))
    grain = (LARGE, 288 // 32)
    operands: list[Any] = [codes(dtype, (LARGE, 288)), scales(grain)]
    if zero_points:
        operands.append(codes(dtype, grain, 1))
    weight = network.dequantize(*operands, axis=1, block_size=32)
    network.mark_output(network.gelu(network.linear(x, weight, rows(LARGE))), "y")
    for count in (1, 3, 20):
        compare(network, {"x": rows(count, 288)}, ["coded_gemm+add+gelu"])


@pytest.mark.parametrize("dtype", ["int8", "uint4"])
@pytest.mark.parametrize("grain", [(), (1,), (LARGE,)])
def test_scales_of_the_tensor_or_of_each_output(dtype: str, grain: tuple[int, ...]) -> None:
    network = mm.Network("outputs")
    x = network.add_input("x", mm.float32, (2, 1, 288))
    residual = network.add_input("r", mm.float32, (2, 1, LARGE))
    weight = network.dequantize(codes(dtype, (288, LARGE)), scales(grain), codes(dtype, grain, 1), axis=1)
    network.mark_output(network.add(network.matmul(x, weight), residual), "y")
    compare(network, {"x": rows(2, 1, 288), "r": rows(2, 1, LARGE)}, ["coded_gemm+add"])


def test_the_model_keeps_the_codes_alone(tmp_path: Path) -> None:
    network = mm.Network("small")
    x = network.add_input("x", mm.float32, (1, 288))
    weight = network.dequantize(codes("int4", (LARGE, 288)), scales((LARGE, 9)), axis=1, block_size=32)
    network.mark_output(network.linear(x, weight), "y")
    bytes_of_codes, bytes_of_scales = LARGE * 288 // 2, LARGE * 9 * 4
    built(network).save(tmp_path / "small.mm")
    assert (tmp_path / "small.mm").stat().st_size < bytes_of_codes + bytes_of_scales + 100_000


@pytest.mark.parametrize(
    ("reduction", "grain", "options"),
    [(287, (LARGE,), {"axis": 0}), (288, (288,), {"axis": 1}), (288, (32, 288), {"axis": 0, "block_size": 32})],
)
def test_what_no_kernel_reads_is_dequantized_first(
    reduction: int, grain: tuple[int, ...], options: dict[str, int]
) -> None:
    network = mm.Network("others")
    x = network.add_input("x", mm.float32, (2, reduction))
    weight = network.dequantize(codes("uint4", (LARGE, reduction)), scales(grain), **options)
    network.mark_output(network.linear(x, weight), "y")
    model = built(network)
    assert "coded_gemm" not in [record.kernel for record in model.report.kernels]
    inputs = {"x": rows(2, reduction)}
    expected = built(network, "reference").create_engine().create_context().run(inputs)["y"]
    np.testing.assert_allclose(model.create_engine().create_context().run(inputs)["y"], expected, rtol=1e-4, atol=1e-5)
