"""Choosing kernels of bytes: every candidate that may be timed gives the same sums, and the report names them."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.isa import detect, usable
from mm_backend_cpu.codegen.quads import ByteInput, zero_point_share
from mm_backend_cpu.testing import run
from mm_backend_cpu.tuning.candidate import Threads
from mm_backend_cpu.tuning.problems import byte_conv_problem, byte_gemm_problem

import mm_core as mm

TWO = Threads(2, fixed=True)
SUMS = Epilogue((Node("add", (("input", 0), ("input", 1))),), channel_inputs=1, dtypes=("i32", "i32"))


@pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
def test_every_finalist_multiplies(isa):
    rng = np.random.default_rng(0)
    left, weights = rng.integers(0, 256, (70, 130), np.uint8), rng.integers(-128, 128, (130, 96), np.int8)
    problem = byte_gemm_problem(GemmSpec(70, 96, 130, SUMS, ByteInput(130, False, 9)), isa, TWO)
    assert (problem.data, problem.extras) == (70 * 33, (96,))
    assert len({finalist.kernel.source.symbol for finalist in problem.finalists}) == len(problem.finalists) > 1
    for finalist in problem.finalists:
        packed = finalist.kernel.pack(weights)
        assert packed.size == finalist.kernel.packed_elements
        inputs = [left, packed, zero_point_share(weights.T, 9)]
        [output] = run(finalist.kernel.source, isa, inputs, [((70, 96), np.int32)])
        np.testing.assert_array_equal(output, (left.astype(np.int64) - 9) @ weights, err_msg=finalist.title)


def test_every_finalist_convolves():
    rng = np.random.default_rng(0)
    spec = ConvSpec(1, 24, 14, 14, 64, (1, 1), epilogue=SUMS, bytes=ByteInput(24, True, -3))
    x, weights = rng.integers(-128, 128, (196, 24), np.int8), rng.integers(-128, 128, (64, 24, 1, 1), np.int8)
    problem = byte_conv_problem(spec, detect(), TWO)
    assert len(problem.finalists) > 1
    for finalist in problem.finalists:
        inputs = [x, finalist.kernel.pack(weights), zero_point_share(weights, 125)]
        [output] = run(finalist.kernel.source, detect(), inputs, [((196, 64), np.int32)])
        expected = (x.astype(np.int64) + 3) @ weights[:, :, 0, 0].T
        np.testing.assert_array_equal(output, expected, err_msg=finalist.title)


def test_the_report_says_what_was_timed(tmp_path, monkeypatch):
    pytest.importorskip("mm_passes_quantization")
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path))
    rng = np.random.default_rng(0)
    network = mm.Network("product")
    x = network.dequantize(network.add_input("x", mm.uint8, (64, 128)), np.float32(0.02), np.uint8(3))
    weights = network.dequantize(rng.integers(-128, 128, (128, 96)).astype(np.int8), np.float32(0.01), np.int8(0))
    network.mark_output(network.matmul(x, weights), "y")
    (record,) = mm.Builder(mm.BuilderConfig(opt_level=3, threads=1)).build(network).report.kernels
    assert record.kernel == "ui8_gemm"
    assert len(record.variants) > 1
    assert all(variant.measured for variant in record.variants)
