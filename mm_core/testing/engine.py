"""Engines of the harness: adapters that prepare a case in one process and run it in another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm_core.errors import MMError
from mm_core.testing.case import Case


class WrongResult(Exception):
    """What an engine's `build` or `run` raises when it finds by itself that the engine is wrong."""


@dataclass(frozen=True, slots=True)
class Built:
    """What building gives and running needs, picklable. `fallback` says why it is not native, empty if it is."""

    artifact: Any
    fallback: str = ""


class Engine(ABC):
    """An engine under test. Picklable: it is made in the parent and works in child processes.

    `build` runs in a process that may import anything, `run` in another, which `isolate` has closed. Exceptions of
    `refusals()` are refusals, all others are crashes.
    """

    @property
    @abstractmethod
    def name(self) -> str: ...

    def version(self) -> str:
        """The version of what is tested, for tables."""
        return ""

    def refusals(self) -> tuple[type[Exception], ...]:
        return (MMError,)

    def takes(self, case: Case) -> bool:
        """Whether the case says anything about this engine; others are left out of its run."""
        return True

    def forms(self, case: Case) -> tuple[str, ...]:
        """Ways to build the case, tried in order until one is native; else the verdict on the last one stands."""
        return ("",)

    def isolate(self) -> None:  # noqa: B027  an engine need not
        """Close the process that runs models; called once, in it, before the first."""

    @abstractmethod
    def build(self, case: Case, form: str, folder: Path) -> Built:
        """Prepare a case; files go into `folder`, which outlives the run."""

    @abstractmethod
    def run(self, built: Built, inputs: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
        """Outputs by name, in the model's order, for each request."""
