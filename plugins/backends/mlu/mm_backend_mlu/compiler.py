"""The compile half: stages from a part to an executable that holds BANG C and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_backend_mlu.codegen.assemble import assemble
from mm_backend_mlu.lowering.conversion import convert
from mm_backend_mlu.lowering.layout import Layouts, layouts
from mm_backend_mlu.lowering.lowering import Lowering, Planned
from mm_backend_mlu.lowering.movement import copy_bytes, materialise
from mm_backend_mlu.lowering.rules import lower_operation, preference, refusal
from mm_backend_mlu.lowering.values import dtype_of, shape_of
from mm_backend_mlu.packed import EMULATED, SOURCE, VENDOR, pack
from mm_backend_mlu.program import Program, Tensor
from mm_backend_mlu.target import parse_architecture
from mm_backend_mlu.toolchain import compile_emulated, compile_vendor, find_vendor_compiler
from mm_core.compiler import CompileContext, Compiler, Executable, No, Stage, Support, Yes
from mm_core.ir import Network, Operation, Value


@dataclass(frozen=True)
class Lowered:
    """A part as launches of kernels; buffers of the workspace are not laid out yet."""

    lowering: Lowering

    def __str__(self) -> str:
        low = self.lowering
        lines = [f"{len(low.launches)} launches of {len(low.kernels)} kernels, {low.conversions} changes of layout"]
        for launch, record in zip(low.launches, low.records):
            handed = ", ".join(f"{low.buffers[number].space}{low.buffers[number].index}" for number in launch.buffers)
            lines.append(f"{record.kernel}({handed})  tasks {launch.tasks}  [{record.note}]  {launch.label}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class LaidOut:
    """A part whose buffers have places."""

    lowering: Lowering
    planned: Planned

    def __str__(self) -> str:
        lines = [f"workspace {self.planned.workspace} bytes"]
        lines += [f"{number}: {buffer}" for number, buffer in enumerate(self.planned.buffers)]
        lines += [f"kernel {launch.kernel} on {list(launch.buffers)}" for launch in self.planned.launches]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Written:
    """A part's program and its source."""

    lowering: Lowering
    planned: Planned
    source: str

    def __str__(self) -> str:
        return self.source


class MluCompiler(Compiler):
    """Compiles for one architecture, such as `mtp_372`, or for some numbers of its clusters."""

    backend = "mlu"

    def __init__(self, architecture: str) -> None:
        self.architecture = parse_architecture(architecture)

    def supports(self, operation: Operation) -> Support:
        reason = refusal(operation, self.architecture.target)
        return No(reason) if reason else Yes()

    @property
    def stages(self) -> Sequence[Stage]:
        return (
            Stage("layout", self.lay_out),
            Stage("lower", self.lower),
            Stage("memory", self.place),
            Stage("source", self.write),
            Stage("object", self.build),
        )

    def lay_out(self, part: Network, context: CompileContext) -> Layouts:
        """Decide which values lie channels last."""
        return layouts(part, preference)

    def lower(self, decided: Layouts, context: CompileContext) -> Lowered:
        """Choose kernels and tiles."""
        lowering = Lowering(decided, self.architecture.target, convert, materialise)
        for operation in decided.part.operations:
            if operation.name != "mm.constant":
                lower_operation(lowering, operation)
        lowering.settle_outputs(copy_bytes)
        return Lowered(lowering)

    def place(self, lowered: Lowered, context: CompileContext) -> LaidOut:
        """Lay the workspace out."""
        return LaidOut(lowered.lowering, lowered.lowering.planned())

    def write(self, placed: LaidOut, context: CompileContext) -> Written:
        """Write the translation unit."""
        return Written(placed.lowering, placed.planned, assemble(placed.planned.kernels))

    def build(self, written: Written, context: CompileContext) -> Executable:
        """Compile the source for the emulator, and for the device where the vendor's compiler is."""
        planned, low = written.planned, written.lowering
        part = low.layouts.part
        program = Program(
            self.architecture.target.arch,
            self.architecture.clusters,
            tuple(map(_tensor, part.arguments)),
            tuple(map(_tensor, part.outputs)),
            tuple(constant.nbytes for constant in low.constants),
            planned.workspace,
            planned.buffers,
            planned.launches,
            planned.traces,
        )
        program.verify()
        target = self.architecture.target
        emulated = compile_emulated(written.source, target)
        sections = {SOURCE: written.source.encode(), EMULATED: emulated.code}
        vendor = find_vendor_compiler()
        if vendor is not None:
            sections[VENDOR] = compile_vendor(vendor, written.source, target)
        return Executable(
            self.backend,
            pack(sections),
            {"program": program.to_json()},
            tuple(low.constants),
            emulated.requires,
            kernels=planned.records,
            workspace_bytes=planned.workspace,
        )


def _tensor(value: Value) -> Tensor:
    return Tensor(dtype_of(value).text, shape_of(value))
