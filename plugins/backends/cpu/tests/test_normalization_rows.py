"""Normalisations and what precedes them: one kernel, the results of the definition, the sum kept where it is read."""

from __future__ import annotations

import numpy as np
import pytest

import mm_core as mm


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def compare(network: mm.Network, inputs: dict[str, np.ndarray], kernels: list[str]) -> None:
    def run(backend: str) -> tuple[mm.Model, dict[str, np.ndarray]]:
        model = mm.Builder(mm.BuilderConfig(backends=[backend], opt_level=2)).build(network)
        return model, model.create_engine(threads=2).create_context().run(inputs)

    model, actual = run("cpu")
    assert [record.kernel for record in model.report.kernels] == kernels
    for name, expected in run("reference")[1].items():
        np.testing.assert_allclose(actual[name], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_residual_sum(kind: str, kept: bool) -> None:
    network = mm.Network("residual")
    x, r = (network.add_input(name, mm.float32, ("N", 40, 131)) for name in "xr")
    total = network.add(x, r)
    vectors = [random(131, seed=1), random(131, seed=2)][: 2 if kind == "layer_norm" else 1]
    network.mark_output(getattr(network, kind)(total, *vectors, axis=-1, epsilon=1e-5), "y")
    if kept:
        network.mark_output(total, "sum")
    compare(network, {"x": random(3, 40, 131, seed=3), "r": random(3, 40, 131, seed=4)}, [f"add+{kind}"])


def test_rows_scalars_and_activations_before_it() -> None:
    network = mm.Network("mixed")
    x = network.add_input("x", mm.float32, (1, 300, 256))
    row = network.add_input("row", mm.float32, (1, 1, 256))
    value = network.gelu(network.add(network.mul(x, 0.5), row))
    network.mark_output(network.layer_norm(value, random(256), random(256, seed=1), axis=-1, epsilon=1e-5), "y")
    inputs = {"x": random(1, 300, 256), "row": random(1, 1, 256, seed=1)}
    compare(network, inputs, ["mul+add+gelu+layer_norm"])


def test_over_several_axes() -> None:
    network = mm.Network("axes")
    x, r = (network.add_input(name, mm.float32, (64, 12, 100)) for name in "xr")
    scale = random(12, 100)
    network.mark_output(network.layer_norm(network.sub(x, r), scale, scale, axis=1, epsilon=1e-5), "y")
    compare(network, {"x": random(64, 12, 100), "r": random(64, 12, 100, seed=1)}, ["sub+layer_norm"])


def test_a_number_for_each_row_stays_apart() -> None:
    network = mm.Network("rows")
    x = network.add_input("x", mm.float32, (300, 256))
    factor = network.add_input("factor", mm.float32, (300, 1))
    value = network.tanh(network.mul(x, factor))
    network.mark_output(network.layer_norm(value, random(256), random(256), axis=-1, epsilon=1e-5), "y")
    compare(network, {"x": random(300, 256), "factor": random(300, 1)}, ["mul+tanh", "layer_norm"])
