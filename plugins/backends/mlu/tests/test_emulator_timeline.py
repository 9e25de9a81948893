"""Counters and predicted times against examples worked out by hand, on an MLU370-S4: 1 GHz, so a cycle is a nanosecond.

An instruction is issued in 4 cycles; a copy keeps its engine busy for its bytes at 128 a cycle (one task alone: what a
cluster gets of the DRAM), 16 cycles at least, and is there 320 cycles later, 32 on chip.
"""

from __future__ import annotations

import numpy as np
import pytest
from mlu_running import Ran, kernels, source_of

_HEAD = """
#define N ((float *)mm_nram)
#define M ((float *)(mm_nram + 65536))
#define W ((float *)mm_wram)
#define S ((float *)mm_sram)
"""
_LAUNCH = 2000
_LOAD = "__memcpy(N, x, 4096, GDRAM2NRAM);"
_LOADED = 4 + 32 + 320

# Body, nanoseconds without the launch itself.
_CASES = {
    "nothing": ("", 0),
    "load": (_LOAD, _LOADED),
    "two-loads": (_LOAD * 2, 2 * _LOADED),
    "small-load": ("__memcpy(N, x, 64, GDRAM2NRAM);", 4 + 16 + 320),
    # The second copy follows the first in its engine; only the latency is waited for once.
    "two-loads-at-once": (
        "__memcpy_async(N, x, 4096, GDRAM2NRAM); __memcpy_async(M, x, 4096, GDRAM2NRAM); __sync_io();",
        4 + 32 + 32 + 320,
    ),
    "vector": ("__bang_write_value(N, 1024, 1.f);", 4 + 32 + 16),
    "half-a-vector": ("__bang_write_value(N, 1, 1.f);", 4 + 1 + 16),
    # In order in their unit: the second is issued meanwhile.
    "two-vectors": ("__bang_write_value(N, 1024, 1.f); __bang_write_value(M, 1024, 1.f);", 4 + 32 + 32 + 16),
    "exponential": (
        "__bang_write_value(N, 1024, 1.f); __bang_active_exphp(M, N, 1024);",
        4 + 32 + 4 * 32 + 16,
    ),
    "beside": (
        "__bang_write_value(N, 16384, 1.f); __memcpy_async(M, x, 16384, GDRAM2NRAM); __sync();",
        4 + 512 + 16,
    ),
    "one-after-the-other": (
        "__bang_write_value(N, 16384, 1.f); __sync_compute(); __memcpy_async(M, x, 16384, GDRAM2NRAM); __sync();",
        (4 + 512 + 16) + 4 + 128 + 320,
    ),
    # Waiting is an instruction, too: it is issued at 4 and ends with what it waits for.
    "matmul": (
        _LOAD + "__memcpy(W, x, 4096, GDRAM2WRAM); __bang_matmul(M, N, W, 64, 16, 64);",
        2 * _LOADED + 4 + 2 * 64 * 16 * 64 / 768 + 64,
    ),
    "matmul-half": (
        _LOAD + "__memcpy(W, x, 4096, GDRAM2WRAM); __bang_matmul((half *)M, (half *)N, (half *)W, 64, 32, 64);",
        2 * _LOADED + 4 + 2 * 64 * 32 * 64 / 3072 + 64,
    ),
    "on-chip": (_LOAD + "__memcpy(M, N, 4096, NRAM2NRAM);", _LOADED + 4 + 32 + 32),
    "many-segments": ("__memcpy(N, x, 4, GDRAM2NRAM, 8, 4, 1023);", 4 + 1024 + 320),
    "scattered": ("__memcpy(N, x, 4, GDRAM2NRAM, 4, 128, 63);", 4 + 64 + 320),
    "scalar": ("volatile float *p = M; p[0] = 1; p[1] = 2;", 2 * 12),
    "scalar-dram": ("volatile float *p = y; p[0] = 1;", 320),
}


@pytest.fixture(scope="module")
def code():
    bodies = [body for body, _ in _CASES.values()]
    return kernels(source_of(bodies, "const float *x, float *y", head=_HEAD, nram=262144))


