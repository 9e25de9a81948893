"""Products with weights of few bits against numpy in float64, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.codes import CodeFormat
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemv import CodedGemmSpec, generate_coded_gemm
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
BIAS, RESIDUAL = Node("add", (("input", 0), ("input", 1))), Node("add", (("node", 0), ("input", 2)))


def weights(layout, seed=0):
    """Codes, scales and zero points, and the weights that they stand for."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**layout.bits, (layout.reduction, layout.outputs), dtype=np.uint8)
    codes.flat[:2] = 0, 2**layout.bits - 1
    scales = rng.uniform(0.5, 2, (layout.blocks, layout.outputs)).astype(np.float32) / 2**layout.bits
    zeros = rng.integers(0, 2**layout.bits, scales.shape, dtype=np.uint8) if layout.zero is None else None
    block = np.arange(layout.reduction) // layout.block
    origin = layout.zero if zeros is None else zeros[block].astype(np.float64)
    return codes, scales, zeros, (codes.astype(np.float64) - origin) * scales[block]


def close(actual, expected, x, dense):
    """Rounding of sums of float32 products, by the size of what is summed."""
    bound = 2e-6 * (np.abs(x) @ np.abs(dense)).max(initial=1)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


@ISAS
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 6, 8, 9, 37])
@pytest.mark.parametrize(
    "layout",
    [
        CodeFormat(4, 64, 130, 32), CodeFormat(4, 256, 48, 16, zero=8), CodeFormat(8, 36, 17, 36, zero=128),
        CodeFormat(8, 200, 64, 64), CodeFormat(2, 48, 33, 16), CodeFormat(4, 40, 1, 32, zero=0),
    ],
    ids=str,
)  # fmt: skip
def test_rows_known_and_unknown(isa, rows, layout):
    codes, scales, zeros, dense = weights(layout)
    x = np.random.default_rng(rows).standard_normal((rows, layout.reduction), dtype=np.float32)
    for size in (rows, symbol("M")):
        kernel = generate_coded_gemm(CodedGemmSpec(size, layout), isa)
        packed = layout.pack(codes, scales, zeros, kernel.width)
        outputs = [((rows, layout.outputs), np.float32)]
        [output] = run(kernel.source, isa, [x, packed], outputs, {"M": rows})
        close(output, x @ dense, x, dense)


@ISAS
@pytest.mark.parametrize("rows", [1, 3, 7, 9])
def test_what_follows_is_computed_with_it(isa, rows):
    layout = CodeFormat(4, 64, 50, 32)
    codes, scales, zeros, dense = weights(layout)
    rng = np.random.default_rng(1)
    x, bias, residual = (rng.standard_normal(s, dtype=np.float32) for s in ((rows, 64), (50,), (rows, 50)))
    kernel = generate_coded_gemm(CodedGemmSpec(symbol("M"), layout, Epilogue((BIAS, RESIDUAL), 1, 1)), isa)
    inputs = [x, layout.pack(codes, scales, zeros, kernel.width), bias, residual]
    [output] = run(kernel.source, isa, inputs, [((rows, 50), np.float32)], {"M": rows})
    close(output, x @ dense + bias + residual, x, dense)


@ISAS
def test_infinities_and_nan_go_where_the_definition_says(isa):
    layout = CodeFormat(4, 32, 16, 16)
    codes, scales, zeros, dense = weights(layout)
    x = np.zeros((3, 32), np.float32)
    x[0, 3], x[1, 5], x[2, 7] = np.inf, -np.inf, np.nan
    kernel = generate_coded_gemm(CodedGemmSpec(3, layout), isa)
    inputs = [x, layout.pack(codes, scales, zeros, kernel.width)]
    with np.errstate(invalid="ignore"):
        expected = np.stack([row.astype(np.float64) @ dense for row in x])
    [output] = run(kernel.source, isa, inputs, [((3, 16), np.float32)])
    np.testing.assert_array_equal(output, expected)
