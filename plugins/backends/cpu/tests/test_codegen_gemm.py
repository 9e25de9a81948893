"""Matrix products against numpy in float64, on every instruction set of this machine."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mm_backend_cpu.codegen.blocking import TileShape, choose_blocking
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemm import GemmSpec, gemm_extent, generate_gemm
from mm_backend_cpu.codegen.isa import detect, usable
from mm_backend_cpu.codegen.matmul import MatmulSpec, Strides, generate_matmul, matrix_strides
from mm_backend_cpu.testing import Bound, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
M, N, K = symbol("M"), symbol("N"), symbol("K")
BIAS = Node("add", (("input", 0), ("input", 1)))
GELU = Epilogue((BIAS, Node("gelu", (("node", 0),), {"approximate": "none"})), channel_inputs=1)
RESIDUAL = Epilogue(
    (BIAS, Node("add", (("node", 0), ("input", 2))), Node("relu", (("node", 1),))), channel_inputs=1, tensor_inputs=1
)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def close(actual, expected, reduction):
    """Rounding of float32 sums of `reduction` products of normal numbers."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=3e-7 * max(reduction, 16))


@ISAS
@pytest.mark.parametrize(
    ("rows", "outputs", "reduction"),
    [(1, 1, 1), (1, 63, 7), (5, 65, 17), (3, 17, 0), (0, 16, 4), (197, 64, 33), (49, 100, 65), (13, 257, 1600)],
)
def test_gemm(isa, rows, outputs, reduction):
    left, weights = arrays((rows, reduction), (reduction, outputs))
    kernel = generate_gemm(GemmSpec(rows, outputs, reduction), isa)
    [output] = run(kernel.source, isa, [left, kernel.pack(weights)], [((rows, outputs), np.float32)])
    close(output, left.astype(np.float64) @ weights, reduction)


@ISAS
@pytest.mark.parametrize("outputs", [16, 41, 130])
@pytest.mark.parametrize("rows", [0, 1, 5, 127, 197])
def test_gemm_with_rows_known_at_run_time(isa, rows, outputs):
    left, weights, bias, residual = arrays((rows, 70), (70, outputs), (outputs,), (rows, outputs))
    kernel = generate_gemm(GemmSpec(M, outputs, 70, RESIDUAL), isa)
    inputs = [left, kernel.pack(weights), bias, residual]
    [output] = run(kernel.source, isa, inputs, [((rows, outputs), np.float32)], {"M": rows})
    close(output, np.maximum(left.astype(np.float64) @ weights + bias + residual, 0), 70)


@ISAS
@pytest.mark.parametrize("outputs", [3, 64, 75])
def test_long_epilogue(isa, outputs):
    left, weights, bias = arrays((23, 40), (40, outputs), (outputs,))
    kernel = generate_gemm(GemmSpec(23, outputs, 40, GELU), isa)
    [output] = run(kernel.source, isa, [left, kernel.pack(weights), bias], [((23, outputs), np.float32)])
    x = left.astype(np.float64) @ weights + bias
    close(output, x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))), 40)


@pytest.mark.parametrize("tile", [TileShape(p, v) for p, v in ((6, 4), (9, 3), (14, 2), (1, 4), (14, 1))], ids=str)
def test_every_tile_shape_gives_the_same(tile):
    left, weights = arrays((61, 900), (900, 120))
    spec = GemmSpec(61, 120, 900)
    kernel = generate_gemm(spec, detect(), choose_blocking(gemm_extent(spec), detect(), tile))
    [output] = run(kernel.source, detect(), [left, kernel.pack(weights)], [((61, 120), np.float32)])
    close(output, left.astype(np.float64) @ weights, 900)


def test_residual_in_place():
    left, weights, bias, residual = arrays((50, 32), (32, 48), (48,), (50, 48))
    kernel = generate_gemm(GemmSpec(50, 48, 32, RESIDUAL), detect())
    expected = np.maximum(left.astype(np.float64) @ weights + bias + residual, 0)
    bound = Bound(kernel.source, detect(), [left, kernel.pack(weights), bias, residual], [((50, 48), np.float32)])
    bound.outputs[0][...] = residual
    bound._data[3] = bound._data[4]  # the residual is the output itself
    bound.run(4)
    close(bound.outputs[0], expected, 32)


def test_nan_and_infinity_pass():
    left, weights = arrays((20, 8), (8, 40))
    left[3, 2], left[7, 1] = np.nan, np.inf
    kernel = generate_gemm(GemmSpec(20, 40, 8, Epilogue((Node("relu", (("input", 0),)),))), detect())
    [output] = run(kernel.source, detect(), [left, kernel.pack(weights)], [((20, 40), np.float32)])
    assert np.isnan(output[3]).all()
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isinf(output[7]), weights[1] > 0)
    assert np.isfinite(np.delete(output, [3, 7], axis=0)).all()


@ISAS
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize(("rows", "outputs", "reduction"), [(1, 100, 65), (37, 30, 19), (16, 128, 700)])
def test_matmul(isa, dynamic, transposed, rows, outputs, reduction):
    left, right = arrays((2, 3, rows, reduction), (3, reduction, outputs))
    expected = left.astype(np.float64) @ right
    if transposed[0]:
        left = np.ascontiguousarray(left.swapaxes(-1, -2))
    if transposed[1]:
        right = np.ascontiguousarray(right.swapaxes(-1, -2))
    m, n, k = (M, N, K) if dynamic else (rows, outputs, reduction)
    batch = (symbol("B"), 3) if dynamic else (2, 3)
    spec = MatmulSpec(
        batch, m, n, k,
        left=matrix_strides(batch, m, k, transposed=transposed[0]),
        right=matrix_strides((1, 3), k, n, transposed=transposed[1]),
    )  # fmt: skip
    source = generate_matmul(spec, isa)
    sizes = {"M": rows, "N": outputs, "K": reduction, "B": 2}
    [output] = run(source, isa, [left, right], [(expected.shape, np.float32)], sizes)
    close(output, expected, reduction)


def test_matmul_reads_packed_heads_in_place():
    """Scores of attention straight from a projection of shape [batch, sequence, 3, heads, size]."""
    batch, sequence, heads, size = 2, 19, 4, 24
    [packed] = arrays((batch, sequence, 3, heads, size))
    step = 3 * heads * size
    query = Strides((sequence * step, size), step, 1)
    key = Strides((sequence * step, size), 1, step)
    scale = Epilogue((Node("mul", (("input", 0), ("scalar", 0.125))),))
    spec = MatmulSpec((batch, heads), sequence, sequence, size, query, key, scale)
    expected = np.einsum("bqhd,bkhd->bhqk", *packed[:, :, :2].astype(np.float64).transpose(2, 0, 1, 3, 4)) * 0.125
    flat = packed.reshape(-1)
    [output] = run(
        generate_matmul(spec, detect()), detect(), [flat, flat[heads * size :]], [(expected.shape, np.float32)]
    )
    close(output, expected, size)


def test_empty_batch():
    spec = MatmulSpec((0,), 4, 4, 4, matrix_strides((0,), 4, 4), matrix_strides((0,), 4, 4))
    empty = np.zeros((0, 4, 4), np.float32)
    [output] = run(generate_matmul(spec, detect()), detect(), [empty, empty], [((0, 4, 4), np.float32)])
    assert output.shape == (0, 4, 4)
