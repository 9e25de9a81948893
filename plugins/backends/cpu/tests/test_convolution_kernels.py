"""Convolutions of every kind have generated kernels, with what follows in them, and one engine runs many sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

import mm_core as mm

CASES = {
    "image": (("N", 32, "H", "W"), (40, 32, 3, 3), {"pads": (1, 1, 1, 1)}, ["conv+relu"]),
    "strided image": (("N", 32, "H", "W"), (40, 32, 3, 3), {"strides": (2, 2)}, ["conv+relu"]),
    "stem": (("N", 3, "H", "W"), (40, 3, 7, 7), {"pads": (3,) * 4, "strides": (2, 2)}, ["conv+relu"]),
    "depthwise": (("N", 40, "H", "W"), (40, 1, 3, 3), {"pads": (1,) * 4, "group": 40}, ["conv+relu"]),
    "line": (("N", 64, "W"), (40, 64, 5), {"pads": (2, 2)}, ["conv+relu"]),
    "volume": (("N", 8, "D", "H", "W"), (40, 8, 3, 3, 3), {"pads": (1,) * 6, "strides": (1, 2, 2)}, ["conv+relu"]),
    "planes": (("N", 32, "D", "H", "W"), (64, 32, 1, 3, 3), {"pads": (0, 1, 1) * 2}, ["conv+relu"]),
    "transposed": (("N", 32, "H", "W"), (32, 40, 2, 2), {"strides": (2, 2)}, ["conv_transpose+relu"]),
    "overlapping": (
        ("N", 32, "H", "W"), (32, 40, 4, 4), {"strides": (2, 2), "pads": (1,) * 4}, ["conv_transpose+relu"],
    ),
    "few outputs": (
        ("N", 32, "H", "W"), (32, 3, 4, 4), {"strides": (2, 2), "pads": (1,) * 4}, ["gemm", "conv_transpose+relu"],
    ),
    "unreached": (("N", 32, "H", "W"), (32, 40, 1, 1), {"strides": (2, 2)}, ["gemm", "conv_transpose+relu"]),
    "transposed line": (("N", 32, "W"), (32, 40, 16), {"strides": (8,), "pads": (4, 4)}, ["conv_transpose+relu"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_sizes_known_only_when_running(name):
    shape, weights_shape, attributes, kernels = CASES[name]
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(weights_shape).astype(np.float32)
    transposed = "conv_transpose+relu" in kernels
    bias = rng.standard_normal(weights_shape[1 if transposed else 0]).astype(np.float32)
    network = mm.Network(name)
    x = network.add_input("x", mm.float32, shape)
    convolve = network.conv_transpose if transposed else network.conv
    network.mark_output(network.relu(convolve(x, weights, bias, **attributes)), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    assert [record.kernel for record in model.report.kernels if record.kernel != "copy"] == kernels
    assert all(record.note != "library" for record in model.report.kernels)

    axes = len(shape) - 2
    torch_name = f"conv_transpose{axes}d" if transposed else f"conv{axes}d"
    operands = [torch.from_numpy(array).double() for array in (weights, bias)]
    options = {
        "stride": attributes.get("strides", 1),
        "padding": attributes.get("pads", (0,) * axes)[:axes],
        "groups": attributes.get("group", 1),
    }
    context = model.create_engine(threads=2).create_context()
    for images, depth, height, width in ((1, 4, 23, 31), (2, 3, 9, 47), (1, 1, 7, 7)):
        sizes = {"N": images, "D": depth, "H": height, "W": width}
        image = rng.standard_normal([sizes.get(dim, dim) for dim in shape]).astype(np.float32)
        expected = getattr(functional, torch_name)(torch.from_numpy(image).double(), *operands, **options)
        expected = expected.relu().numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(context.run({"x": image})["y"], expected, rtol=1e-5, atol=1e-5 * scale)
