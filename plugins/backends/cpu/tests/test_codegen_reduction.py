"""Reduction kernels against numpy, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.elementwise import Operand
from mm_backend_cpu.codegen.expression import Node
from mm_backend_cpu.codegen.reduction import ReductionSpec, reduction
from mm_backend_cpu.codegen.strides import broadcast_strides, dense_strides
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
FUNCTIONS = {"sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max, "min": np.min}


def result_shape(shape, axes):
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


@ISAS
@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((7,), (0,)), ((3, 100), (1,)), ((100, 37), (0,)), ((2, 5, 3, 70), (1, 3)), ((2, 5, 3, 70), (0, 2)),
        ((4, 300, 1), (1,)), ((4, 3, 5), (0, 1, 2)), ((1, 1), (0, 1)), ((5, 0, 3), (0,)), ((2, 9, 600), (1,)),
    ],
    ids=str,
)  # fmt: skip
def test_any_axes(isa, kind, shape, axes):
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32) * np.float32(-1)
    spec = ReductionSpec(kind, shape, axes, (Operand("f32", dense_strides(shape)),))
    (actual,) = run(reduction(spec), isa, [x], [(result_shape(shape, axes), np.float32)])
    np.testing.assert_allclose(actual, FUNCTIONS[kind](x.astype(np.float64), axis=axes), rtol=2e-5)


@ISAS
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_element_wise_work_before_and_after(isa, axes):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((19, 45), dtype=np.float32), rng.standard_normal(45, dtype=np.float32)
    spec = ReductionSpec(
        "mean", (19, 45), axes, (Operand("f32", (45, 1)), Operand("f32", broadcast_strides((45,), (19, 45)))),
        (Node("sub", (("input", 0), ("input", 1))), Node("square", (("node", 0),)), Node("exp", (("node", 1),))),
        (Node("sqrt", (("input", 0),)),),
    )  # fmt: skip
    (actual,) = run(reduction(spec), isa, [x, y], [(result_shape((19, 45), axes), np.float32)])
    expected = np.sqrt(np.exp((x.astype(np.float64) - y) ** 2).mean(axes))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@ISAS
@pytest.mark.parametrize("axes", [(0,), (1,)])
def test_nan_and_infinity_stay_in_their_result(isa, axes):
    x = np.random.default_rng(2).standard_normal((50, 50), dtype=np.float32)
    x[3, 4], x[7, 8], x[9, 9] = np.nan, np.inf, -np.inf
    for kind in ("max", "min", "sum"):
        spec = ReductionSpec(kind, (50, 50), axes, (Operand("f32", (50, 1)),))
        (actual,) = run(reduction(spec), isa, [x], [((50,), np.float32)])
        np.testing.assert_allclose(actual, FUNCTIONS[kind](x, axis=axes), rtol=1e-4, atol=1e-5)


@ISAS
@pytest.mark.parametrize("axes", [(0, 2), (1,)])
def test_symbolic_extents_share_one_kernel(isa, axes):
    shape = (symbol("N"), symbol("C"), symbol("L"))
    source = reduction(ReductionSpec("sum", shape, axes, (Operand("f32", dense_strides(shape)),)))
    for sizes in ((2, 3, 5), (1, 700, 33), (4, 1, 1)):
        x = np.random.default_rng(3).standard_normal(sizes, dtype=np.float32)
        (actual,) = run(source, isa, [x], [(result_shape(sizes, axes), np.float32)], dict(zip("NCL", sizes)))
        np.testing.assert_allclose(actual, x.sum(axes, dtype=np.float64), rtol=1e-4, atol=1e-4)
