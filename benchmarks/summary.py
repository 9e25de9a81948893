"""From raw times to the figures that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.schedule import Measurement

OURS = "mm"
OURS_ELSEWHERE = "mm-torch-compile"


@dataclass(frozen=True)
class Row:
    """One engine on one model, times in milliseconds.

    ratio: its time over the best peer's (the fastest engine that is not ours), as the median of the ratios of
    each round; below 1 is faster than every peer. Without a peer it is the time over that of `mm`.
    """

    model: str
    engine: str
    version: str
    median_ms: float
    fastest_ms: float
    ratio: float
    error: float
    load_s: float
    peak_mib: float
    failure: str


def summarise(model: str, measurements: Sequence[Measurement]) -> list[Row]:
    """Rows of one model, fastest first, failures last."""
    per_round = {entry.engine: [median(times) for times in entry.rounds] for entry in measurements if entry.rounds}
    peers = [engine for engine in per_round if engine not in (OURS, OURS_ELSEWHERE)]
    best = per_round[min(peers, key=lambda engine: median(per_round[engine]))] if peers else per_round.get(OURS)
    rows = []
    for entry in measurements:
        times = per_round.get(entry.engine)
        failed = times is None
        ratio = median(a / b for a, b in zip(times, best, strict=True)) if times and best else float("nan")
        rows.append(
            Row(
                model,
                entry.engine,
                entry.version,
                float("nan") if failed else median(times) * 1e3,
                float("nan") if failed else min(min(turn) for turn in entry.rounds) * 1e3,
                ratio,
                entry.error,
                entry.load_s,
                entry.peak_bytes / 2**20,
                entry.failure,
            )
        )
    return sorted(rows, key=lambda row: (bool(row.failure), row.median_ms))
