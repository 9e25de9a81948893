"""Where time goes, and how near to the machine's limits each kernel is: `python -m benchmarks.roofline`.

The limits are measured: FMAs on registers, and reading of more memory than caches hold. Kernels are timed inside whole
requests. Operations are counted as the definition has them, so that Winograd's algorithm may be above the roof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from mm_backend_cpu.codegen.isa import detect
from mm_backend_cpu.tuning.measure import machine_limits
from rich.console import Console
from rich.table import Table

import mm_core as mm
from benchmarks.options import chosen
from benchmarks.request import Request
from benchmarks.run import MODELS
from mm_core.cli.observe import Recorder
from tests import zoo

COLUMNS = ("model", "kernel", "count", "ms", "share of time", "GFLOP/s", "share of peak", "FLOP/byte")


@dataclass(frozen=True)
class Kernel:
    """Kernels of one name and variant in a model: how many, their seconds, operations and bytes of operands."""

    model: str
    name: str
    count: int
    seconds: float
    flop: int
    operand_bytes: int

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flop / self.seconds

    @property
    def intensity(self) -> float:
        """FLOP for each byte of operands."""
        return self.flop / max(self.operand_bytes, 1)


def measured(name: str, threads: int, batch: int, requests: int) -> list[Kernel]:
    """The kernels of a model of the zoo, the slowest first; each one's time is the median of so many requests."""
    path = zoo.build(name, batch).path
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], threads=threads)).build(mm.parse(path))
    context = model.create_engine(threads=threads).create_context()
    inputs = Request(name, path, batch, threads, False).inputs()
    times = []
    for _ in range(requests + 2):
        context.observer = recorder = Recorder(times=True)
        context.run(inputs)
        times.append([seconds for _, _, seconds in recorder.kernels])
    medians = np.median(times[2:], axis=0)
    groups: dict[str, list[int]] = {}
    (part,) = model.executables
    for number, record in enumerate(part.kernels):
        algorithm = [record.variants[0].name.partition(",")[0]] if record.variants else []
        groups.setdefault(": ".join((record.kernel, *algorithm)), []).append(number)
    kernels = [
        Kernel(
            name, title, len(numbers), float(sum(medians[number] for number in numbers)),
            sum(part.kernels[number].flop for number in numbers),
            sum(part.kernels[number].operand_bytes for number in numbers),
        )
        for title, numbers in groups.items()
    ]  # fmt: skip
    return sorted(kernels, key=lambda kernel: -kernel.seconds)


def cells(kernel: Kernel, total: float, peak: float) -> tuple[str, ...]:
    """A row of the table."""
    counted = kernel.flop > 0
    return (
        kernel.model,
        kernel.name,
        str(kernel.count),
        f"{kernel.seconds * 1e3:.2f}",
        f"{kernel.seconds / total:.0%}",
        f"{kernel.rate / 1e9:.0f}" if counted else "",
        f"{kernel.rate / peak:.0%}" if counted else "",
        f"{kernel.intensity:.0f}" if counted else "",
    )


def plot(kernels: Sequence[Kernel], peak: float, bandwidth: float, path: Path, title: str) -> None:
    """The roof, and a point for each kernel, as large as the time that it takes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    intensities = np.logspace(-1, 4, 200)
    axes.plot(intensities, np.minimum(peak, bandwidth * intensities) / 1e9, color="black", linewidth=1)
    for model in dict.fromkeys(kernel.model for kernel in kernels):
        own = [kernel for kernel in kernels if kernel.model == model and kernel.flop]
        total = sum(kernel.seconds for kernel in kernels if kernel.model == model)
        sizes = [20 + 400 * kernel.seconds / total for kernel in own]
        axes.scatter([k.intensity for k in own], [k.rate / 1e9 for k in own], sizes, alpha=0.6, label=model)
    axes.set(xscale="log", yscale="log", xlabel="FLOP / byte of operands", ylabel="GFLOP/s")
    axes.set_title(title, fontsize=9)
    legend = axes.legend(fontsize=8)
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


@click.command()
@click.option("--models", default=",".join(MODELS), callback=chosen(zoo.names()), show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--batch", default=1, show_default=True)
@click.option("--requests", default=30, show_default=True, help="of which each kernel's median time counts")
@click.option("--output", type=click.Path(path_type=Path), default=Path("build/benchmarks"), show_default=True)
def main(models: list[str], threads: int, batch: int, requests: int, output: Path) -> None:
    """Time the kernels of models inside whole requests and compare with what the machine could do."""
    console = Console()
    peak, bandwidth = machine_limits(detect(), threads)
    title = f"{threads} threads: {peak / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s from memory, batch {batch}"
    table, lines, everything = Table(*COLUMNS, title=title), [title, ""], []
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for name in models:
        kernels = measured(name, threads, batch, requests)
        everything += kernels
        seconds, flop = sum(kernel.seconds for kernel in kernels), sum(kernel.flop for kernel in kernels)
        whole = Kernel(name, "all", sum(kernel.count for kernel in kernels), seconds, flop, 0)
        rows = [cells(kernel, seconds, peak) for kernel in kernels if kernel.seconds > 0.005 * seconds]
        for row in [(*cells(whole, seconds, peak)[:-1], ""), *rows]:
            table.add_row(*row)
            lines.append("| " + " | ".join(row) + " |")
    console.print(table)
    output.mkdir(parents=True, exist_ok=True)
    (output / "roofline.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(everything, peak, bandwidth, output / "roofline.png", title)
    console.print(f"written: {output}/roofline.md, roofline.png")


if __name__ == "__main__":
    main()
