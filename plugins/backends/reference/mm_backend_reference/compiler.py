"""The reference backend, compile half: takes every operator that has a numpy reference; its code is the part's text."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.compiler import CompileContext, Compiler, Executable, KernelRecord, No, Stage, Support, Yes
from mm_core.ir import Network, Operation


class ReferenceCompiler(Compiler):
    """One stage: print the part. Every kernel is a fallback by definition."""

    backend = "reference"

    def supports(self, operation: Operation) -> Support:
        if operation.name == "mm.fused":
            inner = [self.supports(part) for part in operation.regions[0].operations if part.name != "mm.constant"]
            return next((answer for answer in inner if isinstance(answer, No)), Yes(fallback=True))
        if operation.regions:
            return No("regions are run by the runtime")
        if not operation.definition.has_reference:
            return No(f"{operation.name} has no numpy reference")
        return Yes(fallback=True)

    @property
    def stages(self) -> Sequence[Stage]:
        return (Stage("print", print_part),)


def print_part(part: Network, context: CompileContext) -> Executable:
    """The part as text, its constants beside it, and the operator packages that the text needs."""
    weights = part.weights()
    dialects = sorted({operation.name.partition(".")[0] for operation in part.walk()})
    kernels = tuple(
        KernelRecord(operation.name, "numpy", tuple(sorted(place.name for place in operation.locations)))
        for operation in part.operations
        if operation.name != "mm.constant"
    )
    return Executable(
        "reference",
        str(part).encode(),
        {"keys": list(weights)},
        tuple(weights.values()),
        operators=tuple(dialects),
        kernels=kernels,
    )
