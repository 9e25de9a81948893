"""ResNet-50 from ONNX to a model file by command: with an empty kernel cache, then with a full one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.micro.figures import Figure
from tests import zoo

MODEL = "resnet50"


def measure() -> list[Figure]:
    source = zoo.build(MODEL).path
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.mm"
        environment = {**os.environ, "MM_CACHE_DIR": str(Path(folder) / "cache")}
        cold = build(source, target, environment)
        first = target.read_bytes()
        warm = build(source, target, environment)
        if target.read_bytes() != first:
            raise SystemExit(f"two builds of {MODEL} gave different bytes")
    return [
        Figure(f"mm_build {MODEL}, cold", cold, limit=30),
        Figure(f"mm_build {MODEL}, warm kernel cache", warm, limit=5),
    ]


def build(source: Path, target: Path, environment: dict[str, str]) -> float:
    """Seconds of one `mm_build`, start of the interpreter included."""
    command = [str(Path(sys.executable).parent / "mm_build"), str(source), "-o", str(target), "--backend", "cpu"]
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
