"""What golden files cannot show: options, locations, reasons of refusal, and random networks through everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mm_core as mm
from mm_core.passes import default_pipeline, parse_pipeline
from mm_core.testing.passcheck import passcheck


def kinds(network: mm.Network) -> list[str]:
    return [operation.attributes["kind"] for operation in network.operations if operation.name == "mm.fused"]


def inside(network: mm.Network) -> list[list[str]]:
    return [
        [inner.name.removeprefix("mm.") for inner in operation.regions[0].operations]
        for operation in network.operations
        if operation.name == "mm.fused"
    ]


def convolution(network: mm.Network, x: mm.Value, channels: int = 2) -> mm.Value:
    generator = np.random.default_rng(len(network))
    weight = generator.normal(size=(channels, x.type.shape[1], 1, 1)).astype(np.float32)
    return network.conv(x, weight, generator.normal(size=channels).astype(np.float32))


def test_an_epilogue_is_as_long_as_allowed() -> None:
    network = mm.Network("long")
    x = convolution(network, network.add_input("x", mm.float32, ("N", 2, 3, 3)))
    for _ in range(5):
        x = network.tanh(x)
    network.mark_output(x, "y")
    parse_pipeline("fuse-epilogue{max-operations=2}").run(network)
    assert inside(network) == [["conv", "tanh", "tanh"]]
    assert [operation.name for operation in network.operations][-3:] == ["mm.tanh"] * 3


def test_a_fused_group_carries_all_locations() -> None:
    network = mm.Network("locations")
    x = network.add_input("x", mm.float32, ("N", 2, 3, 3))
    with network.at(mm.Location("onnx", "c", "Conv")):
        y = convolution(network, x)
    with network.at(mm.Location("onnx", "n", "BatchNormalization")):
        y = network.batch_norm(y, *(np.array([1, 2], np.float32) for _ in range(4)))
    with network.at(mm.Location("onnx", "r", "Relu")):
        network.mark_output(network.relu(y), "y")
    default_pipeline().run(network)
    (fused,) = (operation for operation in network.operations if operation.name == "mm.fused")
    assert {place.name for place in fused.locations} == {"c", "n", "r"}


def test_other_element_types_are_not_part_of_an_epilogue() -> None:
    network = mm.Network("types")
    x = network.add_input("x", mm.float32, ("N", 2, 3, 3))
    flags = network.add_input("flags", mm.bool_, ("N", 2, 3, 3))
    network.mark_output(network.select(flags, convolution(network, x), x), "a")
    network.mark_output(network.cast(convolution(network, x), to="float16"), "b")
    assert not parse_pipeline("fuse-epilogue").run(network).changed


def test_statistics_that_are_not_finite_stay() -> None:
    network = mm.Network("negative")
    x = convolution(network, network.add_input("x", mm.float32, ("N", 2, 3, 3)))
    ones = np.ones(2, np.float32)
    network.mark_output(network.batch_norm(x, ones, ones, ones, np.array([1, -1], np.float32)), "y")
    result = parse_pipeline("fold-affine").run(network)
    assert not result.changed
    assert "affine-after refused, 1x: the scale or shift is not finite" in result.notes[0]


def test_a_batch_normalization_alone_joins_what_follows() -> None:
    network = mm.Network("alone")
    x = network.add_input("x", mm.float32, ("N", 2, 3, 3))
    statistics = (np.array(values, np.float32) for values in ([1, 2], [3, -4], [0.5, 2], [1, 9]))
    network.mark_output(network.relu(network.batch_norm(x, *statistics)), "y")
    passcheck(str(default_pipeline()), network, 1e-5)
    assert inside(network) == [["mul", "add", "relu"]]


def test_halves_keep_their_element_type() -> None:
    network = mm.Network("halves")
    x = network.add_input("x", mm.float16, ("N", 2, 3, 3))
    y = network.conv(x, np.ones((2, 2, 1, 1), np.float16))
    ones = np.ones(2, np.float16)
    network.mark_output(network.batch_norm(y, ones, ones, ones, ones), "y")
    passcheck(str(default_pipeline()), network, 2e-2)
    assert [operation.name for operation in network.operations if operation.name != "mm.constant"] == ["mm.conv"]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_group_of_one_element_is_fused_unless_it_is_a_scalar(shape: tuple[int, ...]) -> None:
    network = mm.Network("tiny")
    x = network.add_input("x", mm.float32, shape)
    network.mark_output(network.tanh(network.exp(x)), "y")
    parse_pipeline("fuse-elementwise").run(network)
    assert kinds(network) == (["elementwise"] if shape else [])


UNARY = ("relu", "tanh", "sigmoid", "gelu", "hard_swish", "abs")


@st.composite
def networks(draw: st.DrawFn) -> mm.Network:
    """Convolutions, normalizations, activations and residuals on images of one shape."""
    network = mm.Network("random")
    values = [network.add_input("x", mm.float32, ("N", 2, 3, 3))]
    for step in range(draw(st.integers(2, 10))):
        x = draw(st.sampled_from(values))
        kind = draw(st.sampled_from(("conv", "norm", "unary", "add", "scale", "silu", "clip")))
        channel = np.array([0.5 + step, -1.5], np.float32)
        if kind == "conv":
            y = convolution(network, x)
        elif kind == "norm":
            y = network.batch_norm(x, channel, channel, channel, np.abs(channel))
        elif kind == "unary":
            y = getattr(network, draw(st.sampled_from(UNARY)))(x)
        elif kind == "add":
            y = network.mul(network.add(x, draw(st.sampled_from(values))), 0.5)
        elif kind == "scale":
            y = network.add(network.mul(x, channel.reshape(2, 1, 1)), channel.reshape(1, 2, 1, 1))
        elif kind == "silu":
            y = network.mul(x, network.sigmoid(x))
        else:
            y = network.minimum(network.maximum(x, -2.0), 2.0)
        values.append(y)
    network.mark_output(values[-1], "y")
    return network


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_random_networks_keep_their_results_within_rounding(network: mm.Network, seed: int) -> None:
    passcheck(str(default_pipeline()), network, 1e-3, seed=seed)
