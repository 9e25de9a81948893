"""Runs kernels in BANG C on the emulator: a text and arrays in, results and counters out, or the violation."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from mm_backend_mlu.drivers.emulated import _COUNTERS, _described, _Launch, _Region
from mm_backend_mlu.target import Target, find_card
from mm_backend_mlu.toolchain import compile_emulated

_S4 = find_card("MLU370-S4")


class Violation(Exception):
    """What the emulator found."""


@dataclass(frozen=True)
class Ran:
    """What a launch on the emulator gave: its counters and the seconds predicted for the chip."""

    counters: dict[str, int]
    seconds: float


class Kernels:
    """A compiled source. `run` launches one of its kernels on numpy arrays, which are the device's memory."""

    def __init__(self, source: str, target: Target = _S4) -> None:
        self.target = target
        code = compile_emulated(source, target).code
        handle, name = tempfile.mkstemp(suffix=".so")
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        self.library = ctypes.CDLL(name)
        Path(name).unlink()
        self.library.mm_mlu_launch.argtypes = (
            ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p),
        )  # fmt: skip

    def run(
        self,
        *arrays: np.ndarray,
        written: Sequence[int] = (-1,),
        tasks: int = 4,
        kind: int = 0,
        kernel: int = 0,
        seed: int = 0,
        uninitialised: Sequence[int] = (),
    ) -> Ran:
        """Launch on `arrays`, of which `written` may be written; the others are only read. Violation: what was found.

        `uninitialised` arrays count as never written to: reading what was not written first is a violation.
        """
        writable = {position % len(arrays) for position in written} if arrays else set()
        unwritten = {position % len(arrays) for position in uninitialised}
        cells = [_on_device(array) for array in arrays]
        shadows = {position: np.zeros(max(1, arrays[position].nbytes), np.uint8) for position in unwritten}
        regions = (_Region * len(arrays))()
        for position, memory in enumerate(cells):
            initialised = shadows[position].ctypes.data if position in unwritten else None
            regions[position] = _Region(memory.ctypes.data, memory.nbytes, initialised, position in writable, 0)
        launch = _Launch(
            struct_bytes=ctypes.sizeof(_Launch), target=_described(self.target), regions=regions,
            region_count=len(arrays), seed=seed,
        )  # fmt: skip
        pointers = (ctypes.c_void_p * max(1, len(arrays)))(*(memory.ctypes.data for memory in cells))
        status = self.library.mm_mlu_launch(kernel, tasks, kind, ctypes.byref(launch), pointers)
        if status:
            raise Violation(launch.error.decode(errors="replace") or f"status {status}")
        for position in writable:
            arrays[position][...] = cells[position]
        return Ran({name: getattr(launch.counters, name) for name in _COUNTERS}, launch.seconds)


def _on_device(array: np.ndarray) -> np.ndarray:
    """A copy that begins where the device's allocations do: at a multiple of 64 bytes."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copied = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@lru_cache(maxsize=64)
def kernels(source: str, target_name: str = "MLU370-S4") -> Kernels:
    """A compiled source, kept."""
    return Kernels(source, find_card(target_name))


def source_of(
    bodies: Sequence[str], parameters: str, *, nram: int = 65536, wram: int = 65536, sram: int = 65536, head: str = ""
) -> str:
    """Kernels number 0, 1, ... with these bodies; parameters are written like `const float *x, float *y`."""
    types = [parameter.rpartition("*")[0].strip() + " *" for parameter in parameters.split(",") if parameter.strip()]
    arguments = "".join(f", ({kind})buffers[{index}]" for index, kind in enumerate(types))
    texts = [f"__mlu_global__ void kernel_{n}({parameters}) {{\n{body}\n}}" for n, body in enumerate(bodies)]
    table = [f"MM_MLU_KERNEL({n}, kernel_{n}{arguments})" for n in range(len(bodies))]
    return "\n".join((
        "#include <bang.h>", '#include "launch.h"',
        f"__nram__ char mm_nram[{nram}];", f"__wram__ char mm_wram[{wram}];",
        f"__mlu_shared__ char mm_sram[{sram}];", head, *texts, "MM_MLU_KERNELS_BEGIN", *table,
        f"MM_MLU_KERNELS_END({len(bodies)})", "",
    ))  # fmt: skip
