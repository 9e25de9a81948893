"""One measured figure, and the two ways of measuring: repeated in this process, or each time in a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Figure:
    """What something took, in `unit`; `limit` is what the project promises, where it promises something."""

    name: str
    value: float
    limit: float | None = None
    unit: str = "s"

    @property
    def exceeded(self) -> bool:
        """Whether a promise is not kept."""
        return self.limit is not None and self.value > self.limit


def fastest(action: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of several runs: the one that other processes disturbed least."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def in_turn(actions: Mapping[str, Callable[[], object]], repeats: int = 1, turns: int = 15) -> dict[str, float]:
    """Median seconds of each action; they run in turn. The first runs, which may compile, do not count."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(turns + 1):
        for name, action in actions.items():
            started = time.perf_counter()
            for _ in range(repeats):
                action()
            if turn:
                times[name].append((time.perf_counter() - started) / repeats)
    return {name: median(found) for name, found in times.items()}


def fresh(code: str, *arguments: str, repeats: int = 5, environment: dict[str, str] | None = None) -> float:
    """Median of the number that `code` prints, run in a new interpreter each time; `arguments` are sys.argv[1:]."""
    command = [sys.executable, "-c", code, *arguments]
    settings = {**os.environ, **(environment or {})}
    runs = [
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=settings)
        for _ in range(repeats)
    ]
    return median(float(run.stdout.split()[-1]) for run in runs)
