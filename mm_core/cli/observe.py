"""Looking inside one request: every intermediate result to files, every kernel's time to a trace."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mm_core.cli.inputs import file_name
from mm_core.cli.measure import RequestTimes
from mm_core.runtime import Engine
from mm_core.types import Array


@dataclass(frozen=True)
class Result:
    """An intermediate result: the kernel's label, the user's nodes that it covers, and the values."""

    label: str
    nodes: tuple[str, ...]
    array: Array


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self, *, results: bool = False, times: bool = False) -> None:
        self.wants_results = results
        self.wants_times = times
        self.results: list[Result] = []
        self.kernels: list[tuple[str, tuple[str, ...], float]] = []

    def kernel(self, label: str, nodes: Sequence[str], seconds: float) -> None:
        self.kernels.append((label, tuple(nodes), seconds))

    def result(self, label: str, nodes: Sequence[str], array: Array) -> None:
        self.results.append(Result(label, tuple(nodes), np.array(array)))


def record_results(engine: Engine, inputs: Mapping[str, Any]) -> tuple[list[Result], dict[str, Any]]:
    """Every intermediate result of one request, in the order in which they were made, and its outputs."""
    context = engine.create_context()
    context.observer = recorder = Recorder(results=True)
    outputs = context.run(inputs)
    return recorder.results, outputs


def dump_results(engine: Engine, inputs: Mapping[str, Any], folder: Path) -> int:
    """Write every intermediate result as `0007-conv.npy`, and `index.json` that says what they are; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    results, _ = record_results(engine, inputs)
    index = []
    for number, result in enumerate(results):
        path = folder / f"{number:04d}-{file_name(result.label)}.npy"
        np.save(path, result.array, allow_pickle=False)
        index.append(
            {
                "file": path.name,
                "label": result.label,
                "nodes": result.nodes,
                "dtype": str(result.array.dtype),
                "shape": result.array.shape,
            }
        )
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return len(results)


def write_trace(engine: Engine, inputs: Mapping[str, Any], measured: Sequence[RequestTimes], path: Path) -> int:
    """Write a trace in Chrome's JSON format, which Perfetto reads: the measured requests, and the kernels of one more.

    Kernels follow each other from the start of their request: durations are measured, gaps between them are not.
    Gives the number of kernels.
    """
    context = engine.create_context()
    context.observer = recorder = Recorder(times=True)
    started = time.perf_counter()
    context.run(inputs)
    finished = time.perf_counter()
    origin = measured[0].submitted if measured else started
    events = [
        _thread_name(0, "requests"),
        _thread_name(1, "one request, profiled"),
        _thread_name(2, "its kernels"),
    ]
    events += [
        _span(f"request {number}", 0, times.submitted - origin, times.latency) for number, times in enumerate(measured)
    ]
    events.append(_span("profiled request", 1, started - origin, finished - started))
    cursor = started - origin
    for label, nodes, seconds in recorder.kernels:
        events.append(_span(label, 2, cursor, seconds, nodes=", ".join(nodes)))
        cursor += seconds
    path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n", encoding="utf-8")
    return len(recorder.kernels)


def _span(name: str, track: int, start: float, seconds: float, **arguments: str) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "X",
        "pid": 0,
        "tid": track,
        "ts": start * 1e6,
        "dur": seconds * 1e6,
        "args": arguments,
    }


def _thread_name(track: int, name: str) -> dict[str, Any]:
    return {"name": "thread_name", "ph": "M", "pid": 0, "tid": track, "args": {"name": name}}
