"""The measurement of mm_run: warm up, then keep requests in flight until both time and number are reached."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mm_core.runtime import Engine


@dataclass(frozen=True)
class RequestTimes:
    """One request, in seconds of `time.perf_counter`: submitted, accepted by the queue, result in hand."""

    submitted: float
    accepted: float
    finished: float

    @property
    def latency(self) -> float:
        return self.finished - self.submitted

    @property
    def interface(self) -> float:
        """How long the submitting call itself took."""
        return self.accepted - self.submitted


@dataclass(frozen=True)
class Measurement:
    """Every measured request in order, the wall time of all, and the last request's outputs."""

    requests: tuple[RequestTimes, ...]
    wall: float
    outputs: Mapping[str, Any]


def measure(
    engine: Engine,
    inputs: Mapping[str, Any],
    *,
    warmup: float,
    duration: float,
    iterations: int,
    depth: int = 1,
) -> Measurement:
    """Run the same request until `duration` seconds and `iterations` requests are both reached.

    `warmup` seconds (at least one request) go before and do not count. With a `depth` of 1 a request is a
    synchronous `run`; above it, `depth` contexts on queues of their own are kept busy, oldest result first.
    """
    if depth == 1:
        context = engine.create_context()

        def one() -> tuple[RequestTimes, Mapping[str, Any]]:
            submitted = time.perf_counter()
            outputs = context.run(inputs)
            finished = time.perf_counter()
            return RequestTimes(submitted, finished, finished), outputs

        return _repeat(one, warmup, duration, iterations)

    lanes = [(engine.create_context(), engine.create_queue()) for _ in range(depth)]
    flying: deque[tuple[float, float, Any]] = deque()

    def next_of_many() -> tuple[RequestTimes, Mapping[str, Any]]:
        while len(flying) < depth:
            context, queue = lanes[0]
            lanes.append(lanes.pop(0))
            submitted = time.perf_counter()
            task = context.enqueue(inputs, queue)
            flying.append((submitted, time.perf_counter(), task))
        submitted, accepted, task = flying.popleft()
        outputs = task.result()
        return RequestTimes(submitted, accepted, time.perf_counter()), outputs

    measured = _repeat(next_of_many, warmup, duration, iterations)
    for _, _, task in flying:
        task.result()
    return measured


def _repeat(request: Any, warmup: float, duration: float, iterations: int) -> Measurement:
    started = time.perf_counter()
    while True:
        _, outputs = request()
        if time.perf_counter() - started >= warmup:
            break
    finished: list[RequestTimes] = []
    started = time.perf_counter()
    while len(finished) < iterations or time.perf_counter() - started < duration:
        times, outputs = request()
        finished.append(times)
    return Measurement(tuple(finished), time.perf_counter() - started, outputs)
