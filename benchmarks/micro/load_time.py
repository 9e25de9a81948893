"""From a file to the first answer, ResNet-50, each time in a fresh process: ours and ONNX Runtime's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mm_core as mm
from benchmarks.micro.figures import Figure, fresh
from tests import zoo

MODEL = "resnet50"
LOAD = """
import sys, time, mm_core as mm
started = time.perf_counter()
mm.Model.load(sys.argv[1])
print(time.perf_counter() - started)
"""
ANSWER = """
import sys, time, numpy, mm_core as mm
image = numpy.zeros((1, 3, 224, 224), numpy.float32)
started = time.perf_counter()
mm.Model.load(sys.argv[1]).create_engine(threads=2).create_context().run({"pixel_values": image})
print(time.perf_counter() - started)
"""
ORT_ANSWER = """
import sys, time, numpy, onnxruntime
image = numpy.zeros((1, 3, 224, 224), numpy.float32)
started = time.perf_counter()
onnxruntime.InferenceSession(sys.argv[1]).run(None, {"pixel_values": image})
print(time.perf_counter() - started)
"""


def measure() -> list[Figure]:
    source = zoo.build(MODEL).path
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.mm"
        mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(mm.parse(source)).save(target)
        return [
            Figure(f"Model.load {MODEL}, hashes verified", fresh(LOAD, str(target)), limit=0.3),
            Figure(f"mm, {MODEL}: file to first answer", fresh(ANSWER, str(target))),
            Figure(f"ONNX Runtime, {MODEL}: file to first answer", fresh(ORT_ANSWER, str(source))),
        ]
