"""A problem and the kernels that solve it: what choosing by cost model or by measurement works on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from mm_backend_cpu.codegen.kernel_source import KernelSource
from mm_core.types import Dim

FINALISTS = 5
"""How many candidates of a problem are timed, and reported."""


@dataclass(frozen=True)
class Threads:
    """How many threads costs are estimated for, and whether the model will run on just so many (`fixed`)."""

    count: int = 4
    fixed: bool = False


class Kernel(Protocol):
    """A generated kernel, and the float32 elements that its second operand spans."""

    @property
    def source(self) -> KernelSource: ...

    @property
    def packed_elements(self) -> int: ...


KernelT = TypeVar("KernelT", bound=Kernel)


@dataclass(frozen=True)
class Candidate(Generic[KernelT]):
    """One kernel for a problem.

    `name` tells it from others of its `algorithm`, `reason` is why it is considered, `seconds` what the cost model
    expects. `family` are the choices that matter most in an algorithm (tile, order of tasks): of each family only the
    best is timed. It has to win by the factor `margin`, which is above one where rounding errors are larger.
    """

    algorithm: str
    name: str
    reason: str
    seconds: float
    family: Hashable
    make: Callable[[], KernelT] = field(compare=False)
    margin: float = 1.0

    @property
    def title(self) -> str:
        """Algorithm and name: what tells it from all others of its problem."""
        return f"{self.algorithm}, {self.name}"

    @cached_property
    def kernel(self) -> KernelT:
        """The generated code."""
        return self.make()


@dataclass(frozen=True)
class Problem(Generic[KernelT]):
    """What is to be computed, on how many threads, and the candidates, the one that the cost model prefers first.

    `key` states all that the candidates depend on. `data`, `extras` and `output` are the elements of the first operand,
    of those behind the second, and of the result; `flop` are the operations of a direct sum. Sizes may be symbolic.
    """

    key: str
    flop: Dim
    data: Dim
    extras: tuple[Dim, ...]
    output: Dim
    candidates: tuple[Candidate[KernelT], ...]

    @property
    def is_static(self) -> bool:
        """Whether all sizes are known, so that it can be timed."""
        return all(isinstance(size, int) for size in (self.flop, self.data, *self.extras, self.output))

    @cached_property
    def finalists(self) -> tuple[Candidate[KernelT], ...]:
        """The best of each algorithm and then of each family, in the order of the cost model."""
        best: dict[Hashable, Candidate[KernelT]] = {}
        for candidate in self.candidates:
            best.setdefault(candidate.algorithm, candidate)
        for candidate in self.candidates:
            if len(best) < FINALISTS and candidate not in best.values():
                best.setdefault((candidate.algorithm, candidate.family), candidate)
        return ranked(best.values())


def ranked(candidates: Iterable[Candidate[KernelT]]) -> tuple[Candidate[KernelT], ...]:
    """Candidates by expected time and margin; equal ones by title, so that the order is always the same."""
    return tuple(sorted(candidates, key=lambda candidate: (candidate.seconds * candidate.margin, candidate.title)))
