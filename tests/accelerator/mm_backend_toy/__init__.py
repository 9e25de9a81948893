"""A made-up accelerator, run half: memory that Python cannot read, an asynchronous queue on its own thread."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mm_backend_toy.instructions import EXECUTE
from mm_core.device import (
    Backend,
    Bound,
    Buffer,
    Device,
    DeviceInfo,
    Event,
    Observer,
    Prediction,
    Program,
    Queue,
    TargetOption,
)
from mm_core.errors import DeviceError
from mm_core.model import Executable
from mm_core.types import Array, DType, as_dtype, evaluate_int, parse_dim

if TYPE_CHECKING:
    from mm_core.compiler import Compiler

MEMORY_BYTES = 256 << 20
GATES: list[threading.Event] = []
"""Tests put events here: each launch waits for the first of them before it computes."""


class ToyBackend(Backend):
    """Two devices; the second one is broken, to show how that looks."""

    name = "toy"
    memory_space = "toy"
    options = (TargetOption("toy_speed", "how fast it pretends to be", "slow", ("slow", "fast")),)

    def probe(self) -> Sequence[DeviceInfo]:
        return DeviceInfo("toy:0", "toy accelerator"), DeviceInfo("toy:1", "toy accelerator", "its fan is missing")

    def open(self, name: str) -> Device:
        return ToyDevice(self.find(name).name, "toy accelerator")

    def compiler(self, target: Mapping[str, str]) -> Compiler:
        from mm_backend_toy.compiler import ToyCompiler

        return ToyCompiler(target["toy_speed"])


class ToyBuffer(Buffer):
    """Device memory: `array` is None, only the device's queue touches `cells`."""

    __slots__ = ("cells",)

    def __init__(self, dtype: DType, shape: tuple[int, ...], cells: Array) -> None:
        super().__init__(dtype, shape, None)
        self.cells = cells


class ToyEvent(Event):
    """Set by the queue's thread; carries the error of the work, if any."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def finish(self, error: BaseException | None) -> None:
        self.error = error
        self._done.set()

    def wait(self, timeout: float | None = None) -> bool:
        finished = self._done.wait(timeout)
        if self.error is not None:
            raise DeviceError(f"the toy accelerator failed: {self.error}") from self.error
        return finished


class ToyDevice(Device):
    """A device with bounded memory."""

    def allocate(self, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > MEMORY_BYTES:
            raise DeviceError(f"{self.name} has {MEMORY_BYTES} bytes of memory, {size} are asked for")
        return ToyBuffer(dtype, shape, np.empty(shape, dtype.numpy))

    def view(self, arena: Buffer, offset: int, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        assert isinstance(arena, ToyBuffer)
        count = int(np.prod(shape, dtype=np.int64))
        cells = np.frombuffer(arena.cells.data, dtype.numpy, count, offset).reshape(shape)
        return ToyBuffer(dtype, shape, cells)

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        return ToyProgram(self, executable, [constant.copy() for constant in constants])

    def create_queue(self) -> Queue:
        return ToyQueue()


class ToyProgram(Program):
    """Byte code (JSON lines of [operator, target, sources, attributes]) over registers in the workspace."""

    def __init__(self, device: ToyDevice, executable: Executable, constants: Sequence[Array]) -> None:
        self.device = device
        self.constants = constants
        self.code = json.loads(executable.code)
        self.manifest = executable.manifest

    def bind(self, dims: Mapping[str, int]) -> Bound:
        from mm_core.memory import Interval, plan

        registers = [
            (as_dtype(dtype), tuple(evaluate_int(parse_dim(str(dim)), dims) for dim in shape), first, last)
            for dtype, shape, first, last in self.manifest["registers"]
        ]
        sizes = [dtype.itemsize * int(np.prod(shape, dtype=np.int64)) for dtype, shape, _, _ in registers]
        planned = plan([Interval(size, first, last) for size, (_, _, first, last) in zip(sizes, registers)])
        shapes = tuple(registers[number][1] for number in self.manifest["outputs"])
        return Bound(shapes, planned.size, (self, registers, planned.offsets))

    def predictions(self, bound: Bound) -> Sequence[Prediction]:
        """If it were real, each instruction would take a millisecond."""
        return tuple(Prediction(operator, (), 1e-3) for operator, *_ in self.code)

    def run(
        self,
        registers: Sequence[tuple[DType, tuple[int, ...], int, int]],
        offsets: Sequence[int],
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
    ) -> None:
        cells: dict[str, Array] = {f"c{n}": constant for n, constant in enumerate(self.constants)}
        for number, buffer in enumerate(inputs):
            assert isinstance(buffer, ToyBuffer)
            cells[f"i{number}"] = buffer.cells
        for number, ((dtype, shape, _, _), offset) in enumerate(zip(registers, offsets)):
            # Without a workspace every register is empty.
            register = self.device.allocate(dtype, shape) if workspace is None else self.device.view(
                workspace, offset, dtype, shape
            )
            assert isinstance(register, ToyBuffer)
            cells[f"r{number}"] = register.cells
        for operator, target, sources, attributes in self.code:
            with np.errstate(all="ignore"):
                cells[target][...] = EXECUTE[operator](
                    *(cells[source] for source in sources), shape=cells[target].shape, **attributes
                )
        for number, buffer in zip(self.manifest["outputs"], outputs):
            assert isinstance(buffer, ToyBuffer)
            buffer.cells[...] = cells[f"r{number}"]


class ToyQueue(Queue):
    """Work in order, on a thread that starts with the first submission."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], None], Sequence[Event], ToyEvent] | None]
        self._work = queue.SimpleQueue()
        self._last: ToyEvent | None = None
        self._thread: threading.Thread | None = None

    def _submit(self, work: Callable[[], None], wait: Sequence[Event]) -> Event:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="toy-queue", daemon=True)
            self._thread.start()
        self._last = ToyEvent()
        self._work.put((work, tuple(wait), self._last))
        return self._last

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, wait, done = item
            error: BaseException | None = None
            try:
                for event in wait:
                    event.wait()
                work()
            except Exception as caught:
                error = caught
            done.finish(error)

    def launch(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        wait: Sequence[Event] = (),
        observer: Observer | None = None,
    ) -> Event:
        program, registers, offsets = bound.handle

        def work() -> None:
            if GATES and not GATES[0].wait(20):
                raise DeviceError("the gate stayed closed: nothing ran beside the accelerator")
            program.run(registers, offsets, inputs, outputs, workspace)

        return self._submit(work, wait)

    def copy(self, source: Buffer, target: Buffer, wait: Sequence[Event] = ()) -> Event:
        def work() -> None:
            read = source.cells if isinstance(source, ToyBuffer) else source.array
            written = target.cells if isinstance(target, ToyBuffer) else target.array
            assert read is not None
            assert written is not None
            np.copyto(written, read)

        return self._submit(work, wait)

    def synchronize(self) -> None:
        if self._last is not None:
            self._last.wait()

    def close(self) -> None:
        self._work.put(None)
        if self._thread is not None:
            self._thread.join()
