"""The page on performance: `python -m benchmarks.page` puts what was measured between the marks of its sections.

A section `<!-- float32 -->` ... `<!-- /float32 -->` shows what lies in the folder `float32` of the results: engines
side by side (results.json), kernels beside the roof (roofline.json), or promises (figures.json). Sections that have not
been measured stay as they are. `--measure` runs the commands of MEASUREMENTS first, one after the other.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path

import click

from benchmarks import report
from benchmarks.engines import ENGINES
from benchmarks.options import chosen
from benchmarks.plot import plot
from benchmarks.roofline import Roofline
from benchmarks.roofline import plot as plot_roofline
from benchmarks.summary import OURS, Row, mean_ratio

RESULTS = Path("build/benchmarks")
PAGE = Path("docs/performance.md")
LISTED = "resnet50,mobilenet_v2,bert_base,minilm_l6,vit_b16,gpt2"
MEASUREMENTS = {
    "float32": f"benchmarks.run --models {LISTED} --engines mm,torch,inductor,ort,openvino",
    "one-thread": f"benchmarks.run --models {LISTED} --engines mm,torch,ort,openvino --threads 1",
    "batch-8": f"benchmarks.run --models {LISTED} --engines mm,torch,ort,openvino --batch 8",
    "integers": "benchmarks.run --models resnet50,mobilenet_v2,bert_base,minilm_l6,vit_b16"
    " --engines mm,mm-float32,torch,ort,openvino --quantized",
    "others": "benchmarks.run --models others --engines mm,torch,ort,openvino --rounds 3",
    "roofline": f"benchmarks.roofline --models {LISTED}",
    "promises": "benchmarks.micro --only build,load,running,request",
}
"""By section: the module and its options."""
BASELINES = {"torch": "PyTorch eager", "mm-float32": "mm in float32"}
"""What else our time is compared with, beside the best peer."""


def engines_side_by_side(folder: Path, image: Path) -> str:
    """A row for each model with the milliseconds of every engine and the ratios; means below."""
    rows, settings = report.read(folder / "results.json")
    plot(rows, image, f"{settings['cpu']}, {settings['threads']} threads, batch {settings['batch']}")
    engines = [engine for engine in ENGINES if any(row.engine == engine for row in rows)]
    baselines = {engine: name for engine, name in BASELINES.items() if engine in engines}
    ratios: dict[str, list[float]] = {name: [] for name in ("best peer", *baselines.values())}
    lines = []
    for model in dict.fromkeys(row.model for row in rows):
        own = {row.engine: row for row in rows if row.model == model}
        ours = own.get(OURS)
        ratios["best peer"].append(ours.vs_best_peer if ours else float("nan"))
        for engine, name in baselines.items():
            ratios[name].append(own[engine].vs_ours if engine in own else float("nan"))
        times = [_milliseconds(own.get(engine)) for engine in engines]
        lines.append([model, *times, *(_ratio(found[-1]) for found in ratios.values()), _error(ours)])
    means = (f"**{_ratio(mean_ratio(found))}**" for found in ratios.values())
    lines.append(["geometric mean", *("" for _ in engines), *means, ""])
    heading = ["model", *(f"{engine} ms" for engine in engines), *(f"{name} / {OURS}" for name in ratios), "error"]
    notes = f"{settings['cpu']}, {settings['rounds']} rounds; {settings['engines']}."
    return "\n".join([*_command(settings), notes, "", *_table(heading, lines), "", _image(image)])


def kernels_beside_the_roof(folder: Path, image: Path) -> str:
    """The machine's limits, the kernels of each model, and the plot."""
    roofline = Roofline.read(folder / "roofline.json")
    plot_roofline(roofline, image)
    return "\n".join([*_command(roofline.settings), f"{roofline.title}.", "", roofline.markdown(), _image(image)])


def promises(folder: Path, _image_path: Path) -> str:
    """What was promised beside speed, and what was measured."""
    stored = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    lines = [
        [figure["name"], f"{figure['value']:.3g} {figure['unit']}", _limit(figure["limit"], figure["unit"])]
        for figure in stored["figures"]
    ]
    return "\n".join([*_command(stored["settings"]), *_table(["what", "measured", "promised"], lines), ""])


SECTIONS: dict[str, Callable[[Path, Path], str]] = {
    "results.json": engines_side_by_side,
    "roofline.json": kernels_beside_the_roof,
    "figures.json": promises,
}
"""What is made of a folder, by the file that it holds."""


def written(page: str, results: Path, images: Path) -> str:
    """The page with every measured section anew; plots go into `images`."""
    images.mkdir(parents=True, exist_ok=True)

    def section(match: re.Match[str]) -> str:
        folder = results / match["name"]
        for file, make in SECTIONS.items():
            if (folder / file).exists():
                content = make(folder, images / f"{match['name']}.png").rstrip()
                return f"{match['begin']}\n\n{content}\n\n{match['end']}"
        return match[0]

    return re.sub(
        r"(?P<begin><!-- (?P<name>[\w-]+) -->)\n.*?(?P<end><!-- /(?P=name) -->)", section, page, flags=re.DOTALL
    )


def _command(settings: dict[str, object]) -> list[str]:
    return [f"`{settings['command']}`", ""]


def _table(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rows = [heading, ["---", *["---:"] * (len(heading) - 1)], *lines]
    return ["| " + " | ".join(row) + " |" for row in rows]


def _image(path: Path) -> str:
    return f"![{path.stem}](images/{path.name})"


def _milliseconds(row: Row | None) -> str:
    return "" if row is None else "failed" if row.failure else f"{row.median_ms:.2f}"


def _ratio(value: float) -> str:
    return "" if isnan(value) else f"{value:.2f}"


def _error(row: Row | None) -> str:
    return "" if row is None or isnan(row.error) else f"{row.error:.0e}"


def _limit(limit: float | None, unit: str) -> str:
    return "" if limit is None else f"< {limit:.3g} {unit}"


def measured(name: str, results: Path, turns: Sequence[str]) -> bool:
    """Run the command of one section; whether it went well. A broken promise is a result like any other."""
    module, *words = shlex.split(MEASUREMENTS[name])
    if module == "benchmarks.run":
        words += turns
    command = [sys.executable, "-m", module, *words, "--output", str(results / name)]
    return subprocess.run(command, check=False).returncode == 0 or module == "benchmarks.micro"


@click.command()
@click.option(
    "--measure",
    default="",
    callback=chosen(tuple(MEASUREMENTS), {"all": tuple(MEASUREMENTS)}),
    help=f"first: all, or {', '.join(MEASUREMENTS)}",
)
@click.option("--rounds", type=int, help="turns of every engine; as many as the commands say if left out")
@click.option("--seconds", type=float, help="length of one turn; as the commands say if left out")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--page", type=click.Path(path_type=Path, exists=True), default=PAGE, show_default=True)
def main(measure: list[str], rounds: int | None, seconds: float | None, results: Path, page: Path) -> None:
    """Write the tables and plots of the page from what was measured."""
    turns = [] if rounds is None else ["--rounds", str(rounds)]
    turns += [] if seconds is None else ["--seconds", str(seconds)]
    failed = [name for name in measure if not measured(name, results, turns)]
    page.write_text(written(page.read_text(encoding="utf-8"), results, page.parent / "images"), encoding="utf-8")
    click.echo(f"written: {page}")
    if failed:
        raise click.ClickException(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
