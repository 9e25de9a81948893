"""Sampling at computed places, and detection, against torch and ONNX."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(11)
X = RNG.standard_normal((2, 3, 5, 7)).astype(np.float32)
GRID = (RNG.random((2, 4, 6, 2)) * 3 - 1.5).astype(np.float32)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_is_torchs(reference: Any, mode: str, padding_mode: str, align_corners: bool) -> None:
    torch_mode = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}[mode]
    wanted = F.grid_sample(
        torch.tensor(X), torch.tensor(GRID), mode=torch_mode, padding_mode=padding_mode, align_corners=align_corners
    )
    attributes = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    np.testing.assert_allclose(reference("mm.grid_sample", X, GRID, **attributes), wanted.numpy(), rtol=1e-4, atol=1e-5)
    opcheck("mm.grid_sample", [X, GRID], attributes)


def test_grid_sample_of_volumes_and_small_floats(reference: Any) -> None:
    x = RNG.standard_normal((1, 2, 3, 4, 5)).astype(np.float32)
    grid = (RNG.random((1, 2, 2, 2, 3)) * 2 - 1).astype(np.float32)
    wanted = F.grid_sample(torch.tensor(x), torch.tensor(grid), align_corners=False)
    np.testing.assert_allclose(reference("mm.grid_sample", x, grid), wanted.numpy(), rtol=1e-4, atol=1e-5)
    opcheck("mm.grid_sample", [X.astype(ml_dtypes.bfloat16), GRID])
    opcheck("mm.grid_sample", [X.astype(np.float64), GRID])


def test_grid_sample_survives_nan_and_infinity(reference: Any) -> None:
    grid = np.array([[[[np.nan, 0], [np.inf, 0], [-np.inf, 0]]]] * 2, np.float32)
    assert np.isfinite(reference("mm.grid_sample", X, grid, padding_mode="border")).all()


ROIS = np.array([[0, 0, 6, 4], [1, 1, 3, 4.5], [-2, -2, 9.1, 9.3], [2.2, 0.3, 2.4, 0.6]], np.float32)
IMAGES = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 3])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align_is_onnxs(reference: Any, run_onnx: Any, mode: str, sampling_ratio: int, coordinates: str) -> None:
    attributes = {
        "mode": mode, "sampling_ratio": sampling_ratio, "coordinate_transformation_mode": coordinates,
        "output_height": 2, "output_width": 3, "spatial_scale": 0.8,
    }  # fmt: skip
    wanted = run_onnx("RoiAlign", X, ROIS, IMAGES, evaluator=True, **attributes)
    np.testing.assert_allclose(reference("mm.roi_align", X, ROIS, IMAGES, **attributes), wanted, rtol=1e-4, atol=1e-5)
    opcheck("mm.roi_align", [X, ROIS, IMAGES], attributes)


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("offset_group", [1, 2])
@pytest.mark.parametrize("with_mask", [False, True])
def test_deform_conv_is_onnxs(reference: Any, run_onnx: Any, group: int, offset_group: int, with_mask: bool) -> None:
    x = RNG.standard_normal((2, 4, 5, 6)).astype(np.float32)
    w = RNG.standard_normal((4, 4 // group, 3, 2)).astype(np.float32)
    geometry = {"strides": [2, 1], "pads": [1, 0, 1, 0]}
    points = offset_group * 6
    offset = RNG.standard_normal((2, points * 2, 3, 5)).astype(np.float32)
    b = RNG.standard_normal(4).astype(np.float32)
    mask = RNG.random((2, points, 3, 5)).astype(np.float32) if with_mask else None
    inputs = [x, w, offset, b] if mask is None else [x, w, offset, b, mask]
    groups = {"group": group, "offset_group": offset_group}
    wanted = run_onnx("DeformConv", *inputs, opset=19, evaluator=True, **geometry, **groups)
    attributes = {name: tuple(value) for name, value in geometry.items()} | groups
    np.testing.assert_allclose(reference("mm.deform_conv", *inputs, **attributes), wanted, rtol=1e-4, atol=1e-4)
    opcheck("mm.deform_conv", inputs, attributes, symbolic=False)


def test_deform_conv_without_offsets_is_conv(reference: Any) -> None:
    w = RNG.standard_normal((2, 3, 3, 3)).astype(np.float32)
    geometry = {"dilations": (1, 2), "pads": (1, 2, 1, 2)}
    found = reference("mm.deform_conv", X, w, np.zeros((2, 18, 5, 7), np.float32), **geometry)
    np.testing.assert_allclose(found, reference("mm.conv", X, w, **geometry), rtol=1e-4, atol=1e-5)


def test_sampling_refuses() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises(mm.VerifyError, match="coordinates in the grid"):
        network.grid_sample(x, np.zeros((2, 4, 6, 3), np.float32))
    with pytest.raises(mm.VerifyError, match="numbers that a region has"):
        network.roi_align(x, np.zeros((2, 5), np.float32), np.array([0, 0]))
    with pytest.raises(mm.VerifyError, match="sizes of offset"):
        network.deform_conv(x, np.zeros((2, 3, 3, 3), np.float32), np.zeros((2, 9, 3, 5), np.float32))
