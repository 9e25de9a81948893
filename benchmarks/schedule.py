"""Turns: A B C A B C ... within one run, so that a slow minute of the machine falls on everybody alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.request import Request
from benchmarks.worker import EngineError, Worker

REFERENCE = "ort"


@dataclass
class Measurement:
    """One engine on one model. `rounds` has the seconds of each run, a list a round; empty when it failed."""

    engine: str
    version: str = ""
    load_s: float = float("nan")
    error: float = float("nan")  # largest difference from the reference, relative to the largest output
    peak_bytes: int = 0
    failure: str = ""
    rounds: list[list[float]] = field(default_factory=list)


def compare(
    request: Request,
    engines: Sequence[str],
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> list[Measurement]:
    """Load every engine, check its answers against the reference, then time them in turn."""
    measurements = {name: Measurement(name) for name in engines}
    workers: dict[str, Worker] = {}
    try:
        expected: list[np.ndarray] | None = None
        for name in sorted({*engines, REFERENCE}, key=lambda engine: engine != REFERENCE):
            progress(f"{request}: loading {name}")
            worker = Worker(name)
            try:
                loaded = worker.load(request)
            except EngineError as failure:
                worker.close()
                if name == REFERENCE:
                    raise
                measurements[name].failure = str(failure)
                continue
            expected = loaded.outputs if expected is None else expected
            if name not in measurements:
                worker.close()
                continue
            workers[name] = worker
            entry = measurements[name]
            entry.version, entry.load_s = loaded.version, loaded.load_s
            entry.error = difference(loaded.outputs, expected)
        for index in range(rounds):
            for name in [engine for engine in engines if engine in workers]:
                progress(f"{request}: round {index + 1} of {rounds}, {name}")
                turn = workers[name].turn(seconds)
                measurements[name].rounds.append(turn.seconds)
                measurements[name].peak_bytes = turn.peak_bytes
    finally:
        for worker in workers.values():
            worker.close()
    return list(measurements.values())


def difference(outputs: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest absolute difference over all outputs, each relative to its largest expected value."""
    if [output.shape for output in outputs] != [output.shape for output in expected]:
        return float("inf")
    pairs = zip(outputs, expected, strict=True)
    return max(float(np.abs(left - right).max() / np.abs(right).max()) for left, right in pairs)
