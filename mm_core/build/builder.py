"""`Builder`: from a network to a model. Passes, placement, parts, compilation, plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

from packaging.version import Version

from mm_core import plugins
from mm_core.build.config import FLOAT32_PRECISION, BuilderConfig
from mm_core.build.guards import input_guards
from mm_core.build.partition import Partition, partition
from mm_core.build.placement import Placed, place
from mm_core.compiler import CompileContext, Compiler
from mm_core.device import Backend
from mm_core.errors import BuildError, CompileError, MMError
from mm_core.ir import Graph, Network
from mm_core.model import (
    Block,
    BuildReport,
    Copy,
    Executable,
    Host,
    If,
    Instruction,
    Loop,
    Model,
    Plan,
    Requirements,
)
from mm_core.passes import Instrumentation, PassContext, PassManager, PassRecord, default_pipeline
from mm_core.runtime import HOST_FUNCTIONS
from mm_core.types import Guard, TensorType, symbols

BACKENDS = "mm.backends"
REFERENCE = "reference"
LARGEST_TENSOR = 1 << 47
"""Bytes: what a process can address."""


@dataclass
class _Clock:
    """Seconds by step, and the caller's progress function."""

    config: BuilderConfig
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, fraction: float) -> Iterator[None]:
        if self.config.progress is not None:
            self.config.progress(name, fraction)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def between(self, first: float, last: float) -> Callable[[int, int, str], None]:
        """A progress function for counted work that takes the build from one fraction to another."""

        def report(done: int, total: int, name: str) -> None:
            if self.config.progress is not None and name:
                self.config.progress(name, first + (last - first) * done / max(total, 1))

        return report


class Builder:
    """Builds models by one configuration. The network that is given stays as it is."""

    def __init__(self, config: BuilderConfig | None = None) -> None:
        self.config = config or BuilderConfig()

    def build(self, network: Network) -> Model:
        """Compile a network. Raises VerifyError, PassError, BuildError or CompileError with the user's node."""
        config, clock = self.config, _Clock(self.config)
        if not network.outputs:
            raise BuildError("the network has no outputs", where=network.name, remedy="name them with mark_output")
        backends = self._backends()
        targets = [_target(backend, config.target) for backend in backends]
        _refuse_unknown_options(backends, config.target)
        folder = Path(config.print_ir) if config.print_ir is not None else None
        if folder is not None:
            _make_folder(folder)
        with clock.step("verify", 0.0):
            network.verify()
            _refuse_absurd_sizes(network)
            work = network.clone()
            dim_range = _dim_range(work, config)
            guards = input_guards(work)
        with clock.step("passes", 0.02):
            pipeline = self._pipeline(folder)
            plugins.hooks().mm_pipeline_assembled(pipeline=pipeline.passes, config=config)
            _refuse_missing_precision(config.precision, pipeline)
            context = PassContext(
                config.opt_level, config.precision, tuple(config.backends), dim_range, clock.between(0.02, 0.15)
            )
            pipeline.run(work, context)
        with clock.step("placement", 0.15):
            compilers = [backend.compiler(target) for backend, target in zip(backends, targets)]
            placed = place(work, compilers, config.strict)
            work.verify()
            self._pipeline(None, placed=True).run(work, replace(context, progress=None))
        with clock.step("partition", 0.2):
            parts = partition(work, placed.device, [backend.memory_space for backend in backends])
        with clock.step("compile", 0.25):
            executables = self._compile(parts, compilers, dim_range, folder, clock.between(0.25, 0.98))
        with clock.step("pack", 0.98):
            model = self._pack(network, work, parts, executables, backends, placed, guards, dim_range, pipeline, clock)
        plugins.hooks().mm_model_packed(model=model)
        if config.progress is not None:
            config.progress("done", 1.0)
        return model

    def _pipeline(self, folder: Path | None, placed: bool = False) -> PassManager:
        config = self.config
        instrumentation = Instrumentation(folder, folder)
        return default_pipeline(
            config.disable_passes, config.opt_level, config.passes, placed=placed, instrumentation=instrumentation
        )

    def _backends(self) -> list[Backend]:
        names = list(self.config.backends)
        if REFERENCE not in names and not self.config.strict:
            names.append(REFERENCE)
        found = []
        for name in names:
            try:
                backend = plugins.load(BACKENDS, name)
            except MMError:
                if name == REFERENCE and name not in self.config.backends:
                    continue  # A deployment without the oracle can still build what its backends run themselves.
                raise
            found.append(backend() if isinstance(backend, type) else backend)
        return found

    def _compile(
        self,
        parts: Partition,
        compilers: Sequence[Compiler],
        dim_range: Mapping[str, tuple[int, int]],
        folder: Path | None,
        progress: Callable[[int, int, str], None],
    ) -> list[Executable]:
        executables = []
        for index, part in enumerate(parts.parts):
            progress(index, len(parts.parts), f"compile part {index + 1} of {len(parts.parts)}")
            compiler = compilers[part.device]
            context = CompileContext(self.config.opt_level, self.config.threads, dim_range, folder, f"part{index}")
            start = time.perf_counter()
            executable = _compiled(compiler, part.network, context)
            plugins.hooks().mm_part_compiled(
                backend=compiler.backend, part=part.network, executable=executable, seconds=time.perf_counter() - start
            )
            executables.append(executable)
        return executables

    def _pack(
        self,
        source: Network,
        work: Network,
        parts: Partition,
        executables: Sequence[Executable],
        backends: Sequence[Backend],
        placed: Placed,
        guards: Sequence[tuple[Guard, str]],
        dim_range: Mapping[str, tuple[int, int]],
        pipeline: PassManager,
        clock: _Clock,
    ) -> Model:
        used = sorted({part.device for part in parts.parts})
        number = {device: index for index, device in enumerate(used)}
        names = tuple(backends[device].name for device in used)
        infos = tuple(replace(info, device=number[info.device]) for info in parts.infos)
        plan = Plan(
            names, infos, tuple(parts.slots), dict(parts.constant_slots), tuple(guards), _renumber(parts.main, number)
        )
        callbacks = {step.operator for step in plan.main.walk() if isinstance(step, Host)} - HOST_FUNCTIONS.keys()
        running = {op.partition(".")[0] for op in callbacks} | {
            prefix for executable in executables for prefix in executable.operators
        }
        written = {operation.name.partition(".")[0] for operation in source.walk()}
        needs = Requirements(_distributions(names, running), _distributions(names, running | written))
        report = BuildReport(
            tuple(placed.records),
            tuple(record for executable in executables for record in executable.kernels),
            self.config.precision,
            tuple(_describe(record) for record in pipeline.records if record.result.changed),
            _memory(parts, executables),
            pipeline.skipped,
            dict(clock.seconds),
        )
        return Model(
            source.name, source.inputs, source.output_specs, plan, tuple(executables), tuple(parts.constants), report,
            needs, dim_range, str(source) if self.config.keep_graph else "",
            graph_weights=source.weights() if self.config.keep_graph else {},
        )  # fmt: skip


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"print_ir cannot be a folder: {error.strerror}", where=str(folder)) from error


