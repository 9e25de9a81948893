"""`Engine`: a model on its devices. Immutable and shared by any number of contexts and threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_core import plugins
from mm_core.device import Backend, Device, HostDevice, Program
from mm_core.device import Queue as DeviceQueue
from mm_core.errors import DeviceError
from mm_core.model import Executable, Model, PartInfo
from mm_core.types import BY_NAME, Array, DType, as_dtype

if TYPE_CHECKING:
    from mm_core.runtime.context import Context
    from mm_core.runtime.queue import Queue


@dataclass(frozen=True, slots=True)
class LoadedPart:
    """A part on its device."""

    info: PartInfo
    program: Program
    space: str


class _Host(HostDevice):
    """Host memory for values that belong to no backend."""

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        raise DeviceError("the host runs no executables")

    def create_queue(self) -> DeviceQueue:
        raise DeviceError("the host has no queue")


class Engine:
    """A model loaded onto devices: weights are in place, programs are ready. Safe to share between threads."""

    def __init__(self, model: Model, devices: Sequence[str] | None = None, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise DeviceError(f"threads is {threads}, must be at least 1")
        self.model = model
        self.plan = model.plan
        self.threads = threads
        self.host = _Host("host", "host memory")
        self.byte: DType = BY_NAME["uint8"]
        backends = [_backend(name) for name in model.plan.devices]
        self.spaces: list[str] = [backend.memory_space for backend in backends]
        self.devices: list[Device] = [
            backend.open(backend.find(_choose(backend.name, devices)).name) for backend in backends
        ]
        _check_choice(model, devices)
        self.parts: list[LoadedPart] = []
        for info, executable in zip(model.plan.parts, model.executables):
            constants = [data.numpy() for data in executable.constants]
            program = self.devices[info.device].load(executable, constants, threads)
            self.parts.append(LoadedPart(info, program, self.spaces[info.device]))
        self._lock = threading.Lock()
        plugins.hooks().mm_engine_created(engine=self)

    def create_context(self) -> Context:
        """State for one request in flight. Make one for each thread."""
        from mm_core.runtime.context import Context

        return Context(self)

    def create_queue(self) -> Queue:
        """An ordered stream of requests that runs beside the caller."""
        from mm_core.runtime.queue import Queue

        return Queue()

    def dtype_of(self, array: Array) -> DType:
        return as_dtype(array.dtype)

    def __repr__(self) -> str:
        return f"<Engine {self.model.name} on {', '.join(device.name for device in self.devices) or 'the host'}>"


def _backend(name: str) -> Backend:
    found = plugins.load("mm.backends", name)
    backend: Backend = found() if isinstance(found, type) else found
    return backend


def _choose(backend: str, devices: Sequence[str] | None) -> str:
    """The device asked for with this backend's name, else its first."""
    for name in devices or ():
        if name.partition(":")[0] == backend:
            return name
    return backend


def _check_choice(model: Model, devices: Sequence[str] | None) -> None:
    """Each device that is named must exist, and the model must use one of them."""
    idle = [name for name in devices or () if name.partition(":")[0] not in model.plan.devices]
    if devices and len(idle) == len(devices):
        raise DeviceError(
            f"the model has no part for {', '.join(idle)}",
            available=", ".join(model.plan.devices) or "the host alone",
            remedy="build it with that backend in backends=, and see in the report what the backend refuses",
        )
    for name in idle:
        _backend(name.partition(":")[0]).find(name)
