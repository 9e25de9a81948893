"""Where time goes, and how near to the machine's limits each kernel is: `python -m benchmarks.roofline`.

The limits are measured: FMAs on registers, and reading of more memory than caches hold. Kernels are timed inside whole
requests. Operations are counted as the definition has them, so that Winograd's algorithm may be above the roof.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from mm_backend_cpu.codegen.isa import detect
from mm_backend_cpu.tuning.measure import machine_limits
from rich.console import Console
from rich.table import Table

import mm_core as mm
from benchmarks import report
from benchmarks.options import chosen, command_line
from benchmarks.request import Request
from benchmarks.run import MODELS
from mm_core.cli.observe import Recorder
from tests import zoo

_OUTER_COMMA = re.compile(r", (?![^(]*\))")  # not that of "Winograd's F(4x4, 3x3)"
SMALLEST_SHARE = 0.01  # of a model's time: kernels that take less are left out of the table
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


@dataclass(frozen=True)
class Roofline:
    """FLOP/s and bytes a second of the machine, what was run, and the kernels, slowest first in each model."""

    settings: dict[str, object]
    peak: float
    bandwidth: float
    kernels: tuple[Kernel, ...]

    @property
    def title(self) -> str:
        return (
            f"{self.settings['cpu']}, {self.settings['threads']} threads: {self.peak / 1e9:.0f} GFLOP/s, "
            f"{self.bandwidth / 1e9:.1f} GB/s from memory, batch {self.settings['batch']}"
        )

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Rows of the table: each model as a whole, then its kernels."""
        for name in dict.fromkeys(kernel.model for kernel in self.kernels):
            own = [kernel for kernel in self.kernels if kernel.model == name]
            seconds = sum(kernel.seconds for kernel in own)
            whole = Kernel(name, "all", sum(k.count for k in own), seconds, sum(k.flop for k in own), 0)
            yield (*cells(whole, seconds, self.peak)[:-1], "")
            for kernel in own:
                if kernel.seconds > SMALLEST_SHARE * seconds:
                    yield cells(kernel, seconds, self.peak)

    def markdown(self) -> str:
        lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in self.rows())]) + "\n"

    def write(self, folder: Path) -> None:
        """Write roofline.json, roofline.md and roofline.png."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "roofline.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        (folder / "roofline.md").write_text(f"{self.title}\n\n{self.markdown()}", encoding="utf-8")
        plot(self, folder / "roofline.png")

    @classmethod
    def read(cls, path: Path) -> Roofline:
        """What `write` wrote."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**stored, "kernels": tuple(Kernel(**record) for record in stored["kernels"])})


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
        algorithm = [_OUTER_COMMA.split(record.variants[0].name)[0]] if record.variants else []
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
        f"{kernel.intensity:.1f}" if counted else "",
    )


def plot(roofline: Roofline, path: Path) -> None:
    """The roof, and a point for each kernel, as large as the share of its model's time that it takes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    intensities = np.logspace(-1, 4, 200)
    roof = np.minimum(roofline.peak, roofline.bandwidth * intensities)
    axes.plot(intensities, roof / 1e9, color="black", linewidth=1)
    for model in dict.fromkeys(kernel.model for kernel in roofline.kernels):
        own = [kernel for kernel in roofline.kernels if kernel.model == model]
        total = sum(kernel.seconds for kernel in own)
        counted = [kernel for kernel in own if kernel.flop]
        sizes = [20 + 400 * kernel.seconds / total for kernel in counted]
        points = [kernel.intensity for kernel in counted], [kernel.rate / 1e9 for kernel in counted]
        axes.scatter(*points, sizes, alpha=0.6, label=model)
    axes.set(xscale="log", yscale="log", xlabel="FLOP / byte of operands", ylabel="GFLOP/s")
    axes.set_title(roofline.title, fontsize=9)
    legend = axes.legend(fontsize=8)
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]
    figure.savefig(path, dpi=100)
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
    settings: dict[str, object] = {
        "command": command_line("benchmarks.roofline"),
        "cpu": report.processor(),
        "threads": threads,
        "batch": batch,
    }
    before = machine_limits(detect(), threads)
    kernels = [kernel for name in models for kernel in measured(name, threads, batch, requests)]
    # What else the machine does only takes away: the better of two measurements some time apart counts.
    peak, bandwidth = map(max, before, machine_limits(detect(), threads))
    roofline = Roofline(settings, peak, bandwidth, tuple(kernels))
    table = Table(*COLUMNS, title=roofline.title)
    for row in roofline.rows():
        table.add_row(*row)
    console.print(table)
    roofline.write(output)
    console.print(f"written: {output}/roofline.json, roofline.md, roofline.png")


if __name__ == "__main__":
    main()
