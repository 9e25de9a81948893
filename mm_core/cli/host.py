"""What a run costs the host: processor time and memory of this process, read from the operating system."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Occupancy:
    """Use of the host between `start` and `stop`; 100 % is one core kept busy, memory is in bytes."""

    user_percent: float
    kernel_percent: float
    virtual_bytes: int
    resident_bytes: int
    peak_resident_bytes: int


class OccupancyMeter:
    """Measures the processor time of this process over a stretch of wall time."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._times = os.times()

    def read(self) -> Occupancy:
        wall = max(time.perf_counter() - self._wall, 1e-9)
        now = os.times()
        virtual, resident = _memory()
        # The kernel counts the peak in KiB on Linux and in bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        return Occupancy(
            100 * (now.user - self._times.user) / wall,
            100 * (now.system - self._times.system) / wall,
            virtual,
            resident,
            max(resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit),
        )


def _memory() -> tuple[int, int]:
    """Virtual and resident bytes of this process now; zeros where there is no /proc."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * page, int(pages[1]) * page


def processor_name() -> str:
    """The host processor as its maker calls it, the architecture where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def total_memory() -> int:
    """Bytes of memory of the host."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
