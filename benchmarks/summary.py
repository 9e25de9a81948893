"""From raw times to the figures that are reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median

from benchmarks.schedule import Measurement

OURS = "mm"
OURS_ELSEWHERE = ("mm-torch-compile", "mm-float32")


@dataclass(frozen=True)
class Row:
    """One engine on one model, times in milliseconds.

    vs_best_peer: the best peer's time (the fastest engine that is not ours) over this engine's, as the median of the
    ratios of each round; above 1 is faster than every peer. NaN where no peer took part.
    vs_ours: this engine's time over that of `mm`, in the same way; above 1 is slower than `mm`. NaN without `mm`.
    """

    model: str
    engine: str
    version: str
    median_ms: float
    fastest_ms: float
    vs_best_peer: float
    vs_ours: float
    error: float
    load_s: float
    peak_mib: float
    failure: str


def summarise(model: str, measurements: Sequence[Measurement]) -> list[Row]:
    """Rows of one model, fastest first, failures last."""
    per_round = {entry.engine: [median(times) for times in entry.rounds] for entry in measurements if entry.rounds}
    peers = [engine for engine in per_round if engine not in (OURS, *OURS_ELSEWHERE)]
    best = per_round[min(peers, key=lambda engine: median(per_round[engine]))] if peers else []
    rows = []
    for entry in measurements:
        times = per_round.get(entry.engine, [])
        rows.append(
            Row(
                model,
                entry.engine,
                entry.version,
                median(times) * 1e3 if times else float("nan"),
                min(min(turn) for turn in entry.rounds) * 1e3 if times else float("nan"),
                _ratio(best, times),
                _ratio(times, per_round.get(OURS, [])),
                entry.error,
                entry.load_s,
                entry.peak_bytes / 2**20,
                entry.failure,
            )
        )
    return sorted(rows, key=lambda row: (bool(row.failure), row.median_ms))


def mean_ratio(ratios: Iterable[float]) -> float:
    """The geometric mean over models; NaN where there is none."""
    known = [ratio for ratio in ratios if ratio == ratio]
    return geometric_mean(known) if known else float("nan")


def _ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of each round; NaN where one of both did not run."""
    return median(a / b for a, b in zip(times, others, strict=True)) if times and others else float("nan")
