"""Choosing among boxes, and pooling regions, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(12)
X = RNG.standard_normal((2, 4, 5, 7)).astype(np.float32)


@pytest.mark.parametrize("center_point_box", [False, True])
@pytest.mark.parametrize("most", [0, 2, 10])
def test_non_max_suppression_is_onnx_runtimes(reference: Any, run_onnx: Any, center_point_box: bool, most: int) -> None:
    boxes = RNG.random((2, 12, 4)).astype(np.float32)
    scores = np.round(RNG.random((2, 3, 12)), 1).astype(np.float32)
    limits = (np.array([most]), np.array([0.3], np.float32), np.array([0.2], np.float32))
    wanted = run_onnx("NonMaxSuppression", boxes, scores, *limits, center_point_box=int(center_point_box))
    found = reference("mm.non_max_suppression", boxes, scores, *limits, center_point_box=center_point_box)
    np.testing.assert_array_equal(found, wanted)
    opcheck("mm.non_max_suppression", [boxes, scores, *limits], {"center_point_box": center_point_box})


@pytest.mark.parametrize("spatial_scale", [1.0, 0.6])
def test_max_roi_pool_is_onnx_runtimes(reference: Any, run_onnx: Any, spatial_scale: float) -> None:
    rois = np.array([[0, 0, 0, 6, 4], [1, 1, 1, 3, 4], [1, 2, 3, 2, 3], [0, 5, 3, 12, 9]], np.float32)
    wanted = run_onnx("MaxRoiPool", X, rois, pooled_shape=[2, 3], spatial_scale=spatial_scale)
    attributes = {"pooled_shape": (2, 3), "spatial_scale": spatial_scale}
    np.testing.assert_array_equal(reference("mm.max_roi_pool", X, rois, **attributes), wanted)
    opcheck("mm.max_roi_pool", [X, rois], attributes)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_greedy_nms_of_other_floats(reference: Any, dtype: Any) -> None:
    boxes, scores = RNG.random((2, 9, 4)).astype(dtype), RNG.random((2, 2, 9)).astype(dtype)
    limits = (np.array(5), np.array(0.25, dtype), np.array([0.125], dtype))
    single = [item.astype(np.float32) for item in (boxes, scores, *limits[1:])]
    kept = reference("mm.greedy_nms", boxes, scores, *limits)
    if dtype is not np.float64:
        wanted = reference("mm.greedy_nms", *single[:2], limits[0], *single[2:])
        np.testing.assert_array_equal(kept, wanted)
    opcheck("mm.greedy_nms", [boxes, scores, *limits])


def test_greedy_nms_of_odd_scores(reference: Any) -> None:
    """Numbers only: minus infinity takes part, NaN never; equal scores in the order of their numbers."""
    corners = np.arange(6, dtype=np.float32)[:, None] * 2 + np.array([0, 0, 1, 1], np.float32)
    scores = np.array([[[-np.inf, np.nan, 3, np.inf, 3, -np.inf]]], np.float32)
    operands = [corners[None], scores, np.array([9]), np.array([0.5], np.float32)]
    assert reference("mm.greedy_nms", *operands, None).tolist() == [[[3, 2, 4, 0, 5, -1]]]
    opcheck("mm.greedy_nms", operands)
    assert reference("mm.greedy_nms", *operands, np.float32([2.5])).tolist() == [[[3, 2, 4, -1, -1, -1]]]
    opcheck("mm.greedy_nms", [*operands, np.float32([2.5])])
    operands[2] = np.array([-1])
    assert (reference("mm.greedy_nms", *operands, None) == -1).all()
    opcheck("mm.greedy_nms", operands)


def test_greedy_nms_of_empty_boxes_keeps_all(reference: Any) -> None:
    boxes, scores = np.zeros((1, 3, 4), np.float32), np.ones((1, 1, 3), np.float32)
    operands = [boxes, scores, np.array([3]), np.array([0.0], np.float32)]
    assert reference("mm.greedy_nms", *operands, None).tolist() == [[[0, 1, 2]]]
    opcheck("mm.greedy_nms", operands)


def test_suppression_refuses() -> None:
    network = mm.Network()
    boxes, scores = network.add_input("b", mm.float32, (1, 6, 4)), network.add_input("s", mm.float32, (1, 2, 6))
    with pytest.raises(mm.VerifyError, match="boxes and scores"):
        network.non_max_suppression(boxes, network.constant(np.zeros((1, 2, 5), np.float32)))
    with pytest.raises(mm.VerifyError, match="numbers in a limit"):
        network.non_max_suppression(boxes, scores, np.array([1, 2]))
