"""The pytest plugin that comes with mm-core: fixtures for those who test their own plugins. Imports nothing heavy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mm_core.testing.case import Case
    from mm_core.testing.engine import Engine
    from mm_core.testing.exceptions import Exceptions

_REPORTS = pytest.StashKey[dict[str, Any]]()
_OUTCOME = "mm outcome"
"""The property of a test's report that carries an outcome of the harness, from one process of pytest to another."""


@pytest.fixture(name="opcheck", scope="session")
def _opcheck() -> Callable[..., Any]:
    """`mm_core.testing.opcheck`: whether the parts of an operator's definition say the same."""
    from mm_core.testing.opcheck import opcheck

    return opcheck


@pytest.fixture(name="conformance", scope="session")
def _conformance(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """`mm_core.testing.conformance.conform`; what it finds is summed up at the end of the run, by backend."""
    from mm_core.testing.conformance import Report, conform

    reports: dict[str, Report] = pytestconfig.stash.setdefault(_REPORTS, {})

    def run(backend: str, *ops: str, **options: Any) -> Report:
        report = conform(backend, *ops, **options)
        before = reports[backend].outcomes if backend in reports else ()
        reports[backend] = Report(backend, before + report.outcomes)
        return report

    return run


@pytest.fixture(name="_lanes", scope="session")
def _open_lanes() -> Iterator[dict[Any, Any]]:
    lanes: dict[Any, Any] = {}
    yield lanes
    for lane in lanes.values():
        lane.close()


@pytest.fixture(name="harness")
def _harness(
    _lanes: dict[Any, Any], record_property: Callable[[str, object], None]
) -> Callable[[Engine, Case, Exceptions], None]:
    """`harness(engine, case, exceptions)`: judge one case; the test fails unless it is native or ends as listed.

    The rates of the engines are summed up at the end of the run.
    """
    from mm_core.testing.harness import Lane

    def judge(engine: Engine, case: Case, exceptions: Exceptions) -> None:
        lane = _lanes.setdefault(engine, Lane(engine))
        outcome = lane.judge(case)
        record_property(_OUTCOME, [engine.name, outcome.verdict.value])
        if problem := exceptions.problem(outcome):
            pytest.fail(problem, pytrace=False)

    return judge


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of verdicts of each backend that the fixture `conformance` ran, the rates of those of `harness`."""
    counts: dict[str, Counter[str]] = {}
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        for name, value in getattr(report, "user_properties", ()):
            if name == _OUTCOME and report.when == "call":
                counts.setdefault(value[0], Counter())[value[1]] += 1
    if counts:
        terminalreporter.section("harness")
    for engine, row in counts.items():
        rate = row["native"] / row.total()
        numbers = ", ".join(f"{row[verdict]} {verdict}" for verdict in sorted(row))
        terminalreporter.write_line(f"{engine}: {rate:.1%} native of {row.total()} cases ({numbers})")
    for backend, report in config.stash.get(_REPORTS, {}).items():
        terminalreporter.section(f"conformance of {backend}")
        terminalreporter.write_line(str(report))
