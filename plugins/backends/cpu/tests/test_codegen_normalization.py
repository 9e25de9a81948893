"""Normalisation and softmax kernels against float64 formulas, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.expression import Node
from mm_backend_cpu.codegen.normalization import NormalizationSpec, normalization
from mm_backend_cpu.codegen.rows import RowInputs
from mm_backend_cpu.codegen.softmax import SoftmaxSpec, softmax
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
SCALE_AND_BIAS = (Node("mul", (("input", 4), ("input", 2))), Node("add", (("node", 0), ("input", 3))))


def reference_norm(kind, x, epsilon):
    x = x.astype(np.float64)
    centred = x - x.mean(-1, keepdims=True) if kind == "layer" else x
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)


def reference_softmax(x, axis, logarithm):
    with np.errstate(invalid="ignore"):
        shifted = x.astype(np.float64) - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    return shifted - np.log(total) if logarithm else np.exp(shifted) / total


@ISAS
@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("columns", [1, 7, 64, 131, 768])
@pytest.mark.parametrize("keep", [False, True])
def test_norm_of_a_residual_sum(isa, kind, columns, keep):
    rng = np.random.default_rng(columns)
    x, residual = (rng.standard_normal((5, columns), dtype=np.float32) + 3 for _ in range(2))
    scale, bias = (rng.standard_normal(columns, dtype=np.float32) for _ in range(2))
    inputs = RowInputs(("tensor", "tensor", "column", "column"), (Node("add", (("input", 0), ("input", 1))),))
    spec = NormalizationSpec(kind, 5, columns, 1e-5, inputs, SCALE_AND_BIAS, keep)
    outputs = [((5, columns), np.float32)] * (2 if keep else 1)
    actual = run(normalization(spec), isa, [x, residual, scale, bias], outputs)
    expected = reference_norm(kind, x + residual, 1e-5) * scale + bias
    np.testing.assert_allclose(actual[0], expected, rtol=2e-5, atol=2e-5)
    if keep:
        np.testing.assert_array_equal(actual[1], x + residual)


@ISAS
def test_norm_survives_a_large_mean_and_carries_nan_only_in_its_row(isa):
    x = np.random.default_rng(0).standard_normal((3, 300), dtype=np.float32) + 1000
    x[1, 7] = np.nan
    spec = NormalizationSpec("layer", symbol("N"), symbol("C"), 1e-5, RowInputs(("tensor",)))
    source = normalization(spec)
    (actual,) = run(source, isa, [x], [(x.shape, np.float32)], {"N": 3, "C": 300})
    np.testing.assert_allclose(actual[[0, 2]], reference_norm("layer", x, 1e-5)[[0, 2]], rtol=1e-3, atol=1e-4)
    assert np.isnan(actual[1]).all()
    assert run(source, isa, [x[:0]], [((0, 300), np.float32)], {"N": 0, "C": 300})[0].size == 0


@ISAS
@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("shape", [(4, 1, 1), (3, 9, 1), (2, 128, 1), (5, 1000, 1), (2, 5, 3), (3, 21, 49), (0, 4, 1)])
def test_softmax(isa, shape, logarithm):
    x = np.random.default_rng(1).standard_normal(shape, dtype=np.float32) * 20
    outer, extent, inner = shape
    (actual,) = run(softmax(SoftmaxSpec(outer, extent, inner, logarithm)), isa, [x], [(shape, np.float32)])
    np.testing.assert_allclose(actual, reference_softmax(x, 1, logarithm), rtol=1e-5, atol=1e-6)


@ISAS
@pytest.mark.parametrize("inner", [1, 5])
def test_softmax_of_special_values(isa, inner):
    x = np.array([[1, -np.inf, 3], [np.nan, 1, 2], [-np.inf] * 3, [np.inf, 0, 1], [3e38, -3e38, 0]], np.float32)
    x = np.repeat(x[:, :, None], inner, axis=2)
    (actual,) = run(softmax(SoftmaxSpec(5, 3, inner)), isa, [x], [(x.shape, np.float32)])
    np.testing.assert_allclose(actual, reference_softmax(x, 1, False), rtol=1e-6)


@ISAS
def test_softmax_with_a_mask_before_and_a_scale_after(isa):
    rng = np.random.default_rng(2)
    x, mask = rng.standard_normal((6, 45), dtype=np.float32), rng.standard_normal(45, dtype=np.float32)
    inputs = RowInputs(
        ("tensor", "column"), (Node("mul", (("input", 0), ("scalar", 0.125))), Node("add", (("node", 0), ("input", 1))))
    )
    spec = SoftmaxSpec(6, 45, 1, False, inputs, (Node("mul", (("input", 2), ("scalar", 2.0))),))
    (actual,) = run(softmax(spec), isa, [x, mask], [(x.shape, np.float32)])
    np.testing.assert_allclose(actual, 2 * reference_softmax(x * 0.125 + mask, 1, False), rtol=1e-5)
