"""The run half of a backend: what a device can do for the runtime.

A vendor implements five small classes. Everything is asynchronous by contract: every submission takes the events it
waits for and returns one; a synchronous backend finishes first and returns `FINISHED`. Importing a backend's module
loads no toolkit; `probe` never raises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from mm_core.errors import DeviceError
from mm_core.types import Array, DType, TensorSpec

if TYPE_CHECKING:
    from mm_core.compiler import Compiler, Executable

HOST = "host"
"""The memory space that Python reads: arrays are used where they lie."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device that a backend knows of. `problem` says why it cannot be opened; empty if it can."""

    name: str
    description: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TargetOption:
    """A compile-time option that a backend declares, such as the instruction set; `--<name>` on the command line.

    `aliases` are other names that a configuration may use for it.
    """

    name: str
    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, *self.aliases


class Event(ABC):
    """Something submitted that will finish."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Block until finished (seconds; None: for ever). False on time-out; DeviceError if the work failed."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether `wait` would return, or raise, at once."""

    def produced(self) -> Sequence[Buffer]:
        """After `wait`: the results whose sizes only running told, in the order of the program's outputs."""
        return ()


class FinishedEvent(Event):
    """The event of work that is done."""

    __slots__ = ("_produced",)

    def __init__(self, produced: Sequence[Buffer] = ()) -> None:
        self._produced = produced

    def wait(self, timeout: float | None = None) -> bool:
        return True

    @property
    def is_done(self) -> bool:
        return True

    def produced(self) -> Sequence[Buffer]:
        return self._produced


FINISHED: Event = FinishedEvent()


class Buffer:
    """Memory of a device that holds one tensor, row-major and dense. Subclassed where memory is not the host's.

    In the host space `array` is the tensor itself.
    """

    __slots__ = ("array", "dtype", "shape")

    def __init__(self, dtype: DType, shape: tuple[int, ...], array: Array | None) -> None:
        self.dtype = dtype
        self.shape = shape
        self.array = array

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


class Observer(Protocol):
    """Who watches a request from inside: the profiler and the dumper. Slow paths are taken only for what is wanted."""

    wants_results: bool
    wants_times: bool

    def kernel(self, label: str, nodes: Sequence[str], seconds: float) -> None: ...

    def result(self, label: str, nodes: Sequence[str], array: Array) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """A program with all its symbols bound. A None shape: known only after running, see `Event.produced`.

    `input_bytes` and `output_bytes` are what a program reads and writes at most of each input and output. A backend
    whose code cannot check this itself states it: the runtime compares with the part's types before it launches.
    """

    output_shapes: tuple[tuple[int, ...] | None, ...]
    workspace_bytes: int
    handle: Any = field(repr=False, default=None)
    input_bytes: tuple[int, ...] | None = None
    output_bytes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds that hardware would take for one kernel, as a device that is not the hardware predicts them."""

    label: str
    nodes: tuple[str, ...]
    seconds: float


Shortcut = Callable[[Mapping[str, Any]], "dict[str, Array] | None"]
"""A whole request in one call: inputs by name, outputs by name. None if an input is not of the very type and shape it
was made for, or cannot be read where it lies; the runtime then goes the long way. Not for two threads at once."""


class Program(ABC):
    """An executable loaded onto a device, its constants in place."""

    @abstractmethod
    def bind(self, dims: Mapping[str, int]) -> Bound:
        """Fix the sizes. `dims` has a value for every symbol of the inputs' types. InputError if they do not fit."""

    def predictions(self, bound: Bound) -> Sequence[Prediction]:
        """What the hardware that is stood in for would take, once the program has run. Empty: nothing is predicted."""
        return ()

    def shortcut(
        self, bound: Bound, inputs: Sequence[tuple[TensorSpec, int]], outputs: Sequence[tuple[TensorSpec, int]]
    ) -> Shortcut | None:
        """A shorter way for models that are this program and nothing else, in the host's memory; None: there is none.

        The model's inputs and outputs, of known sizes, come with their places in the program (-1: an unread input).
        """
        return None


class Queue(ABC):
    """An ordered stream of work on one device."""

    @abstractmethod
    def launch(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        wait: Sequence[Event] = (),
        observer: Observer | None = None,
    ) -> Event:
        """Run a program. Outputs of unknown size are None here and come with the event, in memory of their own."""

    @abstractmethod
    def copy(self, source: Buffer, target: Buffer, wait: Sequence[Event] = ()) -> Event:
        """Copy between this device and the host, or within the device."""

    @abstractmethod
    def synchronize(self) -> None:
        """Block until everything submitted has finished; DeviceError if something failed."""

    def close(self) -> None:
        """Give resources back after synchronising."""
        self.synchronize()