def _compiled(compiler: Compiler, part: Network, context: CompileContext) -> Executable:
    """The executable of a part. What a backend's compiler did not foresee is a CompileError that names the backend."""
    try:
        return compiler.compile(part, context)
    except MMError:
        raise
    except Exception as error:
        raise CompileError(
            f"the compiler of the backend {compiler.backend} failed: {type(error).__name__}: {error}",
            where=context.part_name,
            remedy=f"leave {compiler.backend} out of backends, and report this to its authors",
        ) from error


def _refuse_absurd_sizes(graph: Graph) -> None:
    """BuildError for a tensor that no memory could hold, before anything is planned or allocated for it."""
    made = [(value, operation.where) for operation in graph.operations for value in operation.results]
    for value, where in [*((value, f"input '{value.name}'") for value in graph.arguments), *made]:
        if isinstance(value.type, TensorType) and value.type.is_static:
            count = prod(dim for dim in value.type.shape or () if isinstance(dim, int))
            if count * value.type.dtype.itemsize > LARGEST_TENSOR:
                raise BuildError(f"a tensor of type {value.type} is beyond any memory", where=where)
    for operation in graph.operations:
        for region in operation.regions:
            _refuse_absurd_sizes(region)


def _target(backend: Backend, given: Mapping[str, str]) -> dict[str, str]:
    """The backend's options with what was given for them, as `backend.name` or `name`, or by an alias."""
    target = {}
    for option in backend.options:
        spelled = [prefix + name for name in option.names for prefix in (f"{backend.name}.", "")]
        value = next((given[name] for name in spelled if name in given), option.default)
        if option.choices and value not in option.choices:
            raise BuildError(f"{option.name} of {backend.name} is {value!r}", available=", ".join(option.choices))
        target[option.name] = value
    return target


