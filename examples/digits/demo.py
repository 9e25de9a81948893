"""From a trained ONNX file to verified answers: parse, build, save, load, run; then with two commands.

    make demo        (or: python examples/digits/demo.py)

Exit status 0 only if at least 97 % of the held-out digits are recognised.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

import mm_core as mm

HERE = Path(__file__).parent
SOURCE = HERE / "digits.onnx"
MODEL = HERE / "digits.mm"
REQUIRED_ACCURACY = 0.97
SHADES = " ░▒▓█"


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Images that training never saw, float32 [360, 1, 8, 8] in 0..1, and their labels [360]."""
    with np.load(HERE / "held_out.npz") as archive:
        return archive["images"][:, None].astype(np.float32) / 16, archive["labels"]


def compile_digits(console: Console) -> None:
    """Parse digits.onnx, build it for this CPU and save digits.mm."""
    started = time.perf_counter()
    network = mm.parse(SOURCE)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network)
    model.save(MODEL)
    seconds = time.perf_counter() - started
    console.print(
        f"[bold]1. built[/] {SOURCE.name} -> {MODEL.name} ({MODEL.stat().st_size:,} bytes) in {seconds:.2f} s"
    )
    placement = Table(
        "node", "operation", "device", "kind", title="where each node runs", title_justify="left"
    )
    for record in model.report.placement:
        placement.add_row(record.node, record.op, record.device, record.kind)
    console.print(placement)


def recognise(console: Console, images: np.ndarray, labels: np.ndarray) -> float:
    """Load digits.mm, run every held-out image alone and all in one batch; the accuracy, 0..1."""
    started = time.perf_counter()
    engine = mm.Model.load(MODEL).create_engine()
    console.print(f"[bold]2. loaded[/] {MODEL.name} in {(time.perf_counter() - started) * 1e3:.1f} ms")
    context = engine.create_context()
    context.run({"image": images[:1]})
    latencies, predictions = [], []
    for image in images:
        begin = time.perf_counter()
        outputs = context.run({"image": image[None]})
        latencies.append(time.perf_counter() - begin)
        predictions.append(int(outputs["logits"].argmax()))
    batched = context.run({"image": images})["logits"].argmax(1)
    if not np.array_equal(batched, predictions):
        raise SystemExit("the batch and the single images disagree")

    pictures = zip(images[:6, 0], labels[:6], predictions[:6], strict=True)
    console.print(Columns([picture(pixels, label, found) for pixels, label, found in pictures]))
    accuracy = float(np.mean(np.array(predictions) == labels))
    table = Table("held-out images", "accuracy", "median latency", "p99 latency")
    microseconds = np.array(latencies) * 1e6
    table.add_row(
        str(len(images)),
        f"{accuracy:.2%}",
        f"{np.median(microseconds):.0f} µs",
        f"{np.percentile(microseconds, 99):.0f} µs",
    )
    console.print(table)
    return accuracy


def picture(pixels: np.ndarray, label: int, found: int) -> Panel:
    """One digit drawn with characters, with what was written and what was read."""
    shades = (pixels * (len(SHADES) - 1)).round().astype(int)
    drawing = "\n".join("".join(SHADES[shade] * 2 for shade in row) for row in shades)
    return Panel(
        drawing, title=f"read {found}", border_style="green" if label == found else "red", expand=False
    )


def commands(console: Console) -> None:
    """The same way with the two commands that come with mm-core."""
    scripts = Path(sys.executable).parent
    for command in (
        ["mm_build", SOURCE.name, "-o", MODEL.name],
        ["mm_run", MODEL.name, "--batch_size", "1", "--duration", "1000"],
    ):
        console.print(f"\n[bold]$ {' '.join(command)}[/]")
        subprocess.run([str(scripts / command[0]), *command[1:]], cwd=HERE, check=True)


def main() -> int:
    console = Console()
    images, labels = held_out()
    compile_digits(console)
    accuracy = recognise(console, images, labels)
    console.print("[bold]3. the same, typed[/]")
    commands(console)
    if accuracy < REQUIRED_ACCURACY:
        console.print(f"[red]accuracy {accuracy:.2%} is below {REQUIRED_ACCURACY:.0%}[/]")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
