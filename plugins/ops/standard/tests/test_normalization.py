"""Normalizations against torch and ONNX."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(4)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def tensors(*arrays: Any) -> list[torch.Tensor]:
    return [torch.tensor(array) for array in arrays]


X = normal(2, 6, 5, 4)
T = torch.tensor(X)
SCALE, BIAS, MEAN, VARIANCE = normal(6), normal(6), normal(6), np.abs(normal(6))
ROW_SCALE, ROW_BIAS = normal(5, 4), normal(5, 4)
CASES = [
    ("batch_norm", [X, SCALE, BIAS, MEAN, VARIANCE], {}, F.batch_norm(T, *tensors(MEAN, VARIANCE, SCALE, BIAS))),
    ("instance_norm", [X, SCALE, BIAS], {}, F.instance_norm(T, weight=tensors(SCALE)[0], bias=tensors(BIAS)[0])),
    ("group_norm", [X, SCALE, BIAS], {"num_groups": 3}, F.group_norm(T, 3, *tensors(SCALE, BIAS))),
    ("layer_norm", [X, ROW_SCALE, ROW_BIAS], {"axis": 2}, F.layer_norm(T, (5, 4), *tensors(ROW_SCALE, ROW_BIAS))),
    ("layer_norm", [X], {}, F.layer_norm(T, (4,))),
    ("rms_norm", [X, ROW_SCALE], {"axis": -2}, F.rms_norm(T, (5, 4), *tensors(ROW_SCALE), eps=1e-5)),
    ("lp_norm", [X], {"p": 1, "axis": 1}, F.normalize(T, p=1, dim=1)),
    ("lp_norm", [X], {"p": 2}, F.normalize(T, p=2, dim=-1)),
    ("local_response_norm", [X], {"size": 3, "alpha": 0.5}, F.local_response_norm(T, 3, alpha=0.5)),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_normalizations_are_torchs(
    reference: Any, op: str, inputs: list[Any], attributes: dict[str, Any], wanted: torch.Tensor
) -> None:
    found = reference(f"mm.{op}", *inputs, **attributes)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=2e-5, atol=2e-5)
    opcheck(f"mm.{op}", inputs, attributes)


@pytest.mark.parametrize(("op", "inputs", "attributes", "wanted"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_small_floats_are_rounded_once(
    reference: Any, op: str, inputs: list[Any], attributes: dict[str, Any], wanted: torch.Tensor, dtype: Any
) -> None:
    small = [item.astype(dtype) for item in inputs]
    found = reference(f"mm.{op}", *small, **attributes)
    wide = reference(f"mm.{op}", *(item.astype(np.float32) for item in small), **attributes)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, wide.astype(dtype))
    opcheck(f"mm.{op}", small, attributes)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm_is_onnxs(reference: Any, run_onnx: Any, size: int) -> None:
    wanted = run_onnx("LRN", X, size=size, alpha=0.3, beta=0.6, bias=1.5)
    found = reference("mm.local_response_norm", X, size=size, alpha=0.3, beta=0.6, bias=1.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    opcheck("mm.local_response_norm", [X], {"size": size + 1})


def test_mean_variance_norm_is_onnxs(reference: Any, run_onnx: Any) -> None:
    np.testing.assert_allclose(
        reference("mm.mean_variance_norm", X), run_onnx("MeanVarianceNormalization", X), rtol=1e-4, atol=1e-5
    )
    opcheck("mm.mean_variance_norm", [X])


def test_zero_norms_give_zeros(reference: Any) -> None:
    x = np.array([[0, 0], [3, 4]], np.float32)
    np.testing.assert_allclose(reference("mm.lp_norm", x), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    opcheck("mm.lp_norm", [x])


def test_batch_norm_of_mixed_types_and_of_vectors() -> None:
    opcheck("mm.batch_norm", [X.astype(np.float16), SCALE, BIAS, MEAN, VARIANCE])
    opcheck("mm.batch_norm", [X[:, :, 0, 0], SCALE, BIAS, MEAN, VARIANCE])


@pytest.mark.parametrize(
    ("op", "operands", "attributes", "message"),
    [
        ("batch_norm", [SCALE[:5], BIAS, MEAN, VARIANCE], {}, "length of scale and channels differ: 5 and 6"),
        ("group_norm", [SCALE, BIAS], {"num_groups": 4}, "not a multiple of 4"),
        ("group_norm", [SCALE, BIAS], {"num_groups": 0}, "at least 1"),
        ("layer_norm", [normal(3)], {}, "sizes of scale and of x"),
        ("layer_norm", [], {"axis": 4}, "axis 4"),
        ("local_response_norm", [], {"size": 0}, "at least 1"),
    ],
)
def test_normalizations_refuse(op: str, operands: list[Any], attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises((mm.VerifyError, mm.UnsupportedOpError), match=message):
        network.op(f"mm.{op}", x, *operands, **attributes)
