"""The compile half: stages from a part to an executable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from mm_backend_cpu import available_processors
from mm_backend_cpu.codegen.compile import compile_kernels, find_compiler
from mm_backend_cpu.codegen.isa import Isa, detect, isa, usable
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.lowering import Lowering
from mm_backend_cpu.lowering.rule import Rule
from mm_backend_cpu.lowering.rules import lower_operations, rules_for
from mm_backend_cpu.program import Program
from mm_backend_cpu.tuning.candidate import Threads
from mm_backend_cpu.tuning.choice import Chooser
from mm_backend_cpu.tuning.measure import measure
from mm_backend_cpu.tuning.store import TuningCache
from mm_core.compiler import CompileContext, Compiler, Executable, No, Stage, Support, Yes
from mm_core.errors import CompileError
from mm_core.ir import Network, Operation, sizes_of
from mm_core.types import TensorType, symbols

GENERATION_LEVEL = 1
"""The optimisation level from which code is generated; below, the library does all."""
MEASURE_LEVEL = 3
"""The optimisation level from which kernels are chosen by timing them on this machine."""
SMALL_WORK = 1 << 14
"""A part with fewer element operations than this is left to the library: compiling would cost more than it saves.
Not at MEASURE_LEVEL, where building may take its time."""


@dataclass(frozen=True)
class Lowered:
    """A part as steps; what is left is to compile the kernels that they name."""

    lowering: Lowering
    program: Program

    def __str__(self) -> str:
        lines = [f"{len(self.program.steps)} steps, {len(self.lowering.sources)} generated kernels"]
        for step, record in zip(self.program.steps, self.lowering.records):
            reads = ", ".join(map(self._buffer, step.inputs))
            writes = ", ".join(map(self._buffer, step.outputs))
            lines.append(f"{writes} = {record.kernel}({reads})  tasks {step.tasks}  [{record.note}]  {step.label}")
        return "\n".join(lines) + "\n"

    def _buffer(self, number: int) -> str:
        if number < 0:
            return "-"
        buffer = self.program.buffers[number]
        return f"{buffer.space}{buffer.index}:{'x'.join((*map(str, buffer.shape), buffer.dtype))}"


class CpuCompiler(Compiler):
    """Compiles for one instruction set: generated C where a compiler is found, the native library elsewhere."""

    backend = "cpu"

    def __init__(self, arch: str = "", *, winograd: bool = True, strips: bool = True) -> None:
        self.winograd, self.strips = winograd, strips
        self.isa: Isa = isa(arch) if arch else detect()
        self.obstacle = ""
        try:
            find_compiler(self.isa.machine)
        except CompileError as error:
            self.obstacle = error.what

    def supports(self, operation: Operation) -> Support:
        reason = _general_refusal(operation)
        if reason:
            return No(reason)
        reasons = []
        for rule in rules_for(operation):
            reason = self._refusal(rule, operation)
            if not reason:
                return Yes()
            reasons.append(reason)
        return No("; ".join(dict.fromkeys(reasons)) or f"no kernel for {operation.name}")

    def _refusal(self, rule: Rule, operation: Operation) -> str:
        if rule.generates and self.obstacle:
            return self.obstacle
        return rule.check(operation)

    @property
    def stages(self) -> Sequence[Stage]:
        return (Stage("lower", self.lower), Stage("tune", self.tune), Stage("generate", self.generate))

    def lower(self, part: Network, context: CompileContext) -> Lowered:
        """Choose kernels, layouts and buffers."""
        generate = not self.obstacle and context.opt_level >= GENERATION_LEVEL and not self._is_small(part, context)
        if not generate and not all(map(_library_runs, part.operations)):
            generate = not self.obstacle
        return self._lowered(part, self.isa if generate else None, context, Chooser(_threads(context)))

    def tune(self, lowered: Lowered, context: CompileContext) -> Lowered:
        """Time the candidates on this machine, if it runs such code, and choose again by what was measured."""
        asked = list(lowered.lowering.chooser.asked.values())
        if context.opt_level < MEASURE_LEVEL or not asked or self.isa not in usable():
            return lowered
        threads = _threads(context)
        measurement = measure(asked, self.isa, threads.count, TuningCache(self.isa, threads.count))
        return self._lowered(lowered.lowering.part, self.isa, context, Chooser(threads, measurement))

    def _lowered(self, part: Network, isa: Isa | None, context: CompileContext, chooser: Chooser) -> Lowered:
        lowering = Lowering(part, isa, context.opt_level, chooser, self.winograd, self.strips, context.dim_range)
        lower_operations(lowering, part.operations)
        return Lowered(lowering, lowering.finish())

    def _is_small(self, part: Network, context: CompileContext) -> bool:
        """Whether the library is good enough: little work, all sizes known."""
        if context.opt_level >= MEASURE_LEVEL:
            return False
        probe = Lowering(part, None, context.opt_level, dim_range=context.dim_range)
        total = 0
        for operation in part.operations:
            if operation.name == "mm.constant":
                continue
            for inner in parts_of(operation)[0]:
                total += _work(probe, inner)
        return total < SMALL_WORK

    def generate(self, lowered: Lowered, context: CompileContext) -> Executable:
        """Compile the generated kernels into one object and put the part together."""
        lowering = lowered.lowering
        sources = list(lowering.sources.values())
        if context.dump_folder is not None:
            context.dump("kernels", "\n\n".join(source.code for source in sources))
        code = compile_kernels(sources, self.isa) if sources else b""
        traces = [trace.to_json() for trace in lowering.traces if trace.view.offset == 0]
        return Executable(
            self.backend,
            code,
            {"program": lowered.program.to_json(), "traces": traces},
            tuple(lowering.constants),
            {"isa": " ".join(sorted(self.isa.requires))} if code else {},
            kernels=tuple(lowering.records),
            workspace_bytes=_workspace(lowered.program),
        )


def _threads(context: CompileContext) -> Threads:
    """Threads to plan for: those given, else those of this machine where it is measured, else any number."""
    if context.threads is not None:
        return Threads(context.threads, fixed=True)
    return Threads(available_processors(), fixed=True) if context.opt_level >= MEASURE_LEVEL else Threads()


def _workspace(program: Program) -> int | None:
    """Bytes of intermediate results; None where sizes are symbolic."""
    if any(not isinstance(dim, int) for buffer in program.buffers for dim in buffer.shape):
        return None
    return program.bind({}).arena_bytes


def _general_refusal(operation: Operation) -> str:
    """What no kernel here can do: other values than tensors, unknown ranks, sizes that only running tells."""
    types = [value.type for value in chain(operation.operands, operation.results) if value is not None]
    for type_ in types:
        if not isinstance(type_, TensorType):
            return f"a value of type {type_}"
        if type_.shape is None:
            return "a tensor of unknown rank"
        if type_.dtype.kind == "string":
            return "strings"
    graph = operation.parent
    known = graph.symbols() if graph is not None else set()
    known |= {name for value in operation.operands if value is not None for name in sizes_of(value)}
    for value in operation.results:
        if isinstance(value.type, TensorType):
            for dim in value.type.shape or ():
                if unknown := symbols(dim) - known:
                    return f"a result whose size {', '.join(sorted(unknown))} is known only after running"
    return ""


def _library_runs(operation: Operation) -> bool:
    return operation.name == "mm.constant" or any(
        not rule.generates and not rule.check(operation) for rule in rules_for(operation)
    )


def _work(low: Lowering, operation: Operation) -> int:
    """A rough count of element operations."""
    if operation.name == "mm.scan":
        states, axes = operation.attributes["states"], operation.attributes["input_axes"]
        scanned = operation.operands[states]
        assert scanned is not None
        assert isinstance(scanned.type, TensorType)
        length = low.elements((scanned.type.shape or ())[axes[0] if axes else 0 :][:1])
        return length * sum(_work(low, inner) for inner in operation.regions[0].operations if inner.operands)
    result = operation.results[0].type
    assert isinstance(result, TensorType)
    elements = low.elements(result.shape or ())
    if operation.name in ("mm.conv", "mm.conv_transpose", "mm.matmul", "mm.gemm", "mm.linear", "mm.attention"):
        weights = operation.operands[1]
        assert weights is not None
        assert isinstance(weights.type, TensorType)
        return elements * max(1, low.elements((weights.type.shape or ())[1:]))
    return elements


