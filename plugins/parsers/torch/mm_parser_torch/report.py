"""What became of a graph that torch.compile handed over: which nodes our engine runs, which stay in eager and why."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from mm_core import parsing
from mm_core.parsing import Left

__all__ = ["CompileReport", "Left", "record", "reports"]

_KEPT = 64


class CompileReport(parsing.CompileReport):
    """One graph of TorchDynamo's."""

    framework: ClassVar[str] = "eager"


_reports: deque[CompileReport] = deque(maxlen=_KEPT)


def reports() -> tuple[CompileReport, ...]:
    """Reports of the last graphs that torch.compile(backend="mm") compiled in this process, the newest last."""
    return tuple(_reports)


def record(report: CompileReport) -> None:
    """Keep a report for `reports`."""
    _reports.append(report)
