"""Queries, keys and values of one product: attention reads its parts where they lie, without a copy."""

from __future__ import annotations

import numpy as np
import pytest

import mm_core as mm


def projections(network: mm.Network, x: mm.Value, widths: tuple[int, ...]) -> list[mm.Value]:
    """[batch, heads, rows, 16] of each width, with weights of their own."""
    rng = np.random.default_rng(0)
    made = []
    for width in widths:
        weight = rng.standard_normal((width, x.type.shape[-1]), dtype=np.float32) / 8
        y = network.linear(x, weight, rng.standard_normal(width, dtype=np.float32))
        sizes = network.concat(network.shape(y, start=0, end=2), np.array([width // 16, 16]), axis=0)
        made.append(network.transpose(network.reshape(y, sizes), permutation=(0, 2, 1, 3)))
    return made


@pytest.mark.parametrize("shape", [(2, 33, 64), ("N", "S", 64), (1, "S", 64)])
@pytest.mark.parametrize("widths", [(64, 64, 64), (64, 32, 32)])
def test_projections_of_attention_are_one_product(shape: tuple[int | str, ...], widths: tuple[int, ...]) -> None:
    network = mm.Network("attention")
    x = network.add_input("x", mm.float32, shape)
    network.mark_output(network.attention(*projections(network, x, widths), causal=True), "y")
    data = np.random.default_rng(1).standard_normal((2 if shape[0] != 1 else 1, 33, 64), dtype=np.float32)
    results = {}
    for backend in ("cpu", "reference"):
        model = mm.Builder(mm.BuilderConfig(backends=[backend], opt_level=2)).build(network)
        results[backend] = model.create_engine(threads=2).create_context().run({"x": data})["y"]
        if backend == "cpu":
            kernels = [record.kernel for record in model.report.kernels]
    assert kernels[:2] == ["gemm+add", "attention"]
    assert set(kernels[2:]) <= {"copy"}  # into the order of the output
    np.testing.assert_allclose(results["cpu"], results["reference"], rtol=1e-4, atol=1e-5)


def test_engines_read_packed_weights_where_they_are() -> None:
    network = mm.Network("linear")
    x = network.add_input("x", mm.float32, (4, 256))
    weight = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)
    network.mark_output(network.linear(x, weight), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network)
    (packed,) = (data.numpy() for data in model.executables[0].constants if data.nbytes >= weight.nbytes)
    used = model.create_engine().parts[0].program.constants  # type: ignore[attr-defined]
    assert packed.ctypes.data % 64 == 0
    assert packed.ctypes.data in [array.ctypes.data for array in used]
