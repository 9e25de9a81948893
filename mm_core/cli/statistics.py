"""Latency figures: the eight numbers that are printed for every series of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Latency:
    """Statistics of one series of times, all in milliseconds."""

    min: float
    max: float
    mean: float
    median: float
    p90: float
    p95: float
    p99: float

    @staticmethod
    def of(seconds: Sequence[float]) -> Latency:
        """The statistics of at least one time, given in seconds; percentiles are interpolated linearly."""
        times = np.asarray(seconds, dtype=np.float64) * 1e3
        p90, p95, p99 = np.percentile(times, (90, 95, 99))
        return Latency(
            float(times.min()),
            float(times.max()),
            float(times.mean()),
            float(np.median(times)),
            float(p90),
            float(p95),
            float(p99),
        )

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
