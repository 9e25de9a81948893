"""The command: `python -m benchmarks.run --models resnet50,bert_base --engines mm,torch,ort --threads 2`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from benchmarks import report
from benchmarks.engines import ENGINES
from benchmarks.options import chosen, command_line
from benchmarks.plot import plot
from benchmarks.request import Request
from benchmarks.schedule import compare
from benchmarks.summary import summarise
from tests import zoo
from tests.zoo.quantized import quantize

COMPARED = tuple(engine for engine in ENGINES if engine != "mm-float32")
MODELS = ("resnet50", "mobilenet_v2", "minilm_l6", "bert_base", "vit_b16")
GROUPS = {"others": tuple(name for name in zoo.names() if name not in (*MODELS, "gpt2"))}


@click.command()
@click.option("--models", default=",".join(MODELS), callback=chosen(zoo.names(), GROUPS), show_default=True)
@click.option("--engines", default=",".join(COMPARED), callback=chosen(tuple(ENGINES)), show_default=True)
@click.option("--threads", default=2, show_default=True, help="threads of every engine")
@click.option("--batch", default=1, show_default=True)
@click.option("--rounds", default=7, show_default=True, help="turns of every engine")
@click.option("--seconds", default=1.0, show_default=True, help="length of one turn")
@click.option("--opt_level", default=2, show_default=True, help="of our builds")
@click.option("--quantized", is_flag=True, help="with u8 activations and s8 weights, by ONNX Runtime's quantizer")
@click.option("--small", is_flag=True, help="two-layer variants, to try the harness out")
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/benchmarks"), show_default=True)
def main(
    models: list[str],
    engines: list[str],
    threads: int,
    batch: int,
    rounds: int,
    seconds: float,
    opt_level: int,
    quantized: bool,
    small: bool,
    output: Path,
) -> None:
    """Compare engines on models of the zoo, in turn, each in its own process.

    Example: python -m benchmarks.run --models resnet50 --engines mm,torch,ort --threads 2
    """
    console = Console()
    rows = []
    with console.status("") as status:
        for name in models:
            status.update(f"{name}: exporting")
            path = zoo.build(name, batch, small).path
            request = Request(name, path, batch, threads, small, opt_level)
            if quantized:
                status.update(f"{name}: quantizing")
                target = path.with_name(f"{path.stem}-u8s8.onnx")
                if not target.exists():
                    quantize(path, target, request.inputs())
                request = replace(request, path=target)
            rows += summarise(name, compare(request, engines, rounds, seconds, status.update))
            versions = {row.engine: row.version for row in rows if row.version}
            settings = {
                "command": command_line("benchmarks.run"),
                "cpu": report.processor(),
                "threads": threads,
                "batch": batch,
                "rounds": rounds,
                "engines": ", ".join(f"{engine} {version}" for engine, version in versions.items()),
            }
            report.write(output, rows, settings)
    report.show(console, rows)
    plot(rows, output / "results.png", f"{report.processor()}, {threads} threads, batch {batch}")
    console.print(f"written: {output}/results.md, results.json, results.png")


if __name__ == "__main__":
    main()
