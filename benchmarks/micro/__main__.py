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
}


@click.command()
@click.option("--only", default=",".join(PARTS), callback=chosen(tuple(PARTS)), show_default=True)
def main(only: list[str]) -> None:
    """Measure the core itself and compare with what the project promises."""
    table = Table("what", "seconds", "promised")
    exceeded = False
    for part in only:
        for figure in importlib.import_module(PARTS[part]).measure():
            late = figure.limit is not None and figure.seconds > figure.limit
            exceeded |= late
            limit = "" if figure.limit is None else f"< {figure.limit:g}"
            table.add_row(figure.name, f"{figure.seconds:.3f}", limit, style="red" if late else None)
    Console().print(table)
    sys.exit(1 if exceeded else 0)


if __name__ == "__main__":
    main()
