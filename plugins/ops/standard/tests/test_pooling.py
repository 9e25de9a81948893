"""Pooling against torch and ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(2)
X = RNG.standard_normal((2, 3, 13, 10)).astype(np.float32)
GEOMETRY = {"kernel_shape": (3, 2), "strides": (2, 3), "pads": (1, 0, 1, 0), "dilations": (2, 1)}


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_is_torchs(reference: Any, ceil_mode: bool) -> None:
    wanted, places = F.max_pool2d(
        torch.tensor(X), (3, 2), (2, 3), (1, 0), (2, 1), ceil_mode=ceil_mode, return_indices=True
    )
    attributes = {**GEOMETRY, "ceil_mode": ceil_mode}
    np.testing.assert_array_equal(reference("mm.max_pool", X, **attributes), wanted.numpy())
    y, indices = reference("mm.max_pool_with_indices", X, **attributes)
    np.testing.assert_array_equal(y, wanted.numpy())
    # torch counts within each channel, ONNX through the whole tensor.
    np.testing.assert_array_equal(indices, places.numpy() + (np.arange(6) * 130).reshape(2, 3, 1, 1))
    opcheck("mm.max_pool", [X], attributes)
    opcheck("mm.max_pool_with_indices", [X], attributes)


@pytest.mark.parametrize("storage_order", [0, 1])
def test_max_pool_indices_are_onnxs(reference: Any, run_onnx: Any, storage_order: int) -> None:
    wanted = run_onnx("MaxPool", X, outputs=2, kernel_shape=[3, 2], strides=[2, 1], storage_order=storage_order)
    found = reference("mm.max_pool_with_indices", X, kernel_shape=(3, 2), strides=(2, 1), storage_order=storage_order)
    for mine, theirs in zip(found, wanted):
        np.testing.assert_array_equal(mine, theirs)


def test_max_pool_of_bytes_and_nan(reference: Any) -> None:
    x = np.array([[[-5, -7, -3]]], np.int8)
    np.testing.assert_array_equal(reference("mm.max_pool", x, kernel_shape=(2,), pads=(1, 1)), [[[-5, -5, -3, -3]]])
    assert np.isnan(reference("mm.max_pool", np.array([[[1, np.nan, 2]]], np.float32), kernel_shape=(3,))).all()


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_pool_is_torchs(reference: Any, ceil_mode: bool, count_include_pad: bool) -> None:
    attributes = {
        "kernel_shape": (3, 2), "strides": (2, 3), "pads": (1, 1, 1, 1),
        "ceil_mode": ceil_mode, "count_include_pad": count_include_pad,
    }  # fmt: skip
    wanted = F.avg_pool2d(
        torch.tensor(X), (3, 2), (2, 3), (1, 1), ceil_mode=ceil_mode, count_include_pad=count_include_pad
    )
    np.testing.assert_allclose(reference("mm.average_pool", X, **attributes), wanted.numpy(), rtol=1e-5, atol=1e-6)
    opcheck("mm.average_pool", [X], attributes)


@pytest.mark.parametrize("auto_pad", ["same_upper", "same_lower"])
def test_average_pool_auto_pad_is_onnxs(reference: Any, run_onnx: Any, auto_pad: str) -> None:
    wanted = run_onnx("AveragePool", X, kernel_shape=[3, 4], strides=[2, 2], auto_pad=auto_pad.upper())
    y = reference("mm.average_pool", X, kernel_shape=(3, 4), strides=(2, 2), auto_pad=auto_pad)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)
    opcheck("mm.average_pool", [X], {"kernel_shape": (3, 4), "strides": (2, 2), "auto_pad": auto_pad})


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp_pool_is_torchs(reference: Any, ceil_mode: bool) -> None:
    x = np.abs(X)
    attributes = {"kernel_shape": (3, 2), "strides": (2, 2), "p": 3, "ceil_mode": ceil_mode}
    opcheck("mm.lp_pool", [x], attributes)
    if not ceil_mode:  # torch's divides the overhanging windows differently
        wanted = F.lp_pool2d(torch.tensor(x), 3, (3, 2), (2, 2))
        np.testing.assert_allclose(reference("mm.lp_pool", x, **attributes), wanted.numpy(), rtol=1e-5)


def test_max_unpool_undoes_max_pool(reference: Any, run_onnx: Any) -> None:
    y, indices = reference("mm.max_pool_with_indices", X[:, :, :12], kernel_shape=(2, 2), strides=(2, 2))
    wanted = run_onnx("MaxUnpool", y, indices, kernel_shape=[2, 2], strides=[2, 2])
    found = reference("mm.max_unpool", y, indices, kernel_shape=(2, 2), strides=(2, 2))
    np.testing.assert_array_equal(found, wanted)
    opcheck("mm.max_unpool", [y, indices], {"kernel_shape": (2, 2), "strides": (2, 2)})
    larger = np.array([2, 3, 13, 11])
    wanted = np.pad(wanted, ((0, 0), (0, 0), (0, 1), (0, 1)))
    attributes = {"kernel_shape": (2, 2), "strides": (2, 2)}
    np.testing.assert_array_equal(reference("mm.max_unpool", y, indices, larger, **attributes), wanted)
    opcheck("mm.max_unpool", [y, indices, larger], attributes)


@pytest.mark.parametrize("op", ["global_average_pool", "global_max_pool", "global_lp_pool"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_global_pools_are_onnxs(reference: Any, run_onnx: Any, op: str, dtype: Any) -> None:
    names = {"global_average_pool": "GlobalAveragePool", "global_max_pool": "GlobalMaxPool"}
    wanted = run_onnx(names.get(op, "GlobalLpPool"), X)
    found = reference(f"mm.{op}", X.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if dtype == np.float32 else 2e-3, atol=1e-3)
    opcheck(f"mm.{op}", [X.astype(dtype)])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel_shape": (0, 2)}, "kernel"),
        ({"kernel_shape": (2,)}, "2 entries"),
        ({"kernel_shape": (2, 2), "strides": (1, 0)}, "strides"),
        ({"kernel_shape": (20, 2)}, "the window reaches 20"),
    ],
)
def test_pools_refuse(attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, (2, 3, 13, 10))
    with pytest.raises(mm.VerifyError, match=message):
        network.max_pool(x, **attributes)