def _refuse_missing_precision(precision: str, pipeline: PassManager) -> None:
    """BuildError if no pass brings the mode about: a model in another precision than asked for would be a lie."""
    offered = [FLOAT32_PRECISION, *(mode for instance in pipeline.passes for mode in instance.precisions)]
    if precision not in offered:
        raise BuildError(
            f"no pass of this build brings about the precision mode {precision}",
            available=", ".join(dict.fromkeys(offered)),
            remedy="install a package that does, such as mm-passes-precision, or leave its pass enabled",
        )


def _refuse_unknown_options(backends: Sequence[Backend], given: Mapping[str, str]) -> None:
    named = [(backend.name, name) for backend in backends for option in backend.options for name in option.names]
    declared = {name for _, name in named} | {f"{backend}.{name}" for backend, name in named}
    if unknown := sorted(set(given) - declared):
        raise BuildError(
            f"no backend of this build has the option {', '.join(map(repr, unknown))}",
            available=", ".join(sorted(declared)) or "no options",
            remedy="add the backend that has it to backends",
        )


def _memory(parts: Partition, executables: Sequence[Executable]) -> dict[str, int]:
    """Bytes of constants, and of the workspace of each part whose sizes are known."""
    constants = [data for executable in executables for data in executable.constants]
    found = {"constants": sum(data.nbytes for data in (*constants, *parts.constants))}
    for number, executable in enumerate(executables):
        if executable.workspace_bytes is not None:
            found[f"workspace of part {number}"] = executable.workspace_bytes
    return found


def _describe(record: PassRecord) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in record.result.counts.items())
    return f"{record.text}: {counts}" if counts else record.text


def _distributions(backends: Sequence[str], dialects: Collection[str]) -> tuple[str, ...]:
    """The core and the distributions of backends and of operator packages, with the versions that will do."""
    wanted = [(BACKENDS, name) for name in backends] + [("mm.ops", prefix) for prefix in sorted(dialects)]
    distributions = {"mm-core": _core_version()}
    for group, name in wanted:
        for record in plugins.records(group):
            if record.name == name and record.distribution:
                distributions[record.distribution] = record.version
    return tuple(_range(name, version) for name, version in distributions.items())


def _renumber(block: Block, number: Mapping[int, int]) -> Block:
    """The block with devices counted among those in use only."""
    steps: list[Instruction] = []
    for step in block.instructions:
        if isinstance(step, Copy):
            step = replace(
                step,
                source_device=number.get(step.source_device, -1),
                target_device=number.get(step.target_device, -1),
            )
        elif isinstance(step, If):
            step = replace(
                step, then_block=_renumber(step.then_block, number), else_block=_renumber(step.else_block, number)
            )
        elif isinstance(step, Loop):
            step = replace(step, body=_renumber(step.body, number))
        steps.append(step)
    return replace(block, instructions=tuple(steps))


def _core_version() -> str:
    from mm_core import __version__

    return __version__


def _range(distribution: str, version: str) -> str:
    release = Version(version).release
    following = f"{release[0]}.{release[1] + 1}" if release[0] == 0 and len(release) > 1 else str(release[0] + 1)
    return f"{distribution}>={version},<{following}"


def _dim_range(network: Network, config: BuilderConfig) -> dict[str, tuple[int, int]]:
    """Ranges by symbol, those that MagicMind's keys give by input number included. BuildError for unknown names."""
    known = network.symbols()
    ranges = {name: limits for name, limits in network.dim_range.items() if name in known} | dict(
        config.dim_range or {}
    )
    for name, (least, largest) in config.input_dims.items():
        specs = network.inputs
        by_name = {spec.name: spec for spec in specs}
        spec = specs[int(name)] if name.isdigit() and int(name) < len(specs) else by_name.get(name)
        if spec is None or spec.shape is None or len(spec.shape) != len(least) or len(least) != len(largest):
            raise BuildError(f"dim_range names input {name} with {len(least)} dimensions", available=str(specs))
        for dim, low, high in zip(spec.shape, least, largest):
            for symbol_name in symbols(dim):
                ranges[symbol_name] = (int(low), int(high))
    if unknown := set(ranges) - known:
        raise BuildError(f"dim_range names {', '.join(sorted(unknown))}", available=", ".join(sorted(known)) or "none")
    return {name: (int(low), int(high)) for name, (low, high) in sorted(ranges.items())}
