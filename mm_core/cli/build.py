"""mm_build: a trained model in, a model file out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mm_core import plugins
from mm_core.build import Builder, BuilderConfig
from mm_core.cli.blocks import Block, describe, format_bytes, print_block
from mm_core.cli.common import VERBOSE, Command, console, launch
from mm_core.cli.values import (
    BatchSizes,
    InputDims,
    NameList,
    NameValue,
    Shapes,
    shapes_by_input,
    shapes_by_name,
    spread,
)
from mm_core.errors import BuildError, PluginError
from mm_core.ir import Network
from mm_core.model import BuildReport, KernelRecord, Model
from mm_core.parsing import parse

SHOWN_REFUSALS = 10
SHOWN_KERNELS = 10
UNLIMITED = 2**31  # No tensor has so many rows: front ends write such numbers for limits that nobody set.
_TARGET = "mm_core.cli.build.target"

# Options of the command that are fields of BuilderConfig under the same name.
_CHOICES = (
    "backends", "precision", "opt_level", "disable_passes", "passes", "strict", "threads", "print_ir", "keep_graph",
)  # fmt: skip

# MagicMind's option for each front end, and the name of the parser plugin that it asks for.
_FRONT_ENDS = {"onnx": "onnx", "tf_pb": "tensorflow", "pytorch_pt": "torch"}


class BuildCommand(Command):
    """mm_build with the options that the chosen backends declare, and no others, added to its own."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        # Backends are chosen on the same line that their options stand on, so that choice is read ahead.
        own = {parameter.name for parameter in self.params}
        self._declared = [option for option in _declared_options(_read_ahead(args)) if option.name not in own]
        return super().make_context(info_name, args, *rest, **extra)

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        return [*super().get_params(context), *self._declared]


def _read_ahead(args: Sequence[str]) -> tuple[str, ...]:
    for index, argument in enumerate(args):
        if argument == "--backend" and index + 1 < len(args):
            return tuple(args[index + 1].split(","))
        if argument.startswith("--backend="):
            return tuple(argument.removeprefix("--backend=").split(","))
    return tuple(BuilderConfig().backends)


def _declared_options(backends: Sequence[str]) -> Iterator[click.Option]:
    for name in backends:
        try:
            declared = _load_backend(name).options
        except PluginError:
            continue  # the build itself says what is wrong with this backend
        for option in declared:
            yield click.Option(
                [f"--{option.name}", option.name],
                help=f"{option.help} ({name})",
                type=click.Choice(option.choices) if option.choices else str,
                expose_value=False,
                callback=_remember_target,
            )


