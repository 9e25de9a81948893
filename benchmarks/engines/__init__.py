"""The engines that can take part. Each module has `load(request) -> Runner` and `version() -> str`."""

from __future__ import annotations

import importlib
from types import ModuleType

ENGINES = {
    "mm": "benchmarks.engines.ours",
    "mm-float32": "benchmarks.engines.ours_float32",
    "mm-torch-compile": "benchmarks.engines.torch_compile",
    "torch": "benchmarks.engines.pytorch",
    "inductor": "benchmarks.engines.inductor",
    "ort": "benchmarks.engines.onnx_runtime",
    "openvino": "benchmarks.engines.openvino_runtime",
}


def find(name: str) -> ModuleType:
    """The module of an engine, imported now: call this in the engine's own process only."""
    return importlib.import_module(ENGINES[name])
