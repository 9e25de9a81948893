"""`Rule`: one way to run an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mm_backend_cpu.lowering.lowering import Lowering
from mm_core.ir import Operation


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to run an operator. `check` gives the reason why it does not apply, empty if it does.

    `generates` marks rules that need a C compiler; `lower` appends steps and states where the results lie.
    """

    check: Callable[[Operation], str]
    lower: Callable[[Lowering, Operation], None]
    generates: bool = True
