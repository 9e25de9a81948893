"""Instruction sets that kernels are generated for."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mm_core.errors import BuildError

_AVX2_FLAGS = ("-mavx2", "-mfma", "-mf16c")
_AVX512_FLAGS = (*_AVX2_FLAGS, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512")


@dataclass(frozen=True)
class Isa:
    """An instruction set: compiler flags, the width of a vector in bytes and the number of vector registers.

    `machine` is the type of processor that has it, as `host_machine` names types; empty: any.
    """

    name: str
    machine: str
    flags: tuple[str, ...]
    vector_bytes: int
    registers: int
    has_fma: bool
    has_vnni: bool

    @property
    def requires(self) -> frozenset[str]:
        """Features that a processor must have to run the code, as the native library names them."""
        return frozenset(name.replace("_", "") for name in _FEATURES.get(self.name, ()))

    @property
    def lanes(self) -> int:
        """float32 elements of one vector."""
        return self.vector_bytes // 4


ISAS: dict[str, Isa] = {
    isa.name: isa
    for isa in (
        Isa("avx512vnni", "x86_64", (*_AVX512_FLAGS, "-mavx512vnni"), 64, 32, True, True),
        Isa("avx512", "x86_64", _AVX512_FLAGS, 64, 32, True, False),
        Isa("avx2", "x86_64", _AVX2_FLAGS, 32, 16, True, False),
        Isa("neon", "aarch64", (), 16, 32, True, False),
        Isa("portable", "", (), 16, 16, False, False),
    )
}

# What a processor must list, on x86 as /proc/cpuinfo does. Every AArch64 processor has neon.
_FEATURES = {
    "avx512vnni": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx2", "fma", "f16c"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "f16c"},
    "avx2": {"avx2", "fma", "f16c"},
    "neon": {"neon"},
}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def isa(name: str) -> Isa:
    """The instruction set called `name`; a BuildError lists the known ones."""
    if name not in ISAS:
        raise BuildError(f"there is no instruction set {name!r}", available=", ".join(ISAS))
    return ISAS[name]


@cache
def usable() -> tuple[Isa, ...]:
    """Instruction sets that this machine can run, the best first."""
    features = _processor_features()
    names = [name for name, needed in _FEATURES.items() if needed <= features]
    return tuple(ISAS[name] for name in (*names, "portable"))


def host_machine() -> str:
    """The type of this machine's processor: x86_64, aarch64 or what the system calls it."""
    name = platform.machine().lower()
    return _MACHINES.get(name, name)


def detect() -> Isa:
    """The best instruction set of this machine."""
    return usable()[0]


def _processor_features() -> frozenset[str]:
    if host_machine() == "aarch64":
        return frozenset({"neon"})
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return frozenset(value.split())
    return frozenset()
