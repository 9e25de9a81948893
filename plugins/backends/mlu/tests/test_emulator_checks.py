"""What the emulator must refuse, one planted fault each; and that the same code without the fault passes."""

from __future__ import annotations

import numpy as np
import pytest
from mlu_running import Violation, kernels, source_of

_PARAMETERS = "const float *x, float *y, float *z"
_HEAD = """
#define N ((float *)mm_nram)
#define M ((float *)(mm_nram + 4096))
#define W ((float *)mm_wram)
#define S ((float *)mm_sram)
#define LOAD(n) __memcpy(N, x, (n) * 4, GDRAM2NRAM);
#define LOADED(n) LOAD(n) __memcpy(M, x, (n) * 4, GDRAM2NRAM);
#define FILTER __memcpy(W, x, 4096, GDRAM2WRAM);
"""

# Number, body, words of the message. A body without words is right and has to pass.
_CASES: list[tuple[str, str, str]] = [
    # Bounds, of each memory and by each unit.
    ("copy-in-bounds", "__memcpy(N, x, 4096, GDRAM2NRAM);", ""),
    ("copy-source-bounds", "__memcpy(N, x, 4100, GDRAM2NRAM);", "source is out of bounds: bytes 0 to 4100 of 4096 in GDRAM"),
    ("copy-before-buffer", "__memcpy(N, x - 1, 64, GDRAM2NRAM);", "source has to be in GDRAM and is in no memory"),
    ("copy-nram-bounds", "__memcpy(N + 16000, x, 4096, GDRAM2NRAM);", "destination is out of bounds: bytes 64000 to 68096 of 65536"),
    ("copy-wram-bounds", "__memcpy(W + 16368, x, 128, GDRAM2WRAM);", "destination is out of bounds"),
    ("copy-stride-bounds", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 510, 8);", "source is out of bounds"),
    ("copy-stride-fits", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 512, 7);", ""),
    ("copy-3d-bounds", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 3, 256, 3, 128, 3, 1270, 3);", "source is out of bounds"),
    ("copy-3d-fits", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 3, 256, 3, 128, 3, 1024, 3);", ""),
    ("vector-bounds", "LOAD(64) __bang_add_scalar(N + 16352, N, 1.f, 64);", "result is out of bounds"),
    ("vector-source-bounds", "__bang_add_scalar(N, N + 16352, 1.f, 64);", "operand is out of bounds"),
    ("tensor-bounds", "LOAD(1024) FILTER __bang_matmul(N + 16320, N, W, 2, 16, 64);", "result is out of bounds"),
    ("tensor-fits", "LOAD(1024) FILTER __bang_matmul(M, N, W, 2, 16, 64);", ""),
    ("scalar-bounds", "volatile float *p = y; p[1024] = 1;", "out of bounds of every memory"),
    ("scalar-read-bounds", "volatile float *p = y; if (taskId == 0) p[0] = p[-1];", "out of bounds of every memory"),
    ("scalar-fits", "volatile float *p = y; if (taskId == 0) p[1023] = 1;", ""),
    # Misalignment.
    ("vector-aligned", "LOAD(64) __bang_add_scalar(N + 32, N, 1.f, 3);", ""),
    ("vector-misaligned", "LOAD(64) __bang_add_scalar(N + 16, N, 1.f, 3);", "misaligned: 128 bytes are needed, it is 64 beyond"),
    ("vector-source-misaligned", "LOAD(64) __bang_add(M, N, N + 1, 3);", "second operand is misaligned"),
    ("wram-misaligned", "__memcpy(W + 1, x, 64, GDRAM2WRAM);", "destination is misaligned: 64 bytes"),
    ("wram-size", "__memcpy(W, x, 96, GDRAM2WRAM);", "96 bytes go to or from WRAM"),
    ("wram-stride", "__memcpy(W, x, 64, GDRAM2WRAM, 96, 128, 1);", "stride of 96 bytes in WRAM"),
    ("tensor-misaligned", "LOAD(64) FILTER __bang_matmul(M, N, W + 4, 1, 16, 64);", "right operand is misaligned"),
    ("tensor-lanes", "LOAD(64) FILTER __bang_matmul(M, N, W, 1, 16, 32);", "32 columns of the result are no multiple of 64 lanes"),
    ("tensor-inner", "LOAD(64) FILTER __bang_matmul(M, N, W, 1, 8, 64);", "inner axis of 32 bytes is no multiple of 64"),
    ("conv-inner", "LOAD(64) FILTER __bang_conv(M, N, W, 4, 2, 2, 1, 1, 1, 1, 64);", "inner axis of 16 bytes"),
    ("conv-window", "LOAD(64) FILTER __bang_conv(M, N, W, 16, 2, 2, 3, 1, 1, 1, 64);", "filter of 3x1 does not fit 2x2"),
    ("conv-fits", "LOAD(64) FILTER __bang_conv(M, N, W, 16, 2, 2, 1, 1, 1, 1, 64);", ""),
    ("reshape-rows", "LOAD(1024) __bang_reshape_filter(M, N, 32, 1, 1, 16);", "32 rows are no multiple of 64 lanes"),
    ("pool-window", "LOAD(64) __bang_maxpool(M, N, 16, 2, 2, 3, 2, 1, 1);", "window of 3x2 does not fit 2x2"),
    ("cycle", "LOADED(64) __bang_cycle_add(N, N, M, 64, 24);", "64 elements are no multiple of the cycle's 24"),
    ("count", "LOAD(64) __bang_add_scalar(N, N, 1.f, 0);", "has to be positive"),
    ("size", "__memcpy(N, x, 0, GDRAM2NRAM);", "size in bytes is 0"),
    ("segments", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 64, -1);", "count of segments"),
    ("segments-differ", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 3, 256, 1, 64, 3, 256, 2);", "8 segments are written and 12 are read"),
    # Reading what nobody wrote.
    ("uninitialised-vector", "LOAD(64) __bang_add_scalar(N, N, 1.f, 65);", "operand is uninitialised at byte 256 of 260"),
    ("uninitialised-copy", "__memcpy(y, N, 64, NRAM2GDRAM);", "source is uninitialised at byte 0"),
    ("uninitialised-tensor", "LOAD(16) __bang_matmul(M, N, W, 1, 16, 64);", "right operand is uninitialised"),
    ("uninitialised-gap", "__memcpy(N, x, 64, GDRAM2NRAM, 128, 64, 3); __bang_add_scalar(M, N, 1.f, 64);", "uninitialised at byte 64"),
    ("uninitialised-scalar", "if (N[taskId] > 0) y[taskId] = 1;", "scalar read: the address is uninitialised"),
    ("uninitialised-buffer", "__memcpy(N, z, 64, GDRAM2NRAM);", "source is uninitialised"),
    ("written-buffer", "LOAD(16) if (taskId == 0) { __memcpy(z, N, 64, NRAM2GDRAM); __memcpy(M, z, 64, GDRAM2NRAM); }", ""),
    # Waiting for copies.
    ("unwaited-vector", "__memcpy_async(N, x, 256, GDRAM2NRAM); __bang_add_scalar(M, N, 1.f, 64);", "read before the copy of line"),
    ("unwaited-wrong", "__memcpy_async(N, x, 256, GDRAM2NRAM); __sync_move(); __bang_add_scalar(M, N, 1.f, 64);", "__sync_io"),
    ("waited-vector", "__memcpy_async(N, x, 256, GDRAM2NRAM); __sync_io(); __bang_add_scalar(M, N, 1.f, 64);", ""),
    ("unwaited-beside", "LOAD(64) __memcpy_async(M, x, 256, GDRAM2NRAM); __bang_add_scalar(N, N, 1.f, 64); __sync();", ""),
    ("unwaited-store", "__memcpy_async(N, x, 256, GDRAM2NRAM); __memcpy(y, N, 256, NRAM2GDRAM);", "source is read before the copy"),
    ("unwaited-async-store", "__memcpy_async(N, x, 256, GDRAM2NRAM); __memcpy_async(y, N, 256, NRAM2GDRAM);", "read before the copy"),
    ("unwaited-scalar", "__memcpy_async(N, x, 256, GDRAM2NRAM); volatile float *p = N; p[3] = p[4];", "scalar read: the address is read before"),
    ("unwaited-tensor", "LOAD(16) __memcpy_async(W, x, 4096, GDRAM2WRAM); __bang_matmul(M, N, W, 1, 16, 64);", "right operand is read before"),
    ("unwaited-move", "LOAD(64) __memcpy_async(M, N, 256, NRAM2NRAM); __sync_io(); __bang_add_scalar(M, M, 1.f, 64);", "(__sync_move)"),
    ("waited-move", "LOAD(64) __memcpy_async(M, N, 256, NRAM2NRAM); __sync_move(); __bang_add_scalar(M, M, 1.f, 64);", ""),
    ("overwritten-source", "LOAD(64) __memcpy_async(y, N, 256, NRAM2GDRAM); __bang_add_scalar(N, N, 1.f, 64);", "written before the copy of line"),
    ("overwritten-by-scalar", "LOAD(64) __memcpy_async(M, N, 256, NRAM2NRAM); volatile float *p = N; p[63] = 1;", "scalar write: the address is written before"),
    ("overwritten-by-copy", "LOAD(64) __memcpy_async(M, N, 256, NRAM2NRAM); __memcpy(N, x, 8, GDRAM2NRAM);", "destination is written before"),
    ("two-copies-in", "__memcpy_async(N, x, 256, GDRAM2NRAM); __memcpy_async(N + 63, x, 256, GDRAM2NRAM);", "destination is written before"),
    ("strided-beside", "__memcpy_async(N, x, 64, GDRAM2NRAM, 128, 64, 3); __memcpy_async(N + 16, x, 64, GDRAM2NRAM, 128, 64, 3); __sync();", ""),
    ("strided-on", "__memcpy_async(N, x, 64, GDRAM2NRAM, 128, 64, 3); __memcpy_async(N + 15, x, 64, GDRAM2NRAM, 128, 64, 3);", "written before"),
    # Waiting for computations, which run beside copies and scalar code.
    ("uncomputed-store", "LOAD(64) __bang_add_scalar(N, N, 1.f, 64); __memcpy_async(y, N, 256, NRAM2GDRAM);", "(__sync_compute)"),
    ("computed-store", "if (taskId) return; LOAD(64) __bang_add_scalar(N, N, 1.f, 64); __sync_compute(); __memcpy_async(y, N, 256, NRAM2GDRAM);", ""),
    ("computed-sync-store", "if (taskId) return; LOAD(64) __bang_add_scalar(N, N, 1.f, 64); __memcpy(y, N, 256, NRAM2GDRAM);", ""),
    ("uncomputed-scalar", "LOAD(64) __bang_add_scalar(N, N, 1.f, 64); volatile float *p = N; p[64] = p[3];", "before the computation that writes it"),
    ("computed-scalar", "LOAD(64) __bang_add_scalar(N, N, 1.f, 64); __sync_compute(); volatile float *p = N; p[64] = p[3];", ""),
    ("reloaded-source", "LOAD(64) __bang_add_scalar(M, N, 1.f, 64); __memcpy_async(N, x, 256, GDRAM2NRAM);", "before the computation that reads it"),
    ("reloaded-filter", "LOAD(16) FILTER __bang_matmul(M, N, W, 1, 16, 64); __memcpy_async(W, x, 64, GDRAM2WRAM);", "before the computation that reads it"),
    ("reloaded-after", "LOAD(16) FILTER __bang_matmul(M, N, W, 1, 16, 64); __sync_compute(); __memcpy_async(W, x, 64, GDRAM2WRAM);", ""),
    ("computed-in-order", "LOAD(64) __bang_add_scalar(N, N, 1.f, 64); __bang_add_scalar(M, N, 1.f, 64);", ""),
    # Directions and address spaces.
    ("direction-swapped", "LOAD(64) __memcpy(y, N, 64, GDRAM2NRAM);", "has to be in GDRAM and is in NRAM"),
    ("direction-wram", "__memcpy(W, x, 64, GDRAM2NRAM);", "destination has to be in NRAM and is in WRAM"),
    ("direction-unknown", "__memcpy(N, x, 64, (mluMemcpyDirection_t)99);", "99 is not a direction"),
    ("vector-on-gdram", "__bang_add_scalar(y, x, 1.f, 64);", "operand has to be in NRAM and is in GDRAM"),
    ("vector-on-wram", "FILTER __bang_add_scalar(N, W, 1.f, 64);", "operand has to be in NRAM and is in WRAM"),
    ("tensor-left-in-wram", "FILTER __bang_matmul(N, W, W, 1, 16, 64);", "left operand has to be in NRAM and is in WRAM"),
    ("tensor-right-in-nram", "LOADED(1024) __bang_matmul(N + 8192, N, M, 1, 16, 64);", "right operand has to be in WRAM and is in NRAM"),
    ("tensor-into-wram", "LOAD(16) FILTER __bang_matmul(W + 4096, N, W, 1, 16, 64);", "result has to be in NRAM and is in WRAM"),
    ("scalar-wram", "FILTER volatile float *p = W; y[taskId] = p[0];", "WRAM can only be copied to"),
    ("read-only", "LOAD(16) __memcpy((void *)x, N, 64, NRAM2GDRAM);", "a buffer that this launch may only read"),
    ("read-only-scalar", "volatile float *p = (float *)x; p[taskId] = 1;", "may only read"),
    ("stack", "float local[16]; __bang_add_scalar(N, local, 1.f, 16);", "operand has to be in NRAM and is in the stack"),
    ("block-sram", "__memcpy(S, x, 64, GDRAM2SRAM);", "tasks of a Block launch have no SRAM"),
    # Operands that overlap.
    ("overlap-shifted", "LOAD(96) __bang_add_scalar(N + 32, N, 1.f, 64);", "result overlaps an operand"),
    ("overlap-in-place", "LOAD(64) __bang_add(N, N, N, 64);", ""),
    ("overlap-transpose", "LOAD(64) __bang_transpose(N, N, 8, 8);", "result overlaps an operand"),
    ("overlap-widen", "LOAD(64) __bang_half2float(N, (half *)N, 64);", "result overlaps an operand"),
    ("overlap-matmul", "LOAD(1024) FILTER __bang_matmul(N, N, W, 1, 16, 64);", "result overlaps an operand"),
    ("overlap-copy", "LOAD(64) __memcpy(N + 32, N, 256, NRAM2NRAM);", "source and destination overlap"),
    ("overlap-segments", "__memcpy(N, x, 64, GDRAM2NRAM, 60, 64, 3);", "segments of the destination overlap"),
    ("broadcast-source", "__memcpy(N, x, 64, GDRAM2NRAM, 64, 0, 3); __bang_add_scalar(N, N, 1.f, 64);", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def checked():
    return kernels(source_of([body for _, body, _ in _CASES], _PARAMETERS, head=_HEAD))


@pytest.mark.parametrize("number", range(len(_CASES)), ids=[name for name, _, _ in _CASES])
@pytest.mark.parametrize("seed", [0, 5])
def test_case(checked, number: int, seed: int) -> None:
    _, _, words = _CASES[number]
    x, y, z = (np.ones(1024, np.float32) for _ in range(3))

    def run() -> None:
        checked.run(x, y, z, written=(1, 2), uninitialised=(2,), kernel=number, seed=seed)

    if words:
        with pytest.raises(Violation) as caught:
            run()
        assert words in str(caught.value)
    else:
        run()
    # What a violation leaves behind harms no later launch.
    checked.run(x, y, z, written=(1, 2), uninitialised=(2,), kernel=0, seed=seed)


def test_message_says_kernel_line_task_and_instruction(checked) -> None:
    x = np.ones(1024, np.float32)
    number = next(index for index, case in enumerate(_CASES) if case[0] == "vector-misaligned")
    with pytest.raises(Violation) as caught:
        checked.run(x, x, x, kernel=number, seed=3)
    line = 6 + _HEAD.count("\n") + 3 * number + 2
    assert str(caught.value).startswith(f"kernel kernel_{number}, kernels.mlu:{line}, task ")
    assert "cluster 0, core " in str(caught.value)
    assert "__bang_add_scalar: the result is misaligned" in str(caught.value)


def test_arrays_larger_than_the_memories() -> None:
    x = np.ones(16, np.float32)
    for memory, size in (("nram", 655361), ("wram", 1048577), ("sram", 4063233)):
        with pytest.raises(Violation, match=f"arrays in {memory.upper()} take {size} bytes"):
            kernels(source_of([""], "float *x", **{memory: size})).run(x)
    kernels(source_of([""], "float *x", nram=655360, wram=1048576, sram=4063232)).run(x)
    with pytest.raises(Violation, match="arrays in NRAM take 655360 bytes, and 393216 are there"):
        kernels(source_of([""], "float *x", nram=655360), "MLU590").run(x)


@pytest.mark.parametrize(
    ("tasks", "kind", "words"),
    [
        (28, 0, "28 tasks on a chip of 24 cores"),
        (6, 1, "6 tasks are no multiple of a union of 1 clusters"),
        (4, 2, "4 tasks are no multiple of a union of 2 clusters"),
    ],
)
def test_dimensions(tasks: int, kind: int, words: str) -> None:
    with pytest.raises(Violation, match=words):
        kernels(source_of([""], "float *x")).run(np.ones(16, np.float32), tasks=tasks, kind=kind)


def test_many_unwaited_computations_are_remembered() -> None:
    """More reads than are kept apart, and more waits than an epoch counts."""
    body = """
      LOAD(1024)
      for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 31; ++i) __bang_add_scalar(M, N + i * 7 %% 31 * 32, 1.f, 16);
        if (round < 299) __sync_compute();
      }
      __memcpy_async(%s, x, 64, GDRAM2NRAM);
    """
    code = kernels(source_of([body % "N + 30 * 32 + 16", body % "N + 30 * 32 + 15"], _PARAMETERS, head=_HEAD))
    x = np.ones(1024, np.float32)
    code.run(x, x, x, kernel=0)
    with pytest.raises(Violation, match="before the computation that reads it"):
        code.run(x, x, x, kernel=1)
