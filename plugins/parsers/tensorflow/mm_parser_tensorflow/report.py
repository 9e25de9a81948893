"""What became of a function that `compile` traced: which nodes our engine runs, which stay in TensorFlow and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Left:
    """A node that stays in TensorFlow: its name in the user's tree of layers and its operator, and the reason."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f"{self.node}: {self.reason}"


@dataclass
class CompileReport:
    """One trace: `parts` run in our engine, `engine_nodes` of its nodes in all; `left` stay in TensorFlow.

    `builds` counts engines that were built: one for each part, more only where variables have changed since.
    """

    parts: int = 0
    engine_nodes: int = 0
    left: list[Left] = field(default_factory=list)
    builds: int = 0

    def __str__(self) -> str:
        lines = [f"{self.engine_nodes} nodes in {self.parts} parts run in mm, {len(self.left)} stay in TensorFlow"]
        for (operator, reason), count in Counter((item.operator, item.reason) for item in self.left).most_common():
            lines.append(f"  {count}x {operator}: {reason}")
        return "\n".join(lines)
