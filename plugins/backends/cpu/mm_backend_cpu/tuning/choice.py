"""The choice among a problem's candidates: by measured times where there are some, else by the cost model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from mm_backend_cpu.tuning.candidate import Candidate, KernelT, Problem, Threads
from mm_core.model import Variant
from mm_core.types import Dim

NOISE = 1.03
"""By how much a candidate must be measured to be faster than the one that the cost model prefers."""


@dataclass(frozen=True)
class Measurement:
    """Nanoseconds of candidates by name, for each problem by its key, and the peak of the machine in FLOP/s."""

    nanoseconds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    peak: float = 0.0


@dataclass(frozen=True)
class Choice(Generic[KernelT]):
    """The kernel that was chosen, what it was chosen from (itself first), its operations, as those of a direct sum,
    and its share of the machine's peak."""

    kernel: KernelT
    variants: tuple[Variant, ...]
    flop: Dim
    peak_share: float = 0.0


@dataclass
class Chooser:
    """Chooses kernels for one part and remembers the problems, so that they can be measured."""

    threads: Threads = field(default_factory=Threads)
    measurement: Measurement = field(default_factory=Measurement)
    asked: dict[str, Problem[Any]] = field(default_factory=dict)

    def choose(self, problem: Problem[KernelT]) -> Choice[KernelT]:
        """The best candidate. Equal problems get equal kernels."""
        problem = self.asked.setdefault(problem.key, problem)
        times = self.measurement.nanoseconds.get(problem.key)
        if times is None:
            variants = tuple(_variant(candidate, candidate.seconds, False) for candidate in problem.finalists)
            return Choice(problem.finalists[0].kernel, variants, problem.flop)

        def cost(candidate: Candidate[KernelT]) -> float:
            return times[candidate.title] * candidate.margin * (1.0 if candidate is problem.finalists[0] else NOISE)

        order = sorted(problem.finalists, key=cost)
        variants = tuple(_variant(candidate, times[candidate.title] * 1e-9, True) for candidate in order)
        share = problem.flop / (variants[0].seconds * self.measurement.peak)  # type: ignore[operator]
        return Choice(order[0].kernel, variants, problem.flop, round(share, 3))


def _variant(candidate: Candidate[Any], seconds: float, measured: bool) -> Variant:
    return Variant(candidate.title, candidate.reason, float(f"{seconds:.3g}"), measured)
