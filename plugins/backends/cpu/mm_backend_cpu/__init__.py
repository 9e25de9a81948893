"""The CPU backend of mm. This module and `device` are the run half; `compiler`, `lowering` and `codegen` build."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mm_core.device import Backend, Device, DeviceInfo, TargetOption
from mm_core.errors import DeviceError, MMError

if TYPE_CHECKING:
    from mm_core.compiler import Compiler


def available_processors() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class CpuBackend(Backend):
    """The host's processor: one device, `cpu:0`, whose memory is the host's."""

    name = "cpu"
    options = (
        TargetOption(
            "cpu_arch",
            "instruction set to generate code for: avx512vnni, avx512, avx2, neon, portable; empty: the best here",
        ),
        TargetOption(
            "cpu_winograd",
            "Winograd's algorithm for 3x3 convolutions: where it is clearly faster within its error budget, or never",
            "auto",
            ("auto", "off"),
        ),
        TargetOption(
            "cpu_strips",
            "a depthwise convolution and the 1x1 ones beside it as one kernel: where it is faster, or never",
            "auto",
            ("auto", "off"),
        ),
    )

    def probe(self) -> Sequence[DeviceInfo]:
        from mm_backend_cpu import native

        try:
            features = sorted(native.features())
        except (MMError, OSError) as error:
            return (DeviceInfo("cpu:0", platform.machine(), str(error)),)
        description = f"{platform.machine()}, {available_processors()} processors, {' '.join(features) or 'portable'}"
        return (DeviceInfo("cpu:0", description),)

    def open(self, name: str) -> Device:
        from mm_backend_cpu.device import CpuDevice

        info = self.find(name)
        return CpuDevice(info.name, info.description)

    def self_test(self) -> None:
        """Load the native library and run a kernel of it. DeviceError says what is wrong."""
        import numpy as np

        from mm_backend_cpu.program import run_kernel

        values = np.arange(6, dtype=np.float32)
        (total,) = run_kernel("add", [values, values], [(np.float32, (6,))], threads=available_processors())
        if not np.array_equal(total, 2 * values):
            raise DeviceError("the native library adds wrongly", where="cpu", remedy="install mm-backend-cpu again")

    def compiler(self, target: Mapping[str, str]) -> Compiler:
        from mm_backend_cpu.compiler import CpuCompiler

        allowed = {name: target.get(f"cpu_{name}", "auto") != "off" for name in ("winograd", "strips")}
        return CpuCompiler(target.get("cpu_arch", ""), **allowed)
