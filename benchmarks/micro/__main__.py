"""The command: `python -m benchmarks.micro --only import,ir`. Exit status 1 when a promised limit is exceeded."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.options import chosen, command_line
from benchmarks.report import processor

PARTS = {
    "import": "benchmarks.micro.import_time",
    "ir": "benchmarks.micro.ir_speed",
    "build": "benchmarks.micro.build_time",
    "load": "benchmarks.micro.load_time",
    "memory": "benchmarks.micro.large_model",
    "running": "benchmarks.micro.run_memory",
    "request": "benchmarks.micro.request_time",
    "frameworks": "benchmarks.micro.frameworks",
    "torch": "benchmarks.micro.torch_calls",
    "tensorflow": "benchmarks.micro.tensorflow_calls",
}


@click.command()
@click.option("--only", default=",".join(PARTS), callback=chosen(tuple(PARTS)), show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="folder for figures.json")
def main(only: list[str], output: Path | None) -> None:
    """Measure the core itself and compare with what the project promises."""
    figures = [figure for part in only for figure in importlib.import_module(PARTS[part]).measure()]
    table = Table("what", "measured", "promised")
    for figure in figures:
        limit = "" if figure.limit is None else f"< {figure.limit:.4g} {figure.unit}"
        table.add_row(figure.name, f"{figure.value:.3f} {figure.unit}", limit, style="red" if figure.exceeded else None)
    Console().print(table)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        settings = {"command": command_line("benchmarks.micro"), "cpu": processor()}
        stored = {"settings": settings, "figures": [asdict(figure) for figure in figures]}
        (output / "figures.json").write_text(json.dumps(stored, indent=2) + "\n")
    sys.exit(any(figure.exceeded for figure in figures))


if __name__ == "__main__":
    main()