class HostQueue(Queue):
    """A queue over host memory whose work has finished when a submission returns. Subclasses say how a program runs."""

    @abstractmethod
    def run(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        observer: Observer | None,
    ) -> Sequence[Buffer]:
        """Run a program now; gives the results whose sizes were unknown before."""

    def launch(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        wait: Sequence[Event] = (),
        observer: Observer | None = None,
    ) -> Event:
        for event in wait:
            event.wait()
        produced = self.run(bound, inputs, outputs, workspace, observer)
        return FinishedEvent(produced) if produced else FINISHED

    def copy(self, source: Buffer, target: Buffer, wait: Sequence[Event] = ()) -> Event:
        for event in wait:
            event.wait()
        assert source.array is not None
        assert target.array is not None
        np.copyto(target.array, source.array)
        return FINISHED

    def synchronize(self) -> None:
        """Nothing is ever pending."""


class Device(ABC):
    """An open device."""

    def __init__(self, name: str, description: str) -> None:
        self.name = name
        self.description = description

    @abstractmethod
    def allocate(self, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        """Memory for one tensor. DeviceError when it is exhausted."""

    @abstractmethod
    def view(self, arena: Buffer, offset: int, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        """A tensor inside an arena (a uint8 buffer) at `offset` bytes, a multiple of 64."""

    @abstractmethod
    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        """Bring an executable and its constants onto the device. DeviceError if this machine cannot run it."""

    @abstractmethod
    def create_queue(self) -> Queue: ...


class HostDevice(Device):
    """A device whose memory is the host's: allocation and views are numpy's."""

    def allocate(self, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        return Buffer(dtype, shape, aligned_empty(dtype, shape))

    def view(self, arena: Buffer, offset: int, dtype: DType, shape: tuple[int, ...]) -> Buffer:
        assert arena.array is not None
        count = prod(shape)
        return Buffer(dtype, shape, np.frombuffer(arena.array.data, dtype.numpy, count, offset).reshape(shape))


class Backend(ABC):
    """A chip, as its entry point in `mm.backends` gives it: names, devices, and the way to its compiler.

    The module of the entry point imports neither toolkit nor compile side; `compiler` imports the latter when called.
    """

    name: ClassVar[str]
    memory_space: ClassVar[str] = HOST
    options: ClassVar[tuple[TargetOption, ...]] = ()

    @abstractmethod
    def probe(self) -> Sequence[DeviceInfo]:
        """The devices of this machine, usable or not. Never raises."""

    @abstractmethod
    def open(self, name: str) -> Device:
        """Open `cpu:0` and the like. DeviceError names what is there."""

    @abstractmethod
    def compiler(self, target: Mapping[str, str]) -> Compiler:
        """The compile half for a target described by this backend's options."""

    def find(self, name: str) -> DeviceInfo:
        """The probed device of that name; a bare backend name means the first. DeviceError if it cannot be opened."""
        infos = self.probe()
        wanted = name if ":" in name else f"{name}:0"
        for info in infos:
            if info.name == wanted:
                if info.problem:
                    raise DeviceError(f"the device {wanted} cannot be used: {info.problem}")
                return info
        raise DeviceError(
            f"there is no device {wanted}",
            available=", ".join(info.name for info in infos if not info.problem) or "none",
        )


PAGE_BYTES = 4096
"""Host memory of at least this size is aligned; below, alignment gains nothing and costs microseconds."""


def aligned_empty(dtype: DType, shape: tuple[int, ...], alignment: int = 64) -> Array:
    """An uninitialised array; a large one starts at an aligned address, which is faster for vector stores.

    DeviceError if the memory for it is not there.
    """
    size = prod(shape) * dtype.itemsize
    try:
        if size < PAGE_BYTES or dtype.kind == "string":
            return np.empty(shape, dtype.numpy)
        raw = np.empty(size + alignment, np.uint8)
        start = -raw.ctypes.data % alignment
        return raw[start : start + size].view(dtype.numpy).reshape(shape)
    except (MemoryError, ValueError, OverflowError) as error:
        raise DeviceError(
            f"there is no memory for {dtype}{list(shape)}: {error}", remedy="use smaller sizes, such as a smaller batch"
        ) from error
