"""The run half: a card as the runtime sees it. Queues are threads that feed the card's streams."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from mm_backend_mlu.drivers.driver import Driver, Memory, Module, Stretch
from mm_backend_mlu.program import Buffer as Place
from mm_backend_mlu.program import Launch, Trace
from mm_backend_mlu.program import Program as Plan
from mm_backend_mlu.target import Architecture, parse_architecture
from mm_core.device import Bound, Buffer, Device, Event, Observer, Prediction, Program, Queue
from mm_core.errors import DeviceError, MMError, ModelFileError
from mm_core.model import Executable
from mm_core.serial import check_fields
from mm_core.types import Array, DType, as_dtype

_POLL_SECONDS = 1e-4
"""Between two looks at a mark by who waits for it with a limit: cards have no such wait."""


class MluBuffer(Buffer):
    """A tensor in a card's memory; Python cannot read it."""

    __slots__ = ("memory", "offset")

    def __init__(self, dtype: DType, shape: tuple[int, ...], memory: Memory, offset: int = 0) -> None:
        super().__init__(dtype, shape, None)
        self.memory = memory
        self.offset = offset

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.memory, self.offset, self.nbytes)


class MluEvent(Event):
    """Done when the queue's thread has submitted the work and the card has reached the mark behind it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._submitted = threading.Event()
        self._error: BaseException | None = None
        self._mark: Any = None

    def settle(self, mark: Any, error: BaseException | None) -> None:
        """The thread's word: everything is submitted, or it failed."""
        self._mark, self._error = mark, error
        self._submitted.set()

    def follow(self, driver: Driver, stream: Any) -> None:
        """Let a stream wait: the card does it where both are of one card, else the calling thread."""
        self._submitted.wait()
        if self._error is not None or driver is not self.driver:
            self.wait()
        else:
            driver.follow(stream, self._mark)

    @property
    def is_done(self) -> bool:
        if not self._submitted.is_set() or self._error is not None:
            return self._submitted.is_set()
        try:
            return self.driver.is_reached(self._mark)
        except DeviceError:
            return True  # The card is gone; `wait` says so.

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._submitted.wait(timeout):
            return False
        if self._error is not None:
            if isinstance(self._error, MMError):
                raise self._error
            raise DeviceError(f"{self.driver.name} failed: {self._error}") from self._error
        while deadline is not None and not self.driver.is_reached(self._mark):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self.driver.wait(self._mark)
        return True


