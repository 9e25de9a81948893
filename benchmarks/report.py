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

from benchmarks.summary import OURS, Row, mean_ratio

COLUMNS = (
    "model", "engine", "median ms", "fastest ms", "best peer / it", "it / mm", "error vs ort", "load s", "peak MiB",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS."""
    if row.failure:
        return (row.model, row.engine, "failed", *("" for _ in COLUMNS[3:]))
    return (
        row.model,
        row.engine,
        f"{row.median_ms:.2f}",
        f"{row.fastest_ms:.2f}",
        _ratio(row.vs_best_peer),
        _ratio(row.vs_ours),
        f"{row.error:.1e}",
        f"{row.load_s:.2f}",
        f"{row.peak_mib:.0f}",
    )


def _ratio(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table, and below it the last line of what each failed engine said."""
    table = Table(*COLUMNS[:2])
    for heading in COLUMNS[2:]:
        table.add_column(heading, justify="right")
    for row, following in zip(rows, [*rows[1:], None]):
        style = "bold green" if row.engine == OURS else "red" if row.failure else None
        table.add_row(*cells(row), style=style, end_section=following is None or following.model != row.model)
    console.print(table)
    ours = [row.vs_best_peer for row in rows if row.engine == OURS and not math.isnan(row.vs_best_peer)]
    if len(ours) > 1:
        console.print(f"best peer / {OURS}, geometric mean of {len(ours)} models: {mean_ratio(ours):.3f}")
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


def read(path: Path) -> tuple[list[Row], dict[str, object]]:
    """Rows and settings of a results.json."""
    stored = json.loads(path.read_text())
    records = [{key: float("nan") if value is None else value for key, value in row.items()} for row in stored["rows"]]
    return [Row(**record) for record in records], stored["settings"]


def processor() -> str:
    """The name of the CPU."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
