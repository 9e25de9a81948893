"""mm: parse, build, save, load and run, so that what is timed is what a deployment runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import mm_core as mm
from benchmarks.request import Inputs, Request, Runner


def version() -> str:
    from importlib.metadata import version as installed

    return installed("mm-core")


def load(request: Request) -> Runner:
    network = mm.parse(request.path)
    config = mm.BuilderConfig(backends=["cpu"], threads=request.threads, opt_level=request.opt_level)
    model = mm.Builder(config).build(network)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mm"
        model.save(path)
        engine = mm.Model.load(path).create_engine(threads=request.threads)
    context = engine.create_context()
    names = [output.name for output in model.outputs]

    def run(inputs: Inputs) -> list[np.ndarray]:
        outputs = context.run(inputs)
        return [outputs[name] for name in names]

    return run
