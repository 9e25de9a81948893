"""The command: `python -m benchmarks.micro --only import,ir`. Exit status 1 when a promised limit is exceeded."""

from __future__ import annotations

import importlib
import sys

import click
from rich.console import Console
from rich.table import Table

from benchmarks.options import chosen

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
def main(only: list[str]) -> None:
    """Measure the core itself and compare with what the project promises."""
    table = Table("what", "measured", "promised")
    exceeded = False
    for part in only:
        for figure in importlib.import_module(PARTS[part]).measure():
            over = figure.limit is not None and figure.value > figure.limit
            exceeded |= over
            limit = "" if figure.limit is None else f"< {figure.limit:g} {figure.unit}"
            table.add_row(figure.name, f"{figure.value:.3f} {figure.unit}", limit, style="red" if over else None)
    Console().print(table)
    sys.exit(1 if exceeded else 0)


if __name__ == "__main__":
    main()
