"""mm_run: run a model file on given or made-up inputs and say how fast it is."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from mm_core import __version__, plugins
from mm_core.cli.blocks import Block, describe, format_bytes, print_block, print_latencies
from mm_core.cli.common import Command, console, launch
from mm_core.cli.host import Occupancy, OccupancyMeter, processor_name, total_memory
from mm_core.cli.inputs import random_inputs, read_inputs, resolve_shapes, write_outputs
from mm_core.cli.measure import Measurement, measure
from mm_core.cli.statistics import Latency
from mm_core.cli.values import BatchSizes, InputDims, NameList, shapes_by_input
from mm_core.device import Prediction
from mm_core.errors import InputError
from mm_core.model import Model
from mm_core.runtime import Engine


@click.command(name="mm_run", cls=Command, epilog="Example: mm_run resnet50.mm --batch_size 8 --duration 5000")
@click.argument("file", metavar="[MODEL.mm]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--magicmind_model", type=click.Path(path_type=Path, dir_okay=False), help="MODEL.mm.")
@click.option("--devices", type=NameList(), default=(), help="Devices, such as cpu:0; the first of each if left out.")
@click.option("--threads", type=click.IntRange(min=1), help="Host threads a request may use; all cores if left out.")
@click.option("--batch_size", type=BatchSizes(), default=(), help="First dimension of the inputs.")
@click.option("--input_dims", type=InputDims(), multiple=True, help="Input shapes, by name or position.")
@click.option("--input_files", type=NameList(), default=(), help="Inputs: .npz by name, .npy by position.")
@click.option("--output_path", type=click.Path(path_type=Path, file_okay=False), help="Folder for the outputs.")
@click.option("--warmup", type=click.FloatRange(min=0), default=200.0, show_default=True, help="Milliseconds.")
@click.option("--duration", type=click.FloatRange(min=0), default=3000.0, show_default=True, help="Milliseconds.")
@click.option("--iterations", type=click.IntRange(min=1), default=100, show_default=True, help="At least so many.")
@click.option("--infer_depth", type=click.IntRange(min=1), default=1, show_default=True, help="Requests in flight.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Report as JSON.")
@click.option("--trace_path", type=click.Path(path_type=Path, dir_okay=False), help="Trace that Perfetto reads.")
@click.option("--debug_path", type=click.Path(path_type=Path, file_okay=False), help="Every intermediate result.")
@click.option("--compare", "compare_with", metavar="MODEL_OR_BACKEND", help="Show where numbers begin to differ.")
@click.option("--tolerance", type=click.FloatRange(min=0), default=1e-3, show_default=True, help="For --compare.")
@click.version_option(package_name="mm-core")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Run MODEL.mm and print latency, throughput, load times and memory.

    The measurement ends when both --duration and --iterations are reached.
    """
    out = console()
    path = _path(options["file"], options["magicmind_model"])
    load: dict[str, float] = {}
    model = _timed(load, "load model", lambda: Model.load(path))
    shapes = resolve_shapes(model.inputs, shapes_by_input(options["input_dims"]), options["batch_size"])
    if options["input_files"]:
        inputs = read_inputs([Path(name) for name in options["input_files"]], model.inputs)
        guessed: tuple[str, ...] = ()
    else:
        inputs, guessed = random_inputs(model.inputs, shapes.shapes), shapes.guessed
    parameters = _parameters(path, options, inputs, guessed)
    print_block(out, Block("Parameter Information", tuple(parameters.items())))
    print_block(out, Block("Model Information", _model_rows(model, path)))

    engine = _timed(load, "create engine", lambda: model.create_engine(options["devices"] or None, options["threads"]))
    warm = _timed(load, "create context", engine.create_context)
    _timed(load, "first request", lambda: warm.run(inputs))
    print_block(out, Block("Device Information", _device_rows(engine)))
    print_block(out, Block("Load", tuple((name, f"{seconds * 1e3:.3f} ms") for name, seconds in load.items())))

    meter = OccupancyMeter()
    measured = measure(
        engine,
        inputs,
        warmup=options["warmup"] / 1e3,
        duration=options["duration"] / 1e3,
        iterations=options["iterations"],
        depth=options["infer_depth"],
    )
    occupancy = meter.read()
    batch = _batch(inputs)
    figures = {
        "latency": Latency.of([times.latency for times in measured.requests]),
        "interface": Latency.of([times.interface for times in measured.requests]),
    }
    print_block(out, Block("Host Occupancy", _occupancy_rows(occupancy)))
    print_block(out, Block("Buffer Information", _buffer_rows(inputs, measured.outputs)))
    print_block(out, Block("Performance Summary", _performance_rows(measured, batch)))
    shown = figures if options["infer_depth"] > 1 else {"latency": figures["latency"]}
    print_latencies(out, "Latency (host clock)", shown.items())

    predicted = warm.predictions()
    if predicted:
        print_block(out, Block("Predicted latency (not measured)", _predicted_rows(predicted)))

    if options["json_path"] is not None:
        report = {
            "parameters": parameters,
            "model": dict(_model_rows(model, path)),
            "devices": [{"name": device.name, "description": device.description} for device in engine.devices],
            "load_ms": {name: seconds * 1e3 for name, seconds in load.items()},
            "host": asdict(occupancy),
            "iterations": len(measured.requests),
            "wall_s": measured.wall,
            "batch": batch,
            "throughput_qps": len(measured.requests) * batch / measured.wall,
            **{f"{name}_ms": latency.as_dict() for name, latency in figures.items()},
            "predicted_ms": {
                device: 1e3 * sum(found.seconds for name, found in predicted if name == device)
                for device in dict.fromkeys(name for name, _ in predicted)
            },
        }
        options["json_path"].write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _extras(out, engine, inputs, measured, options)
    if options["compare_with"] is not None:
        _compare(context, out, engine, inputs, path, options)


