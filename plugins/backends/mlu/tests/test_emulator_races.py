"""Barriers, memory cores and races: right code passes in any order of tasks, a missing barrier fails in every order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mlu_running import Kernels, Violation, kernels, source_of

_HEAD = """
#define N ((float *)mm_nram)
#define S ((float *)mm_sram)
"""
_PARAMETERS = "const float *x, float *y"

_RIGHT = {
    # A memory core brings a tile for its cluster, every core uses all of it.
    "through-sram": """
      if (__is_mpu()) __memcpy_async(S, x, 1024, GDRAM2SRAM);
      __sync_cluster();
      if (__is_ipu()) {
        __memcpy(N, S, 1024, SRAM2NRAM);
        __bang_add_scalar(N, N, (float)taskId, 256);
        __memcpy(y + taskId * 256, N, 1024, NRAM2GDRAM);
      }
    """,
    # Cores hand to their neighbours.
    "neighbours": """
      if (__is_ipu()) {
        __memcpy(N, x, 256, GDRAM2NRAM);
        __bang_add_scalar(N, N, (float)taskId, 64);
        __memcpy(S + coreId * 64, N, 256, NRAM2SRAM);
      }
      __sync_cluster();
      if (__is_ipu()) __memcpy(N, S + (coreId + 1) % 4 * 64, 256, SRAM2NRAM);
      __sync_cluster();
      if (__is_ipu()) {
        __memcpy(S + coreId * 64, N, 256, NRAM2SRAM);
        __memcpy(y + taskId * 256, N, 256, NRAM2GDRAM);
      }
    """,
    # All clusters of the union exchange through GDRAM.
    "all": """
      float value = (float)taskId;
      if (__is_ipu()) { N[0] = value; __memcpy(y + taskId, N, 4, NRAM2GDRAM); }
      __sync_all();
      if (__is_ipu()) { __memcpy(N, y + (taskId + 5) % taskDim, 4, GDRAM2NRAM); value = N[0]; }
      __sync_all();
      if (__is_ipu()) y[taskId + taskDim] = value;
    """,
    "all-cores": """
      if (__is_mpu()) return;
      y[taskId] = (float)taskId;
      __sync_all_ipu();
      float value = y[(taskId + 5) % taskDim];
      __sync_all_ipu();
      y[taskId + taskDim] = value;
    """,
}

_RACES = {
    "sram-unfilled": (
        "if (__is_mpu()) __memcpy(S, x, 1024, GDRAM2SRAM); if (__is_ipu()) __memcpy(N, S, 1024, SRAM2NRAM);",
        ("uninitialised", "race: byte 0 of SRAM"),
    ),
    "sram-overwritten": (
        """
        if (__is_mpu()) __memcpy(S, x, 1024, GDRAM2SRAM);
        __sync_cluster();
        if (__is_ipu()) __memcpy(N, S, 1024, SRAM2NRAM);
        if (__is_mpu()) __memcpy(S, x, 1024, GDRAM2SRAM);
        __sync_cluster();
        """,
        ("race: byte 0 of SRAM",),
    ),
    "sram-both-write": (
        "if (__is_ipu()) { __memcpy(N, x, 64, GDRAM2NRAM); __memcpy(S, N, 64, NRAM2SRAM); }",
        ("written while",),
    ),
    "sram-scalar": ("if (__is_ipu()) S[coreId / 2] = 1;", ("race: byte",)),
    "gdram-neighbour": (
        "if (__is_mpu()) return; y[taskId] = 1; float value = y[(taskId + 1) % taskDim]; y[taskId + taskDim] = value;",
        ("race: byte", "race"),
    ),
    "gdram-cluster-barrier-only": (
        """
        if (__is_ipu()) y[taskId] = 1;
        __sync_cluster();
        if (__is_ipu()) { float value = y[(taskId + 4) % taskDim]; y[taskId + taskDim] = value; }
        """,
        ("race: byte",),
    ),
    "gdram-many-readers": (
        """
        float value = 0;
        if (__is_ipu()) value = y[200];
        __sync_cluster();
        if (taskId == 3 && __is_ipu()) y[200] = value + 1;
        """,
        ("race: byte 800 of a buffer in GDRAM",),
    ),
    "gdram-overlap": (
        "if (__is_ipu()) { __memcpy(N, x, 68, GDRAM2NRAM); __memcpy(y + taskId * 16, N, 68, NRAM2GDRAM); }",
        ("race: byte",),
    ),
    "memory-core-and-cores": (
        """
        if (__is_mpu()) { __memcpy(S, x, 64, GDRAM2SRAM); return; }
        __sync_all_ipu();
        __memcpy(N, S, 64, SRAM2NRAM);
        """,
        ("uninitialised", "race: byte 0 of SRAM"),
    ),
}  # fmt: skip

_SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def code():
    return kernels(source_of([*_RIGHT.values(), *(body for body, _ in _RACES.values())], _PARAMETERS, head=_HEAD))


def _arrays(tasks: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(256, dtype=np.float32), np.zeros(tasks * 256, np.float32)


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("kind", [1, 2])
def test_tile_through_sram(code, kind: int, seed: int) -> None:
    x, y = _arrays(16)
    ran = code.run(x, y, tasks=16, kind=kind, kernel=0, seed=seed)
    assert np.array_equal(y.reshape(16, 256), x + np.arange(16, dtype=np.float32)[:, None])
    assert ran.counters["barriers"] == 4


@pytest.mark.parametrize("seed", _SEEDS)
def test_neighbours(code, seed: int) -> None:
    x, y = _arrays(8)
    code.run(x, y, tasks=8, kind=1, kernel=1, seed=seed)
    handed = [task // 4 * 4 + (task + 1) % 4 for task in range(8)]
    assert np.array_equal(y.reshape(8, 256)[:, :64], x[:64] + np.float32(handed)[:, None])


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("kernel", [2, 3])
def test_union_exchange(code, kernel: int, seed: int) -> None:
    x, y = _arrays(8)
    code.run(x, y, tasks=8, kind=2, kernel=kernel, seed=seed)
    assert np.array_equal(y[8:16], (np.arange(8) + 5) % 8)


def test_barrier_of_one_union_orders_no_other(code) -> None:
    """Two unions of one cluster each: a barrier of all waits for the own cluster alone."""
    x, y = _arrays(8)
    with pytest.raises(Violation, match="race"):
        code.run(x, y, tasks=8, kind=1, kernel=2)


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("name", list(_RACES))
def test_race(code, name: str, seed: int) -> None:
    x, y = _arrays(8)
    kernel = len(_RIGHT) + list(_RACES).index(name)
    with pytest.raises(Violation) as caught:
        code.run(x, y, tasks=8, kind=2, kernel=kernel, seed=seed)
    assert any(words in str(caught.value) for words in _RACES[name][1]), str(caught.value)
    code.run(x, y, tasks=8, kind=2, kernel=0, seed=seed)


def test_order_depends_on_the_seed_alone() -> None:
    """The first task to run is the first to fail: seeds choose among all four, each always the same."""
    code = kernels(source_of(["float value = N[taskId]; y[taskId] = value;"], _PARAMETERS, head=_HEAD))

    def first(seed: int) -> str:
        with pytest.raises(Violation) as caught:
            code.run(*_arrays(4), seed=seed)
        return str(caught.value).split(", ")[2].partition(" (")[0]

    found = [first(seed) for seed in range(20)]
    assert [first(seed) for seed in range(20)] == found
    assert found[0] == "task 0"
    assert set(found) == {"task 0", "task 1", "task 2", "task 3"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("if (coreId != 1) __sync_cluster();", "waits for ever: task 1 has ended without this barrier"),
        ("if (coreId == 1) __sync_all(); else __sync_cluster();", "waits at another barrier"),
        ("if (__is_ipu()) __sync_cluster();", "(memory core) has ended without this barrier"),
        ("if (__is_mpu()) N[0] = 1;", "a memory core has no NRAM"),
        ("if (__is_mpu()) __bang_write_value(N, 32, 1.f);", "a memory core has no units for computing"),
        ("if (__is_mpu()) __memcpy(N, x, 64, GDRAM2NRAM);", "a memory core has no NRAM or WRAM: GDRAM2NRAM"),
        ("__sync_cluster(); if (__is_ipu()) { float v = N[0]; y[taskId] = v; }", "uninitialised"),
    ],
)
def test_barriers_and_memory_cores(body: str, words: str) -> None:
    with pytest.raises(Violation) as caught:
        kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(*_arrays(4), kind=1)
    assert words in str(caught.value)


def test_memories_of_cores_are_their_own() -> None:
    """NRAM and WRAM keep their contents across barriers while other cores use theirs."""
    body = """
      if (__is_ipu()) {
        __bang_write_value(N, 64 + taskId * 64, (float)taskId);
        __bang_write_value(N + 1024, 64, (float)taskId + 0.5f);
        __memcpy((float *)mm_wram, N + 1024, 256, NRAM2WRAM);
      }
      for (int round = 0; round < 3; ++round) __sync_all();
      if (__is_ipu()) {
        __memcpy(N + 1024, (float *)mm_wram, 256, WRAM2NRAM);
        __bang_add(N, N, N + 1024, 64);
        __memcpy(y + taskId * 64, N, 256, NRAM2GDRAM);
      }
    """
    x, y = _arrays(8)
    kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(x, y, tasks=8, kind=2, seed=7)
    assert np.array_equal(y[:512].reshape(8, 64), np.repeat(np.arange(8) * 2 + 0.5, 64).reshape(8, 64))


def test_reading_what_another_core_left_in_nram() -> None:
    body = "if (taskId == 0) N[0] = 1; else { float v = N[0]; y[taskId] = v; }"
    with pytest.raises(Violation, match="uninitialised"):
        kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(*_arrays(4))


def test_barriers_of_a_block_wait_for_the_own_core_alone() -> None:
    body = "y[taskId] = 1; __sync_all(); float v = y[(taskId + 1) % taskDim]; y[taskId + taskDim] = v;"
    with pytest.raises(Violation, match="race"):
        kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(*_arrays(4))


def test_bytes_of_one_word_are_told_apart() -> None:
    """Tasks that write neighbouring bytes are no race."""
    body = "char *bytes = (char *)y; bytes[taskId] = (char)taskId; bytes[taskId + 8] = (char)taskId;"
    x, y = _arrays(8)
    kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(x, y, tasks=8)
    assert y.view(np.int8)[:16].tolist() == [*range(8)] * 2


def test_atomic_additions_are_no_race() -> None:
    body = "N[0] = 1; N[1] = taskId; __sync_compute(); __bang_atomic_reduce_add(y, N, 2);"
    x, y = _arrays(8)
    kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(x, y, tasks=8, seed=3)
    assert y[:2].tolist() == [8.0, 28.0]


def test_more_barriers_than_epochs() -> None:
    body = "for (int round = 0; round < 20000; ++round) { if (coreId == round % 4) S[0] = round; __sync_cluster(); }"
    kernels(source_of([body], _PARAMETERS, head=_HEAD)).run(*_arrays(4), kind=1)


def test_objects_run_beside_each_other() -> None:
    """Each loaded object is a chip of its own: two threads with one each do not see each other."""
    body = """
      for (int round = 0; round < 50; ++round) {
        if (__is_mpu()) __memcpy(S, x, 1024, GDRAM2SRAM);
        __sync_cluster();
        if (__is_ipu()) {
          __memcpy(N, S, 1024, SRAM2NRAM);
          __bang_add_scalar(N, N, (float)(taskId * %d), 256);
          __memcpy(y + taskId * 256, N, 1024, NRAM2GDRAM);
        }
        __sync_cluster();
      }
    """
    factors = (1, 3)
    chips = [Kernels(source_of([body % factor], _PARAMETERS, head=_HEAD)) for factor in factors]

    def run(chip: Kernels) -> list[np.ndarray]:
        results = []
        for seed in range(20):
            x, y = _arrays(8)
            chip.run(x, y, tasks=8, kind=1, seed=seed)
            results.append(y.reshape(8, 256) - x)
        return results

    with ThreadPoolExecutor(2) as pool:
        for factor, results in zip(factors, pool.map(run, chips)):
            for result in results:
                assert np.array_equal(result, np.repeat(np.arange(8) * factor, 256).reshape(8, 256))
