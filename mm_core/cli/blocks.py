"""Printing: a report is blocks, a block is a title over lines of a label and a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mm_core.cli.statistics import Latency
from mm_core.types import TensorSpec, TensorType


@dataclass(frozen=True)
class Block:
    title: str
    rows: tuple[tuple[str, str], ...]


def print_block(out: Console, block: Block) -> None:
    _print_title(out, block.title)
    width = max((len(label) for label, _ in block.rows), default=0)
    for label, value in block.rows:
        out.print(f"  {escape(label):<{width}} : {escape(value)}")


def print_latencies(out: Console, title: str, series: Iterable[tuple[str, Latency]]) -> None:
    """A table of milliseconds: one line for each series of times."""
    _print_title(out, title)
    names = ("min", "max", "mean", "median", "p90", "p95", "p99")
    table = Table("ms", *names, box=None, pad_edge=False, padding=(0, 2))
    for column in table.columns[1:]:
        column.justify = "right"
    for label, latency in series:
        values = latency.as_dict()
        table.add_row("  " + label, *(f"{values[name]:.4f}" for name in names))
    out.print(table)


def _print_title(out: Console, title: str) -> None:
    out.print(f"[bold]{'=' * 12} {escape(title)} {'=' * 12}[/bold]")


def describe(spec: TensorSpec) -> str:
    """Element type and shape of an input or output."""
    if not isinstance(spec.type, TensorType):
        return str(spec.type)
    shape = "?" if spec.shape is None else "x".join(map(str, spec.shape)) or "scalar"
    return f"{spec.dtype.name} {shape}"


def format_bytes(count: float) -> str:
    """A size as people read it, in powers of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
