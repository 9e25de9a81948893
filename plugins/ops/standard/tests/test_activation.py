"""Activations against torch and ONNX, at ordinary and at special values."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(5)
ORDINARY = (RNG.standard_normal(60) * 4).astype(np.float32)
X = np.concatenate([ORDINARY, np.array([0, -0.0, np.nan, np.inf, -np.inf, 80, -80, 1e-6], np.float32)])
SMALL = RNG.standard_normal((2, 3, 4)).astype(np.float32)
TORCH = [
    ("relu", {}, F.relu),
    ("leaky_relu", {"alpha": 0.1}, lambda x: F.leaky_relu(x, 0.1)),
    ("thresholded_relu", {}, lambda x: F.threshold(x, 1.0, 0.0)),
    ("sigmoid", {}, torch.sigmoid),
    ("log_sigmoid", {}, F.logsigmoid),
    ("silu", {}, F.silu),
    ("swish", {"alpha": 1.0}, F.silu),
    ("hard_swish", {}, F.hardswish),
    ("hard_sigmoid", {"alpha": 1 / 6}, F.hardsigmoid),
    ("elu", {"alpha": 1.3}, lambda x: F.elu(x, 1.3)),
    ("selu", {}, F.selu),
    ("celu", {"alpha": 2.0}, lambda x: F.celu(x, 2.0)),
    ("softplus", {}, F.softplus),
    ("softsign", {}, F.softsign),
    ("mish", {}, F.mish),
    ("gelu", {}, F.gelu),
    ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
    ("shrink", {"bias": 0.5}, lambda x: F.softshrink(x, 0.5)),
    ("shrink", {}, lambda x: F.hardshrink(x, 0.5)),
]
IDS = [f"{op}{''.join(map(str, attributes.values()))}" for op, attributes, _ in TORCH]


@pytest.mark.parametrize(("op", "attributes", "function"), TORCH, ids=IDS)
def test_activations_are_torchs(reference: Any, op: str, attributes: dict[str, Any], function: Any) -> None:
    found = reference(f"mm.{op}", X, **attributes)
    wanted = function(torch.tensor(X)).numpy()
    # torch's gelu and swish families give NaN at one infinity or both, where the limit is 0 or infinity.
    finite = np.isfinite(X) | np.isnan(X)
    np.testing.assert_allclose(found[finite], wanted[finite], rtol=2e-6, atol=1e-6)
    opcheck(f"mm.{op}", [X], attributes)


@pytest.mark.parametrize(("op", "attributes", "function"), TORCH, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_activations_of_other_types(
    reference: Any, op: str, attributes: dict[str, Any], function: Any, dtype: Any
) -> None:
    x = ORDINARY.astype(dtype)
    found = reference(f"mm.{op}", x, **attributes)
    wanted = reference(f"mm.{op}", x.astype(np.float64), **attributes).astype(dtype)
    assert found.dtype == dtype
    tolerance = {2: 1e-2, 8: 1e-12}[x.itemsize]
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=tolerance, atol=tolerance / 10)
    opcheck(f"mm.{op}", [x], attributes)


@pytest.mark.parametrize("op", ["Softplus", "Elu", "HardSigmoid", "HardSwish", "Mish", "Celu", "Selu", "Gelu"])
def test_defaults_are_onnxs(reference: Any, run_onnx: Any, op: str) -> None:
    ours = {"HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish"}.get(op, op.lower())
    np.testing.assert_allclose(reference(f"mm.{ours}", ORDINARY), run_onnx(op, ORDINARY), rtol=1e-5, atol=1e-6)


def test_relu_of_integers(reference: Any) -> None:
    np.testing.assert_array_equal(reference("mm.relu", np.array([-3, 0, 4], np.int8)), [0, 0, 4])
    opcheck("mm.relu", [np.array([-3, 4], np.int32)])


def test_prelu(reference: Any, run_onnx: Any) -> None:
    slope = RNG.standard_normal((3, 1)).astype(np.float32)
    np.testing.assert_array_equal(reference("mm.prelu", SMALL, slope), run_onnx("PRelu", SMALL, slope))
    opcheck("mm.prelu", [SMALL, slope])
    network = mm.Network()
    x = network.add_input("x", mm.float32, (3,))
    with pytest.raises(mm.VerifyError, match="does not broadcast"):
        network.prelu(x, np.ones((2, 3), np.float32))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_along_an_axis(reference: Any, axis: int) -> None:
    x = torch.tensor(SMALL)
    np.testing.assert_allclose(reference("mm.softmax", SMALL, axis=axis), x.softmax(axis).numpy(), rtol=1e-6)
    np.testing.assert_allclose(
        reference("mm.log_softmax", SMALL, axis=axis), x.log_softmax(axis).numpy(), rtol=1e-5, atol=1e-6
    )
    for op in ("mm.softmax", "mm.log_softmax", "mm.hardmax"):
        for dtype in (np.float32, np.float16, ml_dtypes.bfloat16, np.float64):
            opcheck(op, [np.round(SMALL, 1).astype(dtype)], {"axis": axis})


def test_hardmax_takes_the_first_maximum(reference: Any, run_onnx: Any) -> None:
    x = np.array([[1, 3, 3], [2, 2, 2]], np.float32)
    np.testing.assert_array_equal(reference("mm.hardmax", x), [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(reference("mm.hardmax", x), run_onnx("Hardmax", x))


def test_softmax_extremes(reference: Any) -> None:
    x = np.array([[1e4, 1e4 - 1], [-np.inf, 0], [np.nan, 1]], np.float32)
    np.testing.assert_allclose(reference("mm.softmax", x), torch.tensor(x).softmax(-1).numpy(), rtol=1e-6)
    opcheck("mm.softmax", [x])
    assert reference("mm.softmax", np.zeros((2, 0), np.float32)).shape == (2, 0)


def test_softmax_refuses_an_axis_it_has_not() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 3))
    with pytest.raises(mm.VerifyError, match="axis 2"):
        network.softmax(x, axis=2)
