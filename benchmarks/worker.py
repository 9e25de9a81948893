"""An engine in a process of its own, driven through a pipe. The process lives as long as the comparison."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.request import Request

LOAD_SECONDS = 600


class EngineError(Exception):
    """The engine could not load or run the model; the message is its own."""


@dataclass(frozen=True)
class Loaded:
    """What loading gave: seconds from the file to the first answer, that answer, and who answered."""

    version: str
    load_s: float
    outputs: list[np.ndarray]


@dataclass(frozen=True)
class Turn:
    """One turn of one engine: seconds of every run, and the highest resident memory of its process so far."""

    seconds: list[float]
    peak_bytes: int


class Worker:
    """The parent's end: starts the process, asks and waits."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(engine, child), daemon=True)
        self._process.start()
        child.close()

    def load(self, request: Request) -> Loaded:
        """Load the model and run it once. EngineError when the engine cannot."""
        return self._ask(("load", request), LOAD_SECONDS)

    def turn(self, seconds: float) -> Turn:
        """Run over and over for about `seconds`, after one unmeasured run."""
        return self._ask(("turn", seconds), seconds + LOAD_SECONDS)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()

    def _ask(self, question: tuple, timeout: float):
        self._pipe.send(question)
        if not self._pipe.poll(timeout):
            raise EngineError(f"{self.engine} gave no answer within {timeout:.0f} s")
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=5)
            raise EngineError(f"{self.engine}'s process died with {self._process.exitcode}") from None
        if isinstance(answer, EngineError):
            raise answer
        return answer


def _serve(engine: str, pipe: Connection) -> None:
    """The child's loop: until the parent closes the pipe."""
    run = inputs = None
    while True:
        try:
            command, argument = pipe.recv()
        except EOFError:
            return
        try:
            if command == "load":
                os.environ["OMP_NUM_THREADS"] = str(argument.threads)
                inputs = argument.inputs()
                loaded, run = _load(engine, argument, inputs)
                pipe.send(loaded)
            else:
                pipe.send(_turn(run, inputs, argument))
        except Exception:
            pipe.send(EngineError(traceback.format_exc()))


def _load(engine: str, request: Request, inputs: dict[str, np.ndarray]):
    from benchmarks import engines

    module = engines.find(engine)
    started = time.perf_counter()
    run = module.load(request)
    outputs = run(inputs)
    seconds = time.perf_counter() - started
    return Loaded(module.version(), seconds, [np.array(output) for output in outputs]), run


def _turn(run, inputs, budget: float) -> Turn:
    run(inputs)
    seconds = []
    deadline = time.perf_counter() + budget
    while len(seconds) < 3 or time.perf_counter() < deadline:
        started = time.perf_counter()
        run(inputs)
        seconds.append(time.perf_counter() - started)
    return Turn(seconds, peak_bytes())


def peak_bytes() -> int:
    """The highest resident memory of this process.

    Not getrusage where it can be helped: on Linux its figure survives exec, so a child reports its parent's.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