def _run(body: str, tasks: int = 1, kind: int = 0, nram: int = 262144) -> Ran:
    source = source_of([body], "const float *x, float *y", head=_HEAD, nram=nram, sram=1 << 20)
    x, y = np.zeros(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
    return kernels(source).run(x, y, tasks=tasks, kind=kind)


@pytest.mark.parametrize("name", list(_CASES))
def test_time(code, name: str) -> None:
    x, y = np.zeros(16384, np.float32), np.zeros(16384, np.float32)
    ran = code.run(x, y, tasks=1, kernel=list(_CASES).index(name))
    assert ran.seconds * 1e9 == pytest.approx(_CASES[name][1] + _LAUNCH, rel=1e-12)


@pytest.mark.parametrize(
    ("tasks", "rate"), [(1, 128.0), (2, 64.0), (4, 32.0), (8, 32.0), (12, 307.2 / 12), (24, 307.2 / 24)]
)
def test_cores_share_the_dram(tasks: int, rate: float) -> None:
    """A cluster gets 128 bytes a cycle, the chip 307.2."""
    ran = _run("__memcpy(N, x + taskId * 4096, 16384, GDRAM2NRAM);", tasks)
    assert ran.seconds * 1e9 == pytest.approx(4 + 16384 / rate + 320 + _LAUNCH, rel=1e-12)
    assert ran.counters["dram_read_bytes"] == 16384 * tasks


def test_one_busy_core_does_not_outrun_its_cluster() -> None:
    """Memory cores are not among those that share evenly, so the sum of a cluster is a bound of its own."""
    body = """
      if (__is_mpu()) for (int i = 0; i < 64; ++i) __memcpy_async(S, x, 65536, GDRAM2SRAM), __sync_io();
      else for (int i = 0; i < 64; ++i) __memcpy_async(N, x, 65536, GDRAM2NRAM), __sync_io();
    """
    ran = _run(body, tasks=4, kind=1)
    assert ran.counters["dram_read_bytes"] == 5 * 64 * 65536
    assert ran.seconds == pytest.approx(5 * 64 * 65536 / 128e9 + 2e-6, rel=1e-12)


def test_barriers_align_clocks() -> None:
    """The slowest task of a round decides: here each round has another."""
    body = """
      for (int round = 0; round < 4; ++round) {
        if (coreId == round) __bang_write_value(N, 32 * 1000, 1.f);
        __sync_cluster();
      }
    """
    ran = _run(body, tasks=4, kind=1)
    # A barrier is issued, waits for the vector unit, then for the others.
    assert ran.seconds * 1e9 == pytest.approx(4 * (4 + 1000 + 16 + 100) + _LAUNCH, rel=1e-12)
    assert ran.counters["barriers"] == 4


def test_counters() -> None:
    body = """
      __memcpy(N, x, 4096, GDRAM2NRAM);
      __memcpy(W, x, 4096, GDRAM2WRAM);
      __memcpy(M, N, 1024, NRAM2NRAM);
      __bang_add(M, N, N, 1024);
      __bang_maxpool(M, N, 32, 4, 8, 2, 2, 2, 2);
      __sync_compute();
      N[7] = 3;
      __bang_matmul(M, N, W, 3, 16, 64);
      __bang_matmul((half *)M, (half *)N, (half *)W, 3, 32, 64);
      __memcpy(y + taskId * 1024, M, 384, NRAM2GDRAM);
    """
    assert _run(body, tasks=2).counters == {
        "dram_read_bytes": 2 * 8192,
        "dram_written_bytes": 2 * 384,
        "on_chip_bytes": 2 * 1024,
        "vector_bytes": 2 * (4096 + 2 * 4 * 32 * 4 * 4),
        "vector_instructions": 4,
        "tensor_macs_float": 2 * 3 * 16 * 64,
        "tensor_macs_half": 2 * 3 * 32 * 64,
        "tensor_instructions": 4,
        "scalar_accesses": 2,
        "descriptors": 8,
        "barriers": 0,
    }


@pytest.mark.parametrize(
    ("copy", "read", "written"),
    [
        ("__memcpy(N, x + 1, 4, GDRAM2NRAM)", 64, 0),
        ("__memcpy(N, x + 15, 8, GDRAM2NRAM)", 128, 0),
        ("__memcpy(N, x, 8, GDRAM2NRAM, 8, 256, 9)", 640, 0),
        ("__memcpy(N, x, 8, GDRAM2NRAM, 16, 8, 7)", 64, 0),
        ("__memcpy(N, x, 8, GDRAM2NRAM, 8, 32, 7)", 256, 0),
        # What is written in part is read first.
        ("__memcpy(y, N, 64, NRAM2GDRAM)", 0, 64),
        ("__memcpy(y + 1, N, 4, NRAM2GDRAM)", 64, 64),
        ("__memcpy(y + 1, N, 128, NRAM2GDRAM)", 128, 192),
        ("__memcpy(y, N, 32, NRAM2GDRAM, 32, 64, 3)", 0, 128),
        ("__memcpy(y, N, 32, NRAM2GDRAM, 128, 64, 3)", 256, 256),
        ("__memcpy(y, x, 128, GDRAM2GDRAM)", 128, 128),
    ],
)
def test_bytes_of_the_dram(copy: str, read: int, written: int) -> None:
    counters = _run(f"__bang_write_value(N, 1024, 1.f); {copy};").counters
    assert (counters["dram_read_bytes"], counters["dram_written_bytes"]) == (read, written)


def test_more_clusters_are_faster() -> None:
    body = """
      for (int tile = taskId; tile < 96; tile += taskDim) {
        __memcpy(N, x + tile * 64, 256, GDRAM2NRAM);
        for (int i = 0; i < 50; ++i) __bang_add_scalar(M, N, 1.f, 64);
        __memcpy(y + tile * 64, M, 256, NRAM2GDRAM);
      }
    """
    seconds = [_run(body, tasks).seconds - _LAUNCH * 1e-9 for tasks in (4, 8, 24)]
    assert seconds[0] / seconds[1] == pytest.approx(2, rel=0.05)
    assert seconds[0] / seconds[2] == pytest.approx(6, rel=0.05)
