"""Data movement between convolutions keeps channels innermost: what is copied, and that results are the references'."""

from __future__ import annotations

import numpy as np
import pytest

import mm_core as mm
from mm_core.testing.interpreter import interpret


def pointwise(network: mm.Network, x: mm.Value, channels: int) -> mm.Value:
    """A 1x1 convolution to 16 channels: its operand is wanted, and its result lies, with channels innermost."""
    weights = np.random.default_rng(channels).standard_normal((16, channels, 1, 1)).astype(np.float32)
    return network.conv(x, weights)


def shuffle(network: mm.Network, x: mm.Value) -> mm.Value:
    """Two groups of channels take turns."""
    apart = network.reshape(x, np.array([1, 2, 8, 12, 10]))
    return network.reshape(network.transpose(apart, permutation=(0, 2, 1, 3, 4)), np.array([1, 16, 12, 10]))


def join_halves(network: mm.Network, x: mm.Value) -> mm.Value:
    """The halves of the channels change places, with all of them between."""
    left, right = network.split(x, sizes=(8, 8), axis=1)
    return network.concat(right, network.relu(x), left, axis=1)


def patches(network: mm.Network, x: mm.Value) -> mm.Value:
    """Places of 2x2 patches become a batch of sequences, and an image again."""
    rows = network.transpose(network.reshape(x, np.array([16 * 6, 2, 5, 2])), permutation=(0, 2, 1, 3))
    tokens = network.transpose(network.reshape(rows, np.array([1, 16, 30, 4])), permutation=(0, 3, 2, 1))
    back = network.transpose(network.softmax(tokens, axis=3), permutation=(0, 3, 2, 1))
    rows = network.transpose(network.reshape(back, np.array([16 * 6, 5, 2, 2])), permutation=(0, 2, 1, 3))
    return network.reshape(rows, np.array([1, 16, 12, 10]))


def enlarge(network: mm.Network, x: mm.Value) -> mm.Value:
    return network.resize(x, scales=(2.0, 2.0), axes=(2, 3), mode="linear")


CASES = {  # the channels of the result, and what moves between the two convolutions
    shuffle: (16, ["transposes tiles"]),
    join_halves: (32, ["1 operation, vector", "3 pieces a row"]),
    patches: (16, ["copies rows", "rows of 16", "copies rows"]),
    enlarge: (16, ["linear, 16 channels"]),
}


@pytest.mark.parametrize("move", CASES, ids=lambda move: move.__name__)
def test_moved_between_convolutions(move):
    channels, notes = CASES[move]
    network = mm.Network("moved")
    x = network.add_input("x", mm.float32, (1, 16, 12, 10))
    network.mark_output(pointwise(network, move(network, pointwise(network, x, 16)), channels), "y")
    image = np.random.default_rng(0).standard_normal((1, 16, 12, 10)).astype(np.float32)
    (expected,) = interpret(network, [image])
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], opt_level=2)).build(network)
    kernels = model.report.kernels
    first, last = (k for k, record in enumerate(kernels) if record.kernel == "conv")
    assert [record.note for record in kernels[first + 1 : last]] == notes
    context = model.create_engine().create_context()
    np.testing.assert_allclose(context.run({"x": image})["y"], expected, atol=1e-4 * np.abs(expected).max())
