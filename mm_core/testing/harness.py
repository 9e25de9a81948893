"""The harness: cases go in, each comes out with exactly one verdict. A refusal is counted, never forgiven.

A case is built in one process and run in another, so that nothing a case does can touch the next one or the tests;
both live on until a case ends them by a crash or by taking too long.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from mm_core.testing.case import Case
from mm_core.testing.comparison import difference
from mm_core.testing.engine import Engine
from mm_core.testing.verdict import Verdict
from mm_core.testing.worker import Worker

LIMIT_SECONDS = 30.0
"""What building a case may take, and running it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one case. `form` is the way of building that was judged, for engines that have several."""

    case: str
    family: str
    verdict: Verdict
    reason: str = ""
    form: str = ""

    def __str__(self) -> str:
        return f"{self.case}: {self.verdict.value}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Report:
    """The outcomes of one engine."""

    engine: str
    version: str
    outcomes: tuple[Outcome, ...]

    def counts(self) -> Counter[Verdict]:
        return Counter(outcome.verdict for outcome in self.outcomes)

    @property
    def rate(self) -> float:
        """Native cases over all cases; 0 for none."""
        return self.counts()[Verdict.NATIVE] / max(len(self.outcomes), 1)

    def having(self, verdict: Verdict) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.verdict is verdict]

    def by_family(self) -> Mapping[str, Counter[Verdict]]:
        """Numbers of verdicts for each family, by name."""
        families: dict[str, Counter[Verdict]] = {}
        for outcome in sorted(self.outcomes, key=lambda outcome: outcome.family):
            families.setdefault(outcome.family, Counter())[outcome.verdict] += 1
        return families

    def __str__(self) -> str:
        counts = self.counts()
        numbers = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
        return f"{self.engine} {self.version}: {self.rate:.1%} native of {len(self.outcomes)} cases ({numbers})"


class Lane:
    """Judges one case at a time with a pair of processes. `python` is the interpreter that runs models."""

    def __init__(self, engine: Engine, *, limit: float = LIMIT_SECONDS, python: str = sys.executable) -> None:
        self.engine = engine
        self.limit = limit
        self._builder = Worker(engine, closed=False)
        self._runner = Worker(engine, closed=True, python=python)

    def judge(self, case: Case) -> Outcome:
        """The verdict on the first form of the case that is native, else on the last."""
        outcome = Outcome(case.name, case.family, Verdict.REJECTED, "there is no form to build it in")
        for form in self.engine.forms(case):
            verdict, reason = self._judge(case, form)
            outcome = Outcome(case.name, case.family, verdict, reason, form)
            if verdict is Verdict.NATIVE:
                break
        return outcome

    def _judge(self, case: Case, form: str) -> tuple[Verdict, str]:
        with tempfile.TemporaryDirectory() as folder:
            built = self._builder.ask("build", case, form, Path(folder), timeout=self.limit)
            if built.verdict is not None:
                return built.verdict, built.reason
            if built.value.fallback:
                return Verdict.FALLBACK, built.value.fallback
            requests = tuple(data.inputs for data in case.data_sets)
            ran = self._runner.ask("run", built.value, requests, timeout=self.limit)
        if ran.verdict is not None:
            return ran.verdict, ran.reason
        pairs = zip(case.data_sets, ran.value, strict=True)
        wrong = (difference(data.outputs, found, case.tolerance) for data, found in pairs)
        reason = next(filter(None, wrong), "")
        return (Verdict.WRONG, reason) if reason else (Verdict.NATIVE, "")

    def close(self) -> None:
        self._builder.close()
        self._runner.close()

    def __enter__(self) -> Lane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_cases(
    engine: Engine,
    cases: Iterable[Case],
    *,
    lanes: int = 2,
    limit: float = LIMIT_SECONDS,
    progress: Callable[[Outcome], None] | None = None,
) -> Report:
    """Judge the cases that the engine takes, several at the same time; `progress` hears of each outcome."""
    taken: Sequence[Case] = [case for case in cases if engine.takes(case)]
    free: SimpleQueue[Lane] = SimpleQueue()
    opened = [Lane(engine, limit=limit) for _ in range(lanes)]
    for lane in opened:
        free.put(lane)

    def judge(case: Case) -> Outcome:
        lane = free.get()
        try:
            outcome = lane.judge(case)
        finally:
            free.put(lane)
        if progress is not None:
            progress(outcome)
        return outcome

    try:
        with ThreadPoolExecutor(lanes) as pool:
            outcomes = tuple(pool.map(judge, taken))
    finally:
        for lane in opened:
            lane.close()
    return Report(engine.name, engine.version(), outcomes)