def _remember_target(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta.setdefault(_TARGET, {})[parameter.name] = value


@click.command(
    name="mm_build",
    cls=BuildCommand,
    epilog="Example: mm_build resnet50.onnx -o resnet50.mm --input_dims 1,3,224,224",
)
@click.argument("source", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@click.option("--onnx", type=click.Path(path_type=Path), help="MODEL, read as ONNX.")
@click.option("--tf_pb", type=click.Path(path_type=Path), help="MODEL, read as a TensorFlow graph.")
@click.option("--pytorch_pt", type=click.Path(path_type=Path), help="MODEL, read as a PyTorch export.")
@click.option(
    "-o", "--output", "--magicmind_model", "output", type=click.Path(path_type=Path, dir_okay=False),
    help="The model file to write; MODEL with the suffix .mm if left out.",
)  # fmt: skip
@click.option("--backend", "backends", type=NameList(), help="Backends, the preferred first; cpu if left out.")
@click.option("--precision", metavar="MODE", help="Precision mode, such as force_float32.")
@click.option("--input_dims", type=InputDims(), multiple=True, help="Input shapes, by name or position.")
@click.option("--batch_size", type=BatchSizes(), default=(), help="First dimension of the inputs.")
@click.option("--build_config", metavar="JSON", help="Configuration file or text; options given here go before it.")
@click.option("--opt_level", type=click.IntRange(0, 3), help="0: as parsed, 3: kernels timed here.")
@click.option("--disable_pass", "disable_passes", multiple=True, metavar="NAME", help="Leave out a pass.")
@click.option("--passes", metavar="PIPELINE", help="The passes to run, as text, in place of the default.")
@click.option("--strict", is_flag=True, default=None, help="Refuse operators that only numpy references run.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to plan for.")
@click.option("--print_ir", type=click.Path(path_type=Path, file_okay=False), help="Folder for the IR of every step.")
@click.option("--keep_graph", is_flag=True, default=None, help="Keep the network's text in the model file.")
@click.option("--option", "options", type=NameValue(), multiple=True, help="An option of a backend.")
@click.option("--parser_option", "parser_options", type=NameValue(), multiple=True, help="An option of the parser.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Samples for quantisation (.npz).")
@click.option("--plugin", "wanted", multiple=True, metavar="NAME", help="A plugin that must be there.")
@click.version_option(package_name="mm-core")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Compile MODEL (ONNX, TensorFlow, PyTorch, MLIR text) into a model file."""
    path, parser = _source(options["source"], {name: options[name] for name in _FRONT_ENDS})
    output: Path = options["output"] or path.with_suffix(".mm")
    if output.resolve() == path.resolve():
        raise click.UsageError(f"the output {output} is the source itself; choose another with -o")
    if options["calibration"] is not None:
        raise BuildError(
            "calibration is not offered by this version",
            where=str(options["calibration"]),
            remedy="remove --calibration",
        )
    for name in options["wanted"]:
        _require(name)
    target = {**context.meta.get(_TARGET, {}), **dict(options["options"])}
    with _progress() as advance:
        advance("parse", 0.0)
        started = time.perf_counter()
        read = partial(parse, path, parser=parser, **dict(options["parser_options"]))
        network = _parse(read, shapes_by_input(options["input_dims"]), options["batch_size"])
        parsed = time.perf_counter() - started
        given = {name: options[name] for name in _CHOICES}
        config = _configuration(options["build_config"], given, target, advance)
        model = Builder(config).build(network)
        model.save(output)
    _summary(console(), model, output, parsed, context.meta[VERBOSE])


def _source(source: Path | None, by_front_end: Mapping[str, Path | None]) -> tuple[Path, str | None]:
    """The model's path and the parser to use: given plainly, or by one of MagicMind's options."""
    given: list[tuple[Path, str | None]] = [
        (path, _FRONT_ENDS[name]) for name, path in by_front_end.items() if path is not None
    ]
    if source is not None:
        given.append((source, None))
    if len(given) != 1:
        raise click.UsageError(
            "give one MODEL" if not given else "give one MODEL, not " + ", ".join(str(path) for path, _ in given)
        )
    return given[0]


def _require(name: str) -> None:
    """Load every plugin of that name, so that one which is absent or broken ends the build here."""
    for record in plugins.matching(name):
        plugins.load(record.group, record.name)


def _parse(read: Callable[..., Network], shapes: Shapes, batch_sizes: Sequence[int | None]) -> Network:
    """The network, with the input shapes asked for; they need its input names, so it may be read twice."""
    network = read()
    if not shapes and not batch_sizes:
        return network
    return read(input_shapes=_input_shapes(network, shapes, batch_sizes))


def _input_shapes(
    network: Network, shapes: Shapes, batch_sizes: Sequence[int | None]
) -> dict[str, tuple[int | str, ...]]:
    specs = network.inputs
    wanted: dict[str, tuple[int | str, ...]] = dict(shapes_by_name([spec.name for spec in specs], shapes))
    for spec, batch in zip(specs, spread(batch_sizes, len(specs))):
        shape = wanted.get(spec.name, spec.shape)
        if batch is not None and shape:
            wanted[spec.name] = (batch, *(dim if isinstance(dim, int) else str(dim) for dim in shape[1:]))
    return wanted


def _configuration(
    build_config: str | None,
    given: Mapping[str, Any],
    target: Mapping[str, str],
    advance: Callable[[str, float], None],
) -> BuilderConfig:
    """The configuration file, overridden by what the command line gives."""
    overrides = {name: value for name, value in given.items() if value not in (None, ())}
    config = BuilderConfig.from_json(build_config or {}, **overrides, progress=advance)
    return config.with_options(target={**config.target, **target}) if target else config


def _load_backend(name: str) -> Any:
    return plugins.load("mm.backends", name)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr for as long as the build runs; it is told the step and how much is done."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    err = console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("starting", total=1.0)
        yield lambda step, fraction: progress.update(task, description=escape(step), completed=fraction)


def _limits(least: int, most: int) -> str:
    return f"{least} to {most}" if most < UNLIMITED else f"{least} or more"


def _summary(out: Console, model: Model, target: Path, parsed: float, verbose: bool) -> None:
    report = model.report
    rows = [
        ("file", f"{target} ({format_bytes(target.stat().st_size)})"),
        *((f"input {spec.name}", describe(spec)) for spec in model.inputs),
        *((f"output {spec.name}", describe(spec)) for spec in model.outputs),
        *((f"size {name}", _limits(*limits)) for name, limits in model.dim_range.items()),
        ("weights", format_bytes(model.constant_bytes)),
        *((f"memory, {name}", format_bytes(count)) for name, count in report.memory.items()),
        ("precision", report.precision),
        ("placement", report.summary()),
    ]
    print_block(out, Block("Model", tuple(rows)))
    refused = report.refusals()
    if refused:
        shown = refused if verbose else refused[:SHOWN_REFUSALS]
        lines = tuple(
            (f"{record.node} [{record.op}]", f"on {record.device}, because {record.reason}") for record in shown
        )
        if len(shown) < len(refused):
            lines += (("...", f"{len(refused) - len(shown)} more, shown by --verbose"),)
        print_block(out, Block("Not on the preferred backend", lines))
    if kernels := _measured_kernels(report, None if verbose else SHOWN_KERNELS):
        print_block(out, Block("Slowest kernels, measured", kernels))
    if report.notes:
        print_block(out, Block("Notes", tuple(("note", note) for note in report.notes)))
    steps = {"parse": parsed, **report.seconds}
    print_block(out, Block("Build time", tuple((name, f"{seconds:.3f} s") for name, seconds in steps.items())))


def _measured_kernels(report: BuildReport, most: int | None) -> tuple[tuple[str, str], ...]:
    """A line for each kernel that was chosen by timing, the slowest first: what it is, and what it beat."""
    measured = [record for record in report.kernels if record.variants and record.variants[0].measured]
    measured.sort(key=lambda record: -record.variants[0].seconds)
    return tuple((record.label, _describe_choice(record)) for record in measured[:most])


def _describe_choice(record: KernelRecord) -> str:
    chosen, *beaten = record.variants
    text = f"{chosen.seconds * 1e3:.3f} ms, {record.peak_share:.0%} of peak: {record.kernel}, {chosen.name}"
    return f"{text}; {record.lead:.2f} times as fast as {beaten[0].name}" if beaten else text


def main() -> None:
    launch(command)
