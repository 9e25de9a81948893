"""From ONNX to a model file by command: with an empty kernel cache, then with a full one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.micro.figures import Figure
from tests import zoo

LIMITS = {"resnet50": (20, 5), "bert_base": (40, 10)}
"""Seconds promised for each model, cold and warm."""


def measure() -> list[Figure]:
    return [figure for model in LIMITS for figure in both(model)]


def both(model: str) -> list[Figure]:
    """Seconds of a first and a second build of one model, which give the same bytes."""
    source = zoo.build(model).path
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.mm"
        environment = {**os.environ, "MM_CACHE_DIR": str(Path(folder) / "cache")}
        cold = build(source, target, environment)
        first = target.read_bytes()
        warm = build(source, target, environment)
        if target.read_bytes() != first:
            raise SystemExit(f"two builds of {model} gave different bytes")
    cold_limit, warm_limit = LIMITS[model]
    return [
        Figure(f"mm_build {model}, cold", cold, limit=cold_limit),
        Figure(f"mm_build {model}, warm kernel cache", warm, limit=warm_limit),
    ]


def build(source: Path, target: Path, environment: dict[str, str]) -> float:
    """Seconds of one `mm_build`, start of the interpreter included."""
    command = [str(Path(sys.executable).parent / "mm_build"), str(source), "-o", str(target), "--backend", "cpu"]
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