def _path(file: Path | None, magicmind_model: Path | None) -> Path:
    given = [path for path in (file, magicmind_model) if path is not None]
    if len(given) != 1:
        raise click.UsageError("give one MODEL.mm")
    return given[0]


def _timed(times: dict[str, float], name: str, action: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = action()
    times[name] = time.perf_counter() - started
    return result


def _batch(inputs: Mapping[str, Any]) -> int:
    """Samples in one request: the first dimension of the first input that has one."""
    return next((int(np.shape(value)[0]) for value in inputs.values() if np.ndim(value) > 0), 1)


def _parameters(
    path: Path, options: Mapping[str, Any], inputs: Mapping[str, Any], guessed: Sequence[str]
) -> dict[str, str]:
    rows = {
        "mm": __version__,
        "python": f"{platform.python_version()}, numpy {np.__version__}",
        "pid": str(os.getpid()),
        "model": str(path),
        "devices": ", ".join(options["devices"]) or "the first of each backend",
        "threads": str(options["threads"] or "all cores"),
        "warmup": f"{options['warmup']:g} ms",
        "duration": f"{options['duration']:g} ms",
        "iterations": f"at least {options['iterations']}",
        "infer_depth": str(options["infer_depth"]),
        "inputs": ", ".join(options["input_files"]) or "random",
    }
    if guessed:
        rows["chosen sizes"] = (
            ", ".join(f"{name} = 1" for name in guessed) + " (set them with --input_dims or --batch_size)"
        )
    return rows


def _model_rows(model: Model, path: Path) -> tuple[tuple[str, str], ...]:
    return (
        ("name", model.name),
        ("file size", format_bytes(path.stat().st_size)),
        ("constants", format_bytes(model.constant_bytes)),
        ("precision", model.report.precision),
        ("placement", model.report.summary()),
        *((f"input {spec.name}", describe(spec)) for spec in model.inputs),
        *((f"output {spec.name}", describe(spec)) for spec in model.outputs),
    )


def _device_rows(engine: Engine) -> tuple[tuple[str, str], ...]:
    return (
        *((device.name, device.description) for device in engine.devices),
        ("host processor", f"{processor_name()}, {os.cpu_count()} logical cores"),
        ("host memory", format_bytes(total_memory())),
    )


def _occupancy_rows(occupancy: Occupancy) -> tuple[tuple[str, str], ...]:
    return (
        ("user", f"{occupancy.user_percent:.1f} % of one core"),
        ("kernel", f"{occupancy.kernel_percent:.1f} % of one core"),
        ("virtual memory", format_bytes(occupancy.virtual_bytes)),
        ("resident memory", format_bytes(occupancy.resident_bytes)),
        ("resident memory, peak", format_bytes(occupancy.peak_resident_bytes)),
    )


def _buffer_rows(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def row(kind: str, name: str, value: Any) -> tuple[str, str]:
        if not isinstance(value, np.ndarray):
            return f"{kind} {name}", type(value).__name__
        shape = "x".join(map(str, value.shape)) or "scalar"
        return f"{kind} {name}", f"{value.dtype} {shape}, {format_bytes(value.nbytes)}"

    return (
        *(row("input", name, value) for name, value in inputs.items()),
        *(row("output", name, value) for name, value in outputs.items()),
    )


def _performance_rows(measured: Measurement, batch: int) -> tuple[tuple[str, str], ...]:
    count = len(measured.requests)
    return (
        ("total iterations", str(count)),
        ("host wall time", f"{measured.wall:.4f} s"),
        (
            "throughput (qps)",
            f"{count * batch / measured.wall:.2f} with a total batch size of {batch}, "
            f"{count / measured.wall:.2f} iterations/second",
        ),
    )


_SLOWEST = 5
"""Kernels of a prediction that are shown one by one."""


def _predicted_rows(predicted: Sequence[tuple[str, Prediction]]) -> tuple[tuple[str, str], ...]:
    """For each device the sum over its kernels, then the slowest kernels and the nodes that they are for."""
    rows = []
    for device in dict.fromkeys(name for name, _ in predicted):
        kernels = sorted((found for name, found in predicted if name == device), key=lambda found: -found.seconds)
        total = sum(kernel.seconds for kernel in kernels)
        rows.append((device, f"{total * 1e3:.3f} ms in {len(kernels)} kernels, each once, one after the other"))
        for kernel in kernels[:_SLOWEST]:
            share = 100 * kernel.seconds / total if total else 0.0
            place = ", ".join(kernel.nodes) or kernel.label
            rows.append((f"{device}, {place}", f"{kernel.seconds * 1e3:.3f} ms, {share:.1f} %"))
    return tuple(rows)


def _extras(
    out: Console,
    engine: Engine,
    inputs: Mapping[str, Any],
    measured: Measurement,
    options: Mapping[str, Any],
) -> None:
    """What further files were asked for, and a line for each."""
    from mm_core.cli.observe import dump_results, write_trace

    rows: list[tuple[str, str]] = []
    if options["output_path"] is not None:
        written = write_outputs(measured.outputs, options["output_path"])
        rows += [("output", str(path)) for path in written]
    if options["trace_path"] is not None:
        kernels = write_trace(engine, inputs, measured.requests, options["trace_path"])
        rows.append(("trace", f"{options['trace_path']}: {len(measured.requests)} requests, {kernels} kernels"))
    if options["debug_path"] is not None:
        count = dump_results(engine, inputs, options["debug_path"])
        rows.append(("intermediate results", f"{options['debug_path']}: {count} arrays"))
    if options["json_path"] is not None:
        rows.append(("report", str(options["json_path"])))
    if rows:
        print_block(out, Block("Files", tuple(rows)))


def _compare(
    context: click.Context,
    out: Console,
    engine: Engine,
    inputs: Mapping[str, Any],
    path: Path,
    options: Mapping[str, Any],
) -> None:
    """Compare with another model or backend; the exit status is not 0 where numbers differ."""
    from mm_core.cli.compare import compare

    other = _other_model(options["compare_with"], engine.model)
    comparison = compare(engine, other.create_engine(threads=options["threads"]), inputs)
    tolerance = options["tolerance"]
    first = comparison.first(tolerance)
    rows = [
        ("compared with", options["compare_with"]),
        ("intermediate results", f"{len(comparison.steps)} compared"),
        *(
            (found.label, f"relative {found.relative:.3g}, largest difference {found.absolute:.3g}")
            for found in comparison.outputs
        ),
    ]
    if first is None:
        rows.append(("result", f"equal within {tolerance:g}"))
    else:
        place = ", ".join(first.nodes) or first.label
        rows.append(("first difference", f"{place} [{first.label}]: relative {first.relative:.3g}"))
    print_block(out, Block("Comparison", tuple(rows)))
    if first is not None:
        context.exit(1)


def _other_model(name: str, model: Model) -> Model:
    """A model file, a source that can be built, or this model's own network built for another backend."""
    if Path(name).suffix == ".mm":
        return Model.load(name)
    from mm_core.build import Builder, BuilderConfig

    if Path(name).exists():
        from mm_core.parsing import parse

        return Builder(BuilderConfig(backends=("reference",))).build(parse(name))
    backends = [record.name for record in plugins.records("mm.backends")]
    if name not in backends:
        raise InputError(
            f"{name!r} is neither a file nor an installed backend",
            available=", ".join(backends) or "no backends",
        )
    if not model.graph_text:
        raise InputError(
            "the model file holds no network to build again",
            where=model.source,
            remedy="build it with --keep_graph, or compare with its source file",
        )
    from mm_core.ir import Network

    network = Network.from_text(model.graph_text, model.graph_weights)
    return Builder(BuilderConfig(backends=(name,))).build(network)


def main() -> None:
    launch(command)
