"""Resizing against ONNX's own evaluator over all modes, and against torch."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import mm_core as mm
from mm_core.testing.opcheck import opcheck
from mm_core.types import evaluate_int

X = np.random.default_rng(7).standard_normal((1, 2, 7, 5)).astype(np.float32)
# ONNX Runtime lacks several of the modes.
EVALUATED: dict[str, Any] = {"opset": 19, "evaluator": True}
COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scales", [(0.6, 1.7), (2.0, 0.5), (1.0, 3.0)])
def test_scales(reference: Any, run_onnx: Any, mode: str, coordinates: str, scales: tuple[float, ...]) -> None:
    flags = [(False, False)] if mode == "nearest" else product((False, True), repeat=2)
    for antialias, exclude_outside in flags:
        how = {"mode": mode, "coordinate_transformation_mode": coordinates}
        bits = {"antialias": antialias, "exclude_outside": exclude_outside}
        given = (X, None, np.array((1, 1, *scales), np.float32))
        wanted = run_onnx("Resize", *given, **EVALUATED, **how, **{name: int(bit) for name, bit in bits.items()})
        found = reference("mm.resize", X, scales=scales, axes=(2, 3), **how, **bits)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        factors = np.array(scales, np.float32)
        np.testing.assert_array_equal(reference("mm.resize", X, None, None, factors, axes=(2, 3), **how, **bits), found)
        opcheck("mm.resize", [X, None, None, factors], {"axes": (2, 3), **how, **bits})


@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("sizes", [(3, 11), (14, 1)])
def test_sizes(reference: Any, run_onnx: Any, mode: str, coordinates: str, sizes: tuple[int, ...]) -> None:
    how = {"mode": mode, "coordinate_transformation_mode": coordinates}
    wanted = run_onnx("Resize", X, None, None, np.array((1, 2, *sizes)), **EVALUATED, **how)
    np.testing.assert_allclose(
        reference("mm.resize", X, np.array(sizes), axes=(2, 3), **how), wanted, rtol=1e-4, atol=1e-5
    )
    opcheck("mm.resize", [X, np.array(sizes)], {"axes": (2, 3), **how})


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_crop_and_resize(reference: Any, run_onnx: Any, mode: str) -> None:
    how = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0}
    roi = np.array([0, 0, 0.1, 0.3, 1, 1, 0.8, 1.2], np.float32)
    sizes = np.array([1, 2, 4, 9])
    wanted = run_onnx("Resize", X, roi, None, sizes, **EVALUATED, **how)
    np.testing.assert_allclose(reference("mm.resize", X, sizes, roi, **how), wanted, rtol=1e-4, atol=1e-4)
    assert (wanted == 3.0).any()


@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest_modes_are_onnx_runtimes(reference: Any, run_onnx: Any, nearest_mode: str) -> None:
    wanted = run_onnx("Resize", X, None, np.array([1, 1, 2, 0.5], np.float32), opset=19, nearest_mode=nearest_mode)
    np.testing.assert_array_equal(reference("mm.resize", X, scales=(1, 1, 2, 0.5), nearest_mode=nearest_mode), wanted)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio(reference: Any, run_onnx: Any, policy: str) -> None:
    sizes = np.array([14, 20])
    how = {"mode": "linear", "keep_aspect_ratio_policy": policy}
    wanted = run_onnx("Resize", X, None, None, sizes, **EVALUATED, axes=[2, 3], **how)
    np.testing.assert_allclose(reference("mm.resize", X, sizes, axes=(2, 3), **how), wanted, rtol=1e-4, atol=1e-5)
    opcheck("mm.resize", [X, sizes], {"axes": (2, 3), **how})


@pytest.mark.parametrize(("mode", "torch_mode"), [("linear", "bilinear"), ("cubic", "bicubic")])
@pytest.mark.parametrize("antialias", [False, True])
def test_torchs_interpolate(reference: Any, mode: str, torch_mode: str, antialias: bool) -> None:
    wanted = torch.nn.functional.interpolate(
        torch.tensor(X), size=(4, 13), mode=torch_mode, antialias=antialias, align_corners=False
    )
    # torch's antialiased cubic filter has another coefficient and leaves out what is outside.
    extra = {"antialias": True, "exclude_outside": True, "cubic_coeff_a": -0.5} if antialias else {}
    found = reference("mm.resize", X, np.array([4, 13]), axes=(2, 3), mode=mode, **extra)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_bytes(reference: Any, run_onnx: Any) -> None:
    x = np.random.default_rng(1).integers(0, 256, (1, 1, 5, 5)).astype(np.uint8)
    for mode in ("linear", "cubic"):
        wanted = run_onnx("Resize", x, None, np.array([1, 1, 2, 2], np.float32), **EVALUATED, mode=mode)
        np.testing.assert_array_equal(reference("mm.resize", x, scales=(1, 1, 2, 2), mode=mode), wanted)


def test_shape_with_symbols() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 3, "H", "W"))
    y = network.resize(x, scales=(2.0, 0.5), axes=(2, 3))
    assert str(y.type) == 'tensor<?x3x?x?xf32, ["N", "2*H", "floordiv(W, 2)"]>'
    irrational = network.resize(x, scales=(2**0.5,), axes=(2,))
    assert str(irrational.type.shape[2]) not in ("H", "W")
    assert evaluate_int(y.type.shape[3], {"W": 9}) == 4


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "either scales or sizes"),
        ({"scales": (2.0,)}, "1 scales for 4 axes"),
        ({"scales": (1.0, 1.0, 0.0, 1.0)}, "must be positive"),
        ({"scales": (2.0,), "axes": (1,), "antialias": True}, "antialias needs"),
        ({"scales": (2.0,), "axes": (1,), "coordinate_transformation_mode": "tf_crop_and_resize"}, "needs a roi"),
    ],
)
def test_resize_refuses(attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises(mm.VerifyError, match=message):
        network.resize(x, **attributes)
