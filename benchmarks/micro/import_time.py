"""What `import mm_core` adds to `import numpy`, and what importing each peer adds."""

from __future__ import annotations

from benchmarks.micro.figures import Figure, fresh

CODE = """
import sys, time, importlib, numpy
started = time.perf_counter()
importlib.import_module(sys.argv[1])
print(time.perf_counter() - started)
"""
EVERYTHING = """
import time, numpy
started = time.perf_counter()
from mm_core import Builder, Engine, Model, parse
print(time.perf_counter() - started)
"""
PEERS = ("onnxruntime", "openvino", "torch")


def measure() -> list[Figure]:
    return [
        Figure("import mm_core, on top of numpy", fresh(CODE, "mm_core"), limit=0.1),
        Figure("from mm_core import Builder, Engine, Model, parse", fresh(EVERYTHING)),
        *(Figure(f"import {peer}, on top of numpy", fresh(CODE, peer, repeats=3)) for peer in PEERS),
    ]
