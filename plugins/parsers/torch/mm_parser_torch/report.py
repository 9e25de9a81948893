"""What became of a graph that torch.compile handed over: which nodes our engine runs, which stay in eager and why."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

_KEPT = 64


@dataclass(frozen=True)
class Left:
    """A node that stays in eager: the module that it is in, its operator, and the reason."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node} ({self.operator}): {self.reason}"


@dataclass
class CompileReport:
    """One graph: `parts` run in our engine, `engine_nodes` of its nodes in all; `left` stay in eager.

    `builds` counts engines that were built: one for each part, more only where parameters have changed since.
    `refused` has the reasons of requests that the engine did not accept, with how often PyTorch ran them instead.
    """

    parts: int = 0
    engine_nodes: int = 0
    left: list[Left] = field(default_factory=list)
    builds: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{self.engine_nodes} nodes in {self.parts} parts run in mm, {len(self.left)} stay in eager"]
        for (operator, reason), count in Counter((item.operator, item.reason) for item in self.left).most_common():
            lines.append(f"  {count}x {operator}: {reason}")
        lines += [f"  {count} requests ran in eager: {reason}" for reason, count in self.refused.most_common()]
        return "\n".join(lines)


_reports: deque[CompileReport] = deque(maxlen=_KEPT)


def reports() -> tuple[CompileReport, ...]:
    """Reports of the last graphs that torch.compile(backend="mm") compiled in this process, the newest last."""
    return tuple(_reports)


def record(report: CompileReport) -> None:
    """Keep a report for `reports`."""
    _reports.append(report)
