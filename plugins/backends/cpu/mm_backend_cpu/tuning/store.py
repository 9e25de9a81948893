"""Measured times in the user's cache folder, shared by processes and networks. What does not fit exactly is a miss."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache as memoise
from importlib.metadata import version
from pathlib import Path

from mm_backend_cpu.codegen.compile import find_compiler
from mm_backend_cpu.codegen.isa import Isa
from mm_core.compiler import ObjectCache

_LAST_LEVEL_BYTES = 32 << 20  # where the system does not tell
_LARGEST_LAST_LEVEL = 256 << 20  # of which a neighbour takes a share, or which nobody has the time to empty
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class TuningCache:
    """Nanoseconds by name for a text that states what was measured; the machine and its tools are part of the key."""

    def __init__(self, isa: Isa, threads: int, folder: Path | None = None) -> None:
        self._files = ObjectCache("cpu-tuning", folder)
        tools = f"{version('mm-backend-cpu')}, {find_compiler().version}"
        self._machine = f"{isa.name}, {processor()}, {last_level_bytes()} bytes of cache, {threads} threads, {tools}"

    def get(self, what: str) -> dict[str, int] | None:
        """What was stored under `what` on such a machine; None for nothing, or for a file that is damaged."""
        stored = self._files.get(self._key(what))
        if stored is None:
            return None
        try:
            entry = json.loads(stored)
            if entry["machine"] != self._machine or entry["what"] != what:
                return None
            times = {str(name): int(time) for name, time in entry["nanoseconds"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return times if min(times.values(), default=0) > 0 else None

    def put(self, what: str, nanoseconds: Mapping[str, int]) -> None:
        """Store times, complete or not at all."""
        entry = {"machine": self._machine, "what": what, "nanoseconds": dict(nanoseconds)}
        self._files.put(self._key(what), json.dumps(entry, indent=1).encode())

    def _key(self, what: str) -> str:
        return hashlib.sha256(f"{self._machine}\0{what}".encode()).hexdigest()


@memoise
def processor() -> str:
    """The processor's model, as far as the system tells."""
    wanted = ("model name", "cpu family", "model", "stepping")
    found: dict[str, str] = {}
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            found.setdefault(name.strip(), value.strip())
    return " ".join(found.get(name, "") for name in wanted).strip() or platform.processor() or platform.machine()


@memoise
def last_level_bytes() -> int:
    """Bytes of the largest cache that the first processor sees."""
    sizes = [_LAST_LEVEL_BYTES // 32]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            text = path.read_text().strip()
            sizes.append(int(text.rstrip("KMG")) * _UNITS.get(text[-1:], 1))
        except (OSError, ValueError):
            continue
    return min(max(sizes), _LARGEST_LAST_LEVEL) if len(sizes) > 1 else _LAST_LEVEL_BYTES