class MluDevice(Device):
    """A card, real or emulated."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.name, driver.description)
        self.driver = driver

    def allocate(self, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        return MluBuffer(dtype, shape, self.driver.allocate(prod(shape) * dtype.itemsize))

    def view(self, arena: Buffer, offset: int, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        assert isinstance(arena, MluBuffer)
        if offset + prod(shape) * dtype.itemsize > arena.nbytes:
            raise DeviceError(f"a view of {dtype}{list(shape)} at {offset} lies outside its arena", where=self.name)
        return MluBuffer(dtype, shape, arena.memory, arena.offset + offset)

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        manifest = check_fields(executable.manifest, "mlu", {"program": dict})
        plan = Plan.from_json(manifest["program"])
        architecture = Architecture(parse_architecture(plan.arch).target, plan.clusters)
        if plan.arch != self.driver.target.arch:
            raise DeviceError(
                f"the model was built for {plan.arch} and {self.name} is a {self.driver.target.arch}",
                remedy=f"build it with mlu_arch={self.driver.target.arch}",
            )
        if problem := self.driver.problem_with(executable.requires):
            raise DeviceError(
                f"the model's code for the emulator does not run on this host: {problem}", where=self.name,
                remedy="build the model on this machine, or on one like it",
            )  # fmt: skip
        clusters = architecture.clusters_on(self.driver.target.clusters)
        if tuple(array.nbytes for array in constants) != plan.constants:
            raise ModelFileError("the part's constants have other sizes than its program says", where=self.name)
        module = self.driver.load(executable.code)
        if missing := [launch.label for launch in plan.launches if launch.kernel >= module.kernels]:
            raise ModelFileError(
                f"the part's code has no kernel for {', '.join(missing)}", where=self.name,
                remedy="build the model again",
            )  # fmt: skip
        return MluProgram(self.driver, plan, clusters, self._constants(constants), module)

    def _constants(self, arrays: Sequence[Array]) -> list[Memory]:
        memories = [self.driver.allocate(array.nbytes) for array in arrays]
        stream = self.driver.create_stream()
        try:
            for memory, array in zip(memories, arrays):
                if array.nbytes:
                    self.driver.write(Stretch(memory, 0, array.nbytes), np.ascontiguousarray(array), stream)
            self.driver.wait(self.driver.record(stream))
        finally:
            self.driver.destroy_stream(stream)
        return memories

    def create_queue(self) -> Queue:
        return MluQueue(self.driver)


@dataclass
class MluProgram(Program):
    """A part whose weights are on the card. Sizes are fixed, so binding finds nothing to do."""

    driver: Driver
    plan: Plan
    clusters: int
    constants: Sequence[Memory]
    module: Module
    seconds: dict[int, float] = field(default_factory=dict)
    """Predicted by the emulator for each launch, once it has run."""

    def bind(self, dims: Mapping[str, int]) -> Bound:
        plan = self.plan
        return Bound(
            tuple(tensor.shape for tensor in plan.outputs),
            plan.workspace,
            self,
            tuple(tensor.size for tensor in plan.inputs),
            tuple(tensor.size for tensor in plan.outputs),
        )

    def predictions(self, bound: Bound) -> Sequence[Prediction]:
        if len(self.seconds) < len(self.plan.launches):
            return ()
        return tuple(
            Prediction(launch.label, launch.nodes, self.seconds[number])
            for number, launch in enumerate(self.plan.launches)
        )

    def tasks(self, launch: Launch) -> int:
        """The dimension of a launch: whole clusters, no more than have work and than the device has."""
        cores = self.driver.target.cores_per_cluster
        group = cores * max(launch.kind, 1)
        most = self.clusters * cores // group * group
        if not most:
            raise DeviceError(
                f"{launch.label} needs {launch.kind} clusters together, {self.driver.name} gives {self.clusters}"
            )
        return min(-(-launch.tasks // group) * group, most)

    def run(
        self,
        stream: Any,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        observer: Observer | None,
    ) -> None:
        """Submit every launch. Watched, each is waited for."""
        memory = _Memories(inputs, outputs, self.constants, workspace)
        if isinstance(workspace, MluBuffer):
            self.driver.begin(Stretch(workspace.memory, workspace.offset, self.plan.workspace))
        traces: dict[int, list[Trace]] = {}
        for trace in self.plan.traces if observer is not None and observer.wants_results else ():
            traces.setdefault(trace.launch, []).append(trace)
        for number, launch in enumerate(self.plan.launches):
            stretches = [
                memory.stretch(self.plan.buffers[buffer], position in launch.written)
                for position, buffer in enumerate(launch.buffers)
            ]
            start = time.perf_counter()
            seconds = self.module.launch(
                launch.kernel, self.tasks(launch), launch.kind, stream, stretches, _named(launch)
            )
            if seconds is not None:
                self.seconds[number] = seconds
            if observer is None:
                continue
            self.driver.wait(self.driver.record(stream))
            if observer.wants_times:
                observer.kernel(launch.label, launch.nodes, time.perf_counter() - start)
            for trace in traces.get(number, ()):
                observer.result(trace.label, trace.nodes, self._result(trace, memory, stream))

    def _result(self, trace: Trace, memory: _Memories, stream: Any) -> Array:
        """A copy of a result, read from the card and put into the order that its shape says."""
        dtype, place = as_dtype(trace.dtype), self.plan.buffers[trace.buffer]
        flat = np.empty(place.size // dtype.itemsize, dtype.numpy)
        stretch = memory.stretch(place, written=False)
        self.driver.read(flat, Stretch(stretch.memory, stretch.offset, flat.nbytes), stream)
        self.driver.wait(self.driver.record(stream))
        strides = [stride * dtype.itemsize for stride in trace.strides]
        return np.lib.stride_tricks.as_strided(flat, trace.shape, strides, writeable=False).copy()


def _named(launch: Launch) -> str:
    return ", ".join(launch.nodes) or launch.label


@dataclass(frozen=True, slots=True)
class _Memories:
    """Where the buffers of a program lie in one request."""

    inputs: Sequence[Buffer | None]
    outputs: Sequence[Buffer | None]
    constants: Sequence[Memory]
    workspace: Buffer | None

    def stretch(self, place: Place, written: bool) -> Stretch:
        if place.space == "constant":
            return Stretch(self.constants[place.index], place.offset, place.size)
        holders = {"input": self.inputs, "output": self.outputs, "workspace": (self.workspace,)}
        buffer = holders[place.space][place.index]
        if not isinstance(buffer, MluBuffer):
            raise DeviceError(f"{place.space} {place.index} is not in the card's memory")
        return Stretch(buffer.memory, buffer.offset + place.offset, place.size, written)


class MluQueue(Queue):
    """Work in order, submitted by a thread that starts with the first submission."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._work: queue.SimpleQueue[tuple[Callable[[], None], Sequence[Event], MluEvent] | None]
        self._work = queue.SimpleQueue()
        self._last: MluEvent | None = None
        self._thread: threading.Thread | None = None
        self._stream: Any = None

    def _submit(self, work: Callable[[], None], wait: Sequence[Event]) -> Event:
        if self._driver.is_inherited:
            raise DeviceError(
                f"{self._driver.name} was opened by the process that this one was forked from",
                remedy="create the engine after forking",
            )
        if self._thread is None:
            self._stream = self._driver.create_stream()
            self._thread = threading.Thread(target=self._serve, name=f"{self._driver.name} queue", daemon=True)
            self._thread.start()
        self._last = MluEvent(self._driver)
        self._work.put((work, tuple(wait), self._last))
        return self._last

    def _serve(self) -> None:
        # What a card has not finished holds the memory that it works on.
        pending: list[tuple[MluEvent, Callable[[], None]]] = []
        while (item := self._work.get()) is not None:
            work, wait, done = item
            self._do(work, wait, done)
            pending = [held for held in (*pending, (done, work)) if not held[0].is_done]
            del item, work, wait, done  # Else the memory of this one is kept until the next one comes.

    def _do(self, work: Callable[[], None], wait: Sequence[Event], done: MluEvent) -> None:
        mark, error = None, None
        try:
            for event in wait:
                if isinstance(event, MluEvent):
                    event.follow(self._driver, self._stream)
                else:
                    event.wait()
            work()
            mark = self._driver.record(self._stream)
        except Exception as caught:  # Whatever it is, it belongs to who waits for the event.
            error = caught
        done.settle(mark, error)

    def launch(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        wait: Sequence[Event] = (),
        observer: Observer | None = None,
    ) -> Event:
        program: MluProgram = bound.handle
        return self._submit(lambda: program.run(self._stream, inputs, outputs, workspace, observer), wait)

    def copy(self, source: Buffer, target: Buffer, wait: Sequence[Event] = ()) -> Event:
        return self._submit(lambda: self._copied(source, target), wait)

    def _copied(self, source: Buffer, target: Buffer) -> None:
        if not target.nbytes:
            return
        if isinstance(target, MluBuffer) and isinstance(source, MluBuffer):
            self._driver.copy(target.stretch, source.stretch, self._stream)
        elif isinstance(target, MluBuffer):
            assert source.array is not None
            held = np.ascontiguousarray(source.array)
            self._driver.write(target.stretch, held, self._stream)
            self._driver.wait(self._driver.record(self._stream))  # The array may be changed as soon as this is done.
        else:
            assert isinstance(source, MluBuffer)
            assert target.array is not None
            self._driver.read(target.array, source.stretch, self._stream)
            self._driver.wait(self._driver.record(self._stream))

    def synchronize(self) -> None:
        if self._last is not None:
            self._last.wait()

    def close(self) -> None:
        if self._thread is not None and not self._driver.is_inherited:
            self._work.put(None)
            self._thread.join()
            self._thread = None
            self._driver.destroy_stream(self._stream)
