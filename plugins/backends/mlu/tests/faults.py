"""Faults planted in the text of kernels, and the five that the emulator has to find in every kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from library_running import Runner
from mlu_networks import Build, network_of
from mlu_running import Violation

import mm_core as mm
from mm_core.passes import parse_pipeline

Array = np.ndarray


@dataclass(frozen=True)
class Fault:
    """A pattern in a source, what replaces it, and the reason that the emulator then gives."""

    pattern: str
    replacement: str
    reason: str

    def planted(self, source: str) -> str:
        changed, count = re.subn(self.pattern, self.replacement, source)
        assert count, f"the source does not hold {self.pattern!r}"
        return changed


@dataclass(frozen=True)
class Case:
    """A kernel by its name, a network of it and inputs, and how a change of its text takes it out of bounds.

    `others` replace faults that all kernels share. `together`: cores of a cluster share weights.
    """

    kernel: str
    build: Build
    inputs: tuple[Array, ...]
    pattern: str
    replacement: str
    others: Mapping[str, Fault] = field(default_factory=dict)
    together: bool = False

    @property
    def faults(self) -> dict[str, Fault]:
        own = {"out of bounds": Fault(self.pattern, self.replacement, "out of bounds")}
        return {**own, **SHARED, **self.others}


SHARED = {
    "missing wait": Fault(
        r"\b__sync(_io)?\(\);", "",
        r"before the copy of line \d+ (into|out of) it has been waited for",
    ),
    "missing barrier": Fault(
        r"return share_of\(count, taskId, taskDim\);", "return share_of(count, 0, 1);",
        r"race: byte \d+ of a buffer in GDRAM is written while task \d+ writes it, with no barrier between",
    ),
    "misalignment": Fault(r"\bmm_nram(?=[,)};])", "mm_nram + 2", "is misaligned: "),
    "overflow of NRAM": Fault(
        r"char mm_nram\[\d+\]", "char mm_nram[{third}]",
        r"has to be in NRAM and is in|out of bounds: bytes .* in NRAM|out of bounds of every memory",
    ),
}  # fmt: skip
"""Tasks of a Block launch share nothing on chip and have no barrier: that one is missing shows where two of them store
the same results. What a kernel lays out in NRAM begins two bytes further on, or lies in a third of what it asks for.
"""
FIVE = ("out of bounds", *SHARED)


def feeds_of(case: Case) -> dict[str, Array]:
    return {f"x{index}": array for index, array in enumerate(case.inputs)}


def fused_network(case: Case) -> mm.Network:
    """The network of a case, with what can run as one grouped."""
    network = network_of(case.build, case.inputs)
    parse_pipeline("fuse-epilogue,fuse-elementwise").run(network)
    return network


def check_caught(case: Case, fault: Fault) -> None:
    """A kernel runs as it is. With a fault the emulator names it, and says why."""
    network = fused_network(case)
    runner = Runner(network)
    runner.run(feeds_of(case))
    planned = runner.written.planned
    kinds = {launch.kind for launch, record in zip(planned.launches, planned.records) if record.kernel == case.kernel}
    assert kinds == {int(case.together)}
    third = next(kernel.nram // 3 // 128 * 128 for kernel in planned.kernels if kernel.name == case.kernel)

    def change(source: str) -> str:
        return fault.planted(source).replace("{third}", str(third))

    with pytest.raises(Violation, match=rf"^kernel {case.kernel}_\d+, [^ ]+:\d+, task \d+ .*({fault.reason})"):
        Runner(network, change, case.kernel).run(feeds_of(case))
