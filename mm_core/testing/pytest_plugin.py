"""The pytest plugin that comes with mm-core: fixtures for those who test their own plugins. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_REPORTS = pytest.StashKey[dict[str, Any]]()


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of verdicts of each backend that the fixture `conformance` ran."""
    for backend, report in config.stash.get(_REPORTS, {}).items():
        terminalreporter.section(f"conformance of {backend}")
        terminalreporter.write_line(str(report))
