"""Peak memory of a process while it runs a model: what it has beyond the interpreter, over weights plus arena."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mm_core as mm
from benchmarks.micro.figures import Figure, fresh
from tests import zoo

MODELS = ("resnet50", "bert_base")
PEAK = """
import sys, numpy, mm_core as mm
def resident(which):
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status[which].split()[0]) * 1024
before = resident("VmRSS")
model = mm.Model.load(sys.argv[1])
context = model.create_engine(threads=2).create_context()
inputs = {spec.name: numpy.zeros(spec.shape, spec.dtype.numpy) for spec in model.inputs}
for _ in range(5):
    context.run(inputs)
print((resident("VmHWM") - before) / int(sys.argv[2]))
"""


def measure() -> list[Figure]:
    return [Figure(f"running {name}: peak memory over weights plus arena", peak(name), 1.3, "x") for name in MODELS]


def peak(name: str) -> float:
    """Peak of memory that a process needs to load a model and run it, relative to its weights and arena."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.mm"
        model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(mm.parse(zoo.build(name).path))
        model.save(target)
        arena = sum(part.workspace_bytes or 0 for part in model.executables)
        return fresh(PEAK, str(target), str(model.constant_bytes + arena), repeats=3)
