"""The contract of a pass.

    @dataclass(frozen=True)
    class FuseAttention(Pass):
        "Softmax between two matrix products becomes `mm.attention`."

        name: ClassVar[str] = "fuse-attention"
        phase: ClassVar[Phase] = Phase.RECOGNIZE
        max_heads: int = 64

        def run(self, network: Network, context: PassContext) -> PassResult: ...

Fields are options, written `fuse-attention{max-heads=64}` as text. A pass is offered under the entry-point group
`mm.passes`, by its name. It changes the network in place, keeps names and order of inputs and outputs, and leaves it
valid: the manager verifies it afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from mm_core.ir import Network
from mm_core.rewrite import MatchReport, Rule, RuleSet, rewrite


class Phase(IntEnum):
    """The order of hardware-independent work. Within a phase, `before` and `after` decide, then names."""

    CANONICALIZE = 10
    """One spelling for each meaning: identities gone, constants computed, types as precise as they get."""
    FOLD = 20
    """Constant parts of operators move into their weights."""
    RECOGNIZE = 30
    """Composites (attention, layer normalization, ...) are found in their expanded forms."""
    PRECISION = 40
    """Element types are chosen: reduced precision, quantization."""
    FUSE = 50
    """Operations that should run as one are grouped into `mm.fused`."""
    FINALIZE = 60
    """What earlier phases left over is swept up."""
    PLACED = 70
    """Every operation has its device: from here on operations may only be computed or left out, never made."""


@dataclass(frozen=True, slots=True)
class PassContext:
    """What a pass may know of the build. `progress(done, total, name)` is told of each pass."""

    opt_level: int = 2
    precision: str = "force_float32"
    backends: tuple[str, ...] = ()
    dim_range: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    progress: Callable[[int, int, str], None] | None = None


@dataclass(frozen=True, slots=True)
class PassResult:
    """Whether the network changed, how often what was done, and what the user may want to know."""

    changed: bool
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: MatchReport) -> PassResult:
        return cls(report.changed, dict(report.fired), tuple(report.refusals()))

    @classmethod
    def counted(cls, **counts: int) -> PassResult:
        """A result from counts alone; the network changed if one of them is not zero."""
        kept = {name.replace("_", "-"): count for name, count in counts.items() if count}
        return cls(bool(kept), kept)


@dataclass(frozen=True)
class Pass(ABC):
    """One transformation of a whole network; see the module's docstring.

    `phases_again` are later phases in which the pass runs once more; `opt_level` is the least at which it is part
    of the default pipeline. `precisions` are the precision modes of a build that the pass brings about.
    """

    name: ClassVar[str]
    phase: ClassVar[Phase]
    phases_again: ClassVar[tuple[Phase, ...]] = ()
    before: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    opt_level: ClassVar[int] = 1
    precisions: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def run(self, network: Network, context: PassContext) -> PassResult:
        """Change the network in place. Raises MMError where the network or an option is at fault."""

    def __str__(self) -> str:
        from mm_core.passes.options import print_pass

        return print_pass(self)


@dataclass(frozen=True)
class RewritePass(Pass):
    """A pass that is a list of rules."""

    rules: ClassVar[tuple[Rule, ...]]

    def run(self, network: Network, context: PassContext) -> PassResult:
        return PassResult.of(rewrite(network, RuleSet(self.rules)))

    def self_test(self) -> str:
        """For `mm_plugins check`: whether every operator that the rules name is installed."""
        return f"{len(RuleSet(self.rules).rules)} rules"
