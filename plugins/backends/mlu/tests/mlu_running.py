"""Runs kernels in BANG C on the emulator: a text and arrays in, results and counters out, or the violation."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from mm_backend_mlu.target import Target, find_card
from mm_backend_mlu.toolchain import compile_emulated

ERROR_BYTES = 1024
_S4 = find_card("MLU370-S4")


class Region(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("initialised", ctypes.c_void_p),
        ("writable", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


_INTEGERS = (
    "bang_arch", "clusters", "cores_per_cluster", "nram_bytes", "wram_bytes", "sram_bytes", "nram_alignment",
    "wram_alignment", "gdram_alignment", "lanes",
)  # fmt: skip
_DOUBLES = (
    "clock_hz", "dram_bytes_per_second", "cluster_dram_bytes_per_second", "vector_bytes_per_cycle",
    "move_bytes_per_cycle", "tensor_float_float", "tensor_half_half", "scalar_cycles", "scalar_dram_cycles",
    "dram_latency_cycles", "on_chip_latency_cycles", "descriptor_cycles", "segment_cycles", "issue_cycles",
    "transcendental_cycles", "vector_latency_cycles", "tensor_latency_cycles", "barrier_cycles", "launch_seconds",
)  # fmt: skip
COUNTERS = (
    "dram_read_bytes", "dram_written_bytes", "on_chip_bytes", "vector_bytes", "vector_instructions",
    "tensor_macs_float", "tensor_macs_half", "tensor_instructions", "scalar_accesses", "descriptors", "barriers",
)  # fmt: skip


class TargetStructure(ctypes.Structure):
    _fields_ = (*((name, ctypes.c_uint32) for name in _INTEGERS), *((name, ctypes.c_double) for name in _DOUBLES))

    @classmethod
    def of(cls, target: Target) -> TargetStructure:
        known = {field.name: getattr(target, field.name) for field in fields(target)}
        known["tensor_float_float"] = target.tensor_operations_per_cycle["float", "float"]
        known["tensor_half_half"] = target.tensor_operations_per_cycle["half", "half"]
        return cls(**{name: known[name] for name in (*_INTEGERS, *_DOUBLES)})


class Counters(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in COUNTERS)


class Launch(ctypes.Structure):
    _fields_ = (
        ("struct_bytes", ctypes.c_uint64),
        ("target", TargetStructure),
        ("regions", ctypes.POINTER(Region)),
        ("region_count", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
        ("counters", Counters),
        ("seconds", ctypes.c_double),
        ("error", ctypes.c_char * ERROR_BYTES),
    )


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
        self._library = ctypes.CDLL(name)
        Path(name).unlink()
        self._library.mm_mlu_launch.argtypes = (
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
        """Launch on `arrays`, of which `written` may be written, all others only read. Violation with the emulator's text.

        `uninitialised` arrays count as never written to: reading what was not written first is a violation.
        """
        regions = (Region * len(arrays))()
        writable = {position % len(arrays) for position in written} if arrays else set()
        shadows = {position % len(arrays): np.zeros(max(1, arrays[position].nbytes), np.uint8) for position in uninitialised}
        for position, array in enumerate(arrays):
            assert array.flags.c_contiguous
            shadow = shadows.get(position)
            initialised = None if shadow is None else shadow.ctypes.data
            regions[position] = Region(array.ctypes.data, array.nbytes, initialised, position in writable, 0)
        launch = Launch(
            struct_bytes=ctypes.sizeof(Launch), target=TargetStructure.of(self.target), regions=regions,
            region_count=len(arrays), seed=seed,
        )  # fmt: skip
        pointers = (ctypes.c_void_p * max(1, len(arrays)))(*(array.ctypes.data for array in arrays))
        status = self._library.mm_mlu_launch(kernel, tasks, kind, ctypes.byref(launch), pointers)
        if status:
            raise Violation(launch.error.decode(errors="replace") or f"status {status}")
        return Ran({name: getattr(launch.counters, name) for name in COUNTERS}, launch.seconds)


@lru_cache(maxsize=64)
def kernels(source: str, target_name: str = "MLU370-S4") -> Kernels:
    """A compiled source, kept."""
    return Kernels(source, find_card(target_name))


def one_kernel(body: str, parameters: str, *, nram: int = 65536, wram: int = 65536, sram: int = 65536, head: str = "") -> str:
    """The source of one kernel named `kernel`; parameters are written like `const float *x, float *y`."""
    types = [parameter.rpartition("*")[0].strip() + " *" for parameter in parameters.split(",") if parameter.strip()]
    arguments = "".join(f", ({kind})buffers[{index}]" for index, kind in enumerate(types))
    return f"""#include <bang.h>
#include "launch.h"
__nram__ char mm_nram[{nram}];
__wram__ char mm_wram[{wram}];
__mlu_shared__ char mm_sram[{sram}];
{head}
__mlu_global__ void kernel({parameters}) {{
{body}
}}
MM_MLU_KERNELS_BEGIN
MM_MLU_KERNEL(0, kernel{arguments})
MM_MLU_KERNELS_END(1)
"""
