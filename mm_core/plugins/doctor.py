"""The doctor: does an installed plugin load, and does it work on this machine?

Each plugin is imported in a child process of its own, so that one which hangs, crashes or calls `exit`
costs nothing but its own line in the report. An object with a `self_test()` has it called: quick, without
arguments, raising on failure, `DeviceError` where the hardware or toolkit that it needs is absent.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from mm_core.plugins.metadata import PluginRecord, records
from mm_core.plugins.registry import matching

Verdict = Literal["ok", "unavailable", "off", "conflict", "version", "broken", "crashed", "timeout"]

HEALTHY: frozenset[Verdict] = frozenset({"ok", "unavailable", "off"})
"""Verdicts that need no repair; `unavailable`: the hardware or toolkit it needs is not on this machine."""


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found: `reason` for the verdict, `remedy`, and `detail`, the child's traceback."""

    record: PluginRecord
    verdict: Verdict
    reason: str = ""
    remedy: str = ""
    detail: str = ""
    seconds: float = 0.0

    @property
    def healthy(self) -> bool:
        return self.verdict in HEALTHY


def check(name: str | None = None, *, timeout: float = 60.0, jobs: int = 2) -> Iterator[Diagnosis]:
    """Diagnoses of the plugins called `name` (also `group:name` or a distribution), of all without a name.

    They come in the order of `records()`, each as soon as it is known; `timeout` is seconds per plugin.
    """
    chosen = records() if name is None else matching(name)
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        yield from pool.map(lambda record: _diagnose(record, timeout), chosen)


def _diagnose(record: PluginRecord, timeout: float) -> Diagnosis:
    if record.state != "ok":
        return Diagnosis(record, record.state, record.problem or "", _REMEDIES[record.state])
    command = [sys.executable, "-m", "mm_core.plugins.probe", record.group, record.name]
    started = time.perf_counter()
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as expired:
        detail = expired.stderr.decode(errors="replace") if isinstance(expired.stderr, bytes) else ""
        reason = f"it did not finish within {timeout:g} s"
        return Diagnosis(record, "timeout", reason, _REMEDIES["timeout"], detail, timeout)
    seconds = time.perf_counter() - started
    if child.returncode != 0 or not child.stdout.strip():
        reason = f"the process that imported it {_end(child.returncode)}"
        return Diagnosis(record, "crashed", reason, _REMEDIES["crashed"], child.stderr, seconds)
    answer = json.loads(child.stdout)
    remedy = answer["remedy"] or _REMEDIES.get(answer["verdict"], "")
    return Diagnosis(record, answer["verdict"], answer["reason"], remedy, answer["detail"], seconds)


def _end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


_REMEDIES: dict[str, str] = {
    "off": "change MM_PLUGINS or MM_DISABLE_PLUGINS to use it",
    "conflict": "uninstall one of the distributions, or switch one off with MM_DISABLE_PLUGINS",
    "version": "upgrade mm-core and the plugin together with pip",
    "broken": "reinstall the distribution with its dependencies, or report this to its author",
    "crashed": "its native code fails here: reinstall it for this machine, or report this to its author",
    "timeout": "give it longer (--timeout), or switch it off with MM_DISABLE_PLUGINS",
}
