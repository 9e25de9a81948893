"""Layer normalization and GELU as TensorFlow writes them become one operation each, with the same results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.passes import parse_pipeline

RNG = np.random.default_rng(11)


def normalization(parameters: tuple[int, ...], axes: tuple[int, ...], bias_first: bool) -> mm.Network:
    """x * f + (bias - mean * f) with f = rsqrt(variance + epsilon) * scale, for x of [N, 4, 6]."""
    network = mm.Network("norm")
    x = network.add_input("x", mm.float32, ("N", 4, 6))
    scale, bias = (network.constant(RNG.normal(size=parameters).astype(np.float32)) for _ in range(2))
    mean = network.reduce_mean(x, axes=axes, keepdims=True)
    variance = network.reduce_mean(network.square(network.sub(x, mean)), axes=axes, keepdims=True)
    factor = network.mul(network.rsqrt(network.add(variance, 1e-3)), scale)
    if bias_first:
        shift = network.sub(bias, network.mul(mean, factor))
    else:
        shift = network.add(network.mul(network.neg(mean), factor), bias)
    network.mark_output(network.add(network.mul(x, factor), shift), "y")
    return network


def run(network: mm.Network, x: Any) -> Any:
    config = mm.BuilderConfig(backends=["reference"], opt_level=0)
    return mm.Builder(config).build(network).create_engine().create_context().run({"x": x})["y"]


def rewritten(network: mm.Network, passes: str) -> list[str]:
    """The operations after passes that keep the results."""
    x = RNG.normal(size=(2, 4, 6)).astype(np.float32)
    before = run(network, x)
    parse_pipeline(passes).run(network)
    np.testing.assert_allclose(run(network, x), before, rtol=0, atol=2e-6)
    return [operation.name for operation in network.operations if operation.name != "mm.constant"]


@pytest.mark.parametrize("bias_first", [False, True])
@pytest.mark.parametrize(
    ("parameters", "axes"), [((6,), (2,)), ((1, 1, 6), (-1,)), ((4, 6), (1, 2)), ((1, 4, 6), (1, 2))], ids=str
)
def test_a_normalization(parameters: tuple[int, ...], axes: tuple[int, ...], bias_first: bool) -> None:
    found = rewritten(normalization(parameters, axes, bias_first), "recognize-normalizations")
    assert set(found) <= {"mm.layer_norm", "mm.reshape"}
    assert found.count("mm.layer_norm") == 1


@pytest.mark.parametrize(("parameters", "axes"), [((1,), (2,)), ((4, 1), (2,)), ((4, 1), (1,))], ids=str)
def test_parameters_or_axes_of_other_shapes_stay(parameters: tuple[int, ...], axes: tuple[int, ...]) -> None:
    assert "mm.layer_norm" not in rewritten(normalization(parameters, axes, False), "recognize-normalizations")


def test_gelu_by_the_complement_of_erf() -> None:
    network = mm.Network("gelu")
    x = network.add_input("x", mm.float32, ("N", 4, 6))
    gate = network.sub(1.0, network.erf(network.mul(network.neg(x), math.sqrt(0.5))))
    network.mark_output(network.mul(network.mul(0.5, x), gate), "y")
    assert rewritten(network, "recognize-activations") == ["mm.gelu"]
