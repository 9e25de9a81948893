"""From ONNX to a model file by command: with empty caches, with full ones, and with kernels timed."""

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
    return [figure for model in LIMITS for figure in builds(model)]


def builds(model: str) -> list[Figure]:
    """Seconds of a first and a second build of one model, which give the same bytes, and of one that times kernels."""
    source = zoo.build(model).path
    with tempfile.TemporaryDirectory() as folder:
        target, caches = Path(folder) / "model.mm", Path(folder) / "cache"
        cold = build(source, target, caches)
        first = target.read_bytes()
        warm = build(source, target, caches)
        if target.read_bytes() != first:
            raise SystemExit(f"two builds of {model} gave different bytes")
        timing = build(source, target, Path(folder) / "another", "--opt_level", "3")
    cold_limit, warm_limit = LIMITS[model]
    return [
        Figure(f"mm_build {model}, cold", cold, limit=cold_limit),
        Figure(f"mm_build {model}, warm kernel cache", warm, limit=warm_limit),
        Figure(f"mm_build {model}, cold, --opt_level 3", timing),
    ]


def build(source: Path, target: Path, caches: Path, *options: str) -> float:
    """Seconds of one `mm_build`, start of the interpreter included; kernels and their times are kept in `caches`."""
    command = [str(Path(sys.executable).parent / "mm_build"), str(source), "-o", str(target), "--backend", "cpu"]
    started = time.perf_counter()
    subprocess.run(
        [*command, *options], check=True, env={**os.environ, "MM_CACHE_DIR": str(caches)}, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started
