"""Peak memory of parsing 3 GB of weights, beside the model or inside it, and of the graph without weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.micro.figures import Figure, fresh
from tests.zoo.large import save_large, save_large_in_one_file

LAYERS, WIDTH = 24, 5792
PEAK = """
import sys, mm_core as mm
network = mm.parse(sys.argv[1])
status = dict(line.split(":") for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024 / 1e6)
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        bare = peak(save_large(Path(small), LAYERS, 1))
        limit = 1.2 * bare + 50
        size = f"{LAYERS * WIDTH * WIDTH * 4 / 1e9:.1f} GB of weights"
        return [
            Figure("mm.parse, weights of no size: peak memory", bare, unit="MB"),
            Figure(f"mm.parse, {size} beside the model", peak(save_large(Path(large), LAYERS, WIDTH)), limit, "MB"),
            Figure(
                f"mm.parse, {size} inside the model",
                peak(save_large_in_one_file(Path(large), LAYERS, WIDTH)),
                limit,
                "MB",
            ),
        ]


def peak(path: Path) -> float:
    """MB of memory that a new interpreter has needed when it has parsed a model; pages mapped and read count."""
    return fresh(PEAK, str(path), repeats=3)
