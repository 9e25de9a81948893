"""What the emulator must refuse, one planted fault each; and that the same code without the fault passes."""

from __future__ import annotations

import ctypes
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlu_running import Kernels, Violation, kernels, source_of
from mm_backend_mlu.target import find_card

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



def _cases() -> list[tuple[str, str, str]]:
    """Name, body and the words of the violation; without words the body is right and has to pass."""
    text = (Path(__file__).parent / "emulator_checks.txt").read_text()
    cases = []
    for case in re.split(r"^\[", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]:
        name, _, rest = case.partition("]\n")
        body, _, words = rest.partition("\n=> ")
        cases.append((name, body.strip(), words.strip()))
    return cases


_CASES = _cases()


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


def test_old_chips_take_whole_vectors_only() -> None:
    body = "LOAD(1024) __bang_add_scalar(N, N, 1.f, 32); __bang_add_scalar(M, N, 1.f, 33);"
    source, x = source_of([body], _PARAMETERS, head=_HEAD), np.ones(1024, np.float32)
    Kernels(source, find_card("MLU370-S4")).run(x, x, x)
    with pytest.raises(Violation, match="33 elements are no multiple of 128 bytes"):
        Kernels(source, replace(find_card("MLU370-S4"), bang_arch=270)).run(x, x, x)


@pytest.mark.parametrize("place", ["mm_nram", "mm_wram"])
def test_memories_are_as_large_as_stated(place: str) -> None:
    """The last bytes of a memory can be used, the next cannot; whatever else the object holds."""
    direction = {"mm_nram": "GDRAM2NRAM", "mm_wram": "GDRAM2WRAM"}[place]
    bodies = [f"__memcpy({place} + {offset}, x, 64, {direction});" for offset in (8192 - 64, 8192)]
    code = kernels(source_of(bodies, _PARAMETERS, nram=8192, wram=8192))
    x = np.ones(16, np.float32)
    code.run(x, x, x, kernel=0)
    with pytest.raises(Violation, match="destination has to be in"):
        code.run(x, x, x, kernel=1)


def test_what_the_object_exports() -> None:
    code = kernels(source_of(["", ""], _PARAMETERS))
    x = np.ones(16, np.float32)
    assert (code.library.mm_mlu_abi(), code.library.mm_mlu_kernels()) == (1, 2)
    with pytest.raises(Violation, match="status -1"):
        code.run(x, x, x, kernel=2)


def test_launch_of_another_layout_is_refused() -> None:
    """A driver that states the launch otherwise than the object was built for is not believed."""
    launch = (ctypes.c_uint64 * 512)(8)
    no_buffers = (ctypes.c_void_p * 3)()
    code = kernels(source_of([""], _PARAMETERS))
    assert code.library.mm_mlu_launch(0, 4, 0, ctypes.byref(launch), no_buffers) == -2


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
