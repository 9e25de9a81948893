"""What became of a function that `compile` traced: which nodes our engine runs, which stay in TensorFlow and why."""

from __future__ import annotations

from typing import ClassVar

from mm_core import parsing
from mm_core.parsing import Left

__all__ = ["CompileReport", "Left"]


class CompileReport(parsing.CompileReport):
    """One trace."""

    framework: ClassVar[str] = "TensorFlow"
