"""What a host must have to run an object on the emulator."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache as memoise
from pathlib import Path


def host_features() -> dict[str, str]:
    """What this host offers to an `EmulatedObject`: compare with its `requires`."""
    return {"system": platform.system(), "machine": platform.machine(), "level": instruction_level()}


def missing_on_host(requires: Mapping[str, str]) -> str:
    """Why an object with these requirements cannot run here, or nothing."""
    host = host_features()
    for key in ("system", "machine"):
        if requires.get(key, host[key]) != host[key]:
            built = f"{requires.get('system')} on {requires.get('machine')}"
            return f"it was built for {built}, and this is {host['system']} on {host['machine']}"
    if requires.get("level") and requires["level"] != host["level"]:
        return f"it was built for processors of level {requires['level']}, and this one lacks some of its instructions"
    return ""


@memoise
def instruction_level() -> str:
    """`x86-64-v3` where the processor has what code uses of it, otherwise nothing: the compiler's baseline."""
    if platform.machine() != "x86_64":
        return ""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    except OSError:
        return ""
    return "x86-64-v3" if {"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "popcnt"} <= flags else ""
