"""Predicted against measured: kernels whose times on hardware are published, from the simplest to a pipelined one.

The repository kolp323 measured products of 8192x512x512 in float on an MLU370-M8 at 1.3 GHz, with 32 tasks in Block.
Each of its devices is taken to have 4 clusters, like the MLU370-X8, so 32 tasks run in two rounds of 16. The measured
times say nothing of any network, and nothing here was chosen to meet them.
"""

from __future__ import annotations

import numpy as np
import pytest
from mlu_running import kernels, source_of

_ROWS, _DEPTH, _COLUMNS = 8192, 512, 512
_HEAD = """
constexpr int kRows = 8192, kDepth = 512, kColumns = 512, kTasks = 32, kBlock = 32, kBlocks = kRows / kTasks / kBlock;
float *left_tile(int slot) { return (float *)mm_nram + slot * kBlock * kDepth; }
float *result_tile(int slot) { return (float *)mm_nram + 2 * kBlock * kDepth + slot * kBlock * kColumns; }
"""
_SIMPLE = """
  for (int task = taskId; task < kTasks; task += taskDim) {
    __memcpy(mm_wram, right, kDepth * kColumns * 4, GDRAM2WRAM);
    for (int block = 0; block < kBlocks; ++block) {
      const int row = (task * kBlocks + block) * kBlock;
      __memcpy(left_tile(0), left + row * kDepth, kBlock * kDepth * 4, GDRAM2NRAM);
      __bang_matmul(result_tile(0), left_tile(0), (float *)mm_wram, kBlock, kDepth, kColumns);
      __memcpy(out + row * kColumns, result_tile(0), kBlock * kColumns * 4, NRAM2GDRAM);
    }
  }
"""
_PIPELINED = """
  for (int task = taskId; task < kTasks; task += taskDim) {
    __memcpy(mm_wram, right, kDepth * kColumns * 4, GDRAM2WRAM);
    for (int step = 0; step < kBlocks + 2; ++step) {
      const int row = (task * kBlocks + step) * kBlock;
      if (step >= 2)
        __memcpy_async(out + (row - 2 * kBlock) * kColumns, result_tile(step % 2), kBlock * kColumns * 4, NRAM2GDRAM);
      if (step < kBlocks)
        __memcpy_async(left_tile(step % 2), left + row * kDepth, kBlock * kDepth * 4, GDRAM2NRAM);
      const int slot = (step + 1) % 2;
      if (step >= 1 && step <= kBlocks)
        __bang_matmul(result_tile(slot), left_tile(slot), (float *)mm_wram, kBlock, kDepth, kColumns);
      __sync();
    }
  }
"""
_SCALAR_ROWS, _SCALAR_DEPTH, _SCALAR_COLUMNS = 16, 64, 64
_SCALAR = """
  if (taskId) return;
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 64; ++column) {
      float sum = 0;
      for (int depth = 0; depth < 64; ++depth) sum += left[row * 64 + depth] * right[column * 64 + depth];
      out[row * 64 + column] = sum;
    }
"""
_SOURCE = source_of(
    [_SIMPLE, _PIPELINED, _SCALAR], "const float *left, const float *right, float *out",
    head=_HEAD, nram=655360, wram=1 << 20,
)  # fmt: skip


@pytest.mark.parametrize(("kernel", "measured"), [(0, 0.453e-3), (1, 0.444e-3)], ids=["simple", "pipelined"])
def test_product(kernel: int, measured: float) -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 8192, 512)).astype(np.float32)
    right = np.ascontiguousarray(right[:_COLUMNS])
    lanes = np.ascontiguousarray(right.reshape(_COLUMNS // 64, 64, _DEPTH).transpose(1, 0, 2))
    out = np.zeros((_ROWS, _COLUMNS), np.float32)
    ran = kernels(_SOURCE, "MLU370-X8").run(left, lanes, out, tasks=16, kernel=kernel)
    np.testing.assert_allclose(out, left @ right.T, rtol=0, atol=2e-4)
    assert 1 / 1.5 < ran.seconds / measured < 1.5


def test_scalar_product() -> None:
    """5280 ms for 128x256x256 when scalar code reads GDRAM; here a part of it, as its time grows evenly."""
    left, right = np.ones((2, 64, 64), np.float32)
    out = np.zeros((16, 64), np.float32)
    ran = kernels(_SOURCE, "MLU370-X8").run(left, right, out, tasks=1, kernel=2)
    assert np.all(out == 64)
    measured = 5.28 * (16 * 64 * 64) / (128 * 256 * 256)
    assert 1 / 1.5 < ran.seconds / measured < 1.5
