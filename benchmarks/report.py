"""Results as a table on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.summary import Row

COLUMNS = ("model", "engine", "median ms", "fastest ms", "vs best peer", "error vs ort", "load s", "peak MiB")


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS."""
    if row.failure:
        return (row.model, row.engine, "failed", *("" for _ in COLUMNS[3:]))
    return (
        row.model,
        row.engine,
        f"{row.median_ms:.2f}",
        f"{row.fastest_ms:.2f}",
        f"{row.ratio:.2f}",
        f"{row.error:.1e}",
        f"{row.load_s:.2f}",
        f"{row.peak_mib:.0f}",
    )


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table, and below it the last line of what each failed engine said."""
    table = Table(*COLUMNS[:2])
    for heading in COLUMNS[2:]:
        table.add_column(heading, justify="right")
    for row, following in zip(rows, [*rows[1:], None]):
        style = "bold green" if row.engine == "mm" else "red" if row.failure else None
        table.add_row(*cells(row), style=style, end_section=following is None or following.model != row.model)
    console.print(table)
    for row in rows:
        if row.failure:
            last = row.failure.strip().splitlines()[-1]
            console.print(f"{row.model}, {row.engine}: {last}", style="red", markup=False)


def markdown(rows: Sequence[Row], settings: dict[str, object]) -> str:
    """The table as GitHub Markdown with the settings above it."""
    lines = [", ".join(f"{key} {value}" for key, value in settings.items()), ""]
    lines.append("| " + " | ".join(COLUMNS) + " |")
    lines.append("|" + "---|" * len(COLUMNS))
    lines.extend("| " + " | ".join(cells(row)) + " |" for row in rows)
    return "\n".join(lines) + "\n"


def write(folder: Path, rows: Sequence[Row], settings: dict[str, object]) -> None:
    """Write results.md and results.json into `folder`; a figure that does not exist is null."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(markdown(rows, settings))
    records = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(row).items()}
        for row in rows
    ]
    (folder / "results.json").write_text(json.dumps({"settings": settings, "rows": records}, indent=2) + "\n")


def processor() -> str:
    """The name of the CPU."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
