"""A virtual card: memory of the host, kernels run by the emulator that is packed with them."""

from __future__ import annotations

import ctypes
import platform
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mm_backend_mlu import packed
from mm_backend_mlu.drivers.driver import Driver, Memory, Module, Stretch
from mm_backend_mlu.drivers.objects import LoadedObject
from mm_backend_mlu.host import missing_on_host
from mm_backend_mlu.target import Target
from mm_core.errors import DeviceError
from mm_core.types import Array

_ALIGNMENT = 4096
_ERROR_BYTES = 1024


class _Region(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("initialised", ctypes.c_void_p),
        ("writable", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
    )  # fmt: skip


_TARGET_WORDS = (
    "bang_arch", "clusters", "cores_per_cluster", "nram_bytes", "wram_bytes", "sram_bytes", "nram_alignment",
    "wram_alignment", "gdram_alignment", "lanes",
)  # fmt: skip
_TARGET_REALS = (
    "clock_hz", "dram_bytes_per_second", "cluster_dram_bytes_per_second", "vector_bytes_per_cycle",
    "move_bytes_per_cycle", "tensor_float_float", "tensor_half_half", "scalar_cycles", "scalar_dram_cycles",
    "dram_latency_cycles", "on_chip_latency_cycles", "descriptor_cycles", "segment_cycles", "issue_cycles",
    "transcendental_cycles", "vector_latency_cycles", "tensor_latency_cycles", "barrier_cycles", "launch_seconds",
)  # fmt: skip
_COUNTERS = (
    "dram_read_bytes", "dram_written_bytes", "on_chip_bytes", "vector_bytes", "vector_instructions",
    "tensor_macs_float", "tensor_macs_half", "tensor_instructions", "scalar_accesses", "descriptors", "barriers",
)  # fmt: skip


class _Target(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in _TARGET_WORDS),
        *((name, ctypes.c_double) for name in _TARGET_REALS),
    )


class _Counters(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _COUNTERS)


class _Launch(ctypes.Structure):
    """struct mm_emulated_launch of bang/emulator/launch_context.h."""

    _fields_ = (
        ("struct_bytes", ctypes.c_uint64), ("target", _Target), ("regions", ctypes.POINTER(_Region)),
        ("region_count", ctypes.c_uint64), ("seed", ctypes.c_uint64), ("counters", _Counters),
        ("seconds", ctypes.c_double), ("error", ctypes.c_char * _ERROR_BYTES),
    )  # fmt: skip


def _described(target: Target) -> _Target:
    """The target's figures as the emulator wants them."""
    found = _Target()
    for name in (*_TARGET_WORDS, *_TARGET_REALS):
        if name.startswith("tensor_") and name != "tensor_latency_cycles":
            _, left, right = name.split("_")
            setattr(found, name, target.tensor_operations_per_cycle[left, right])
        else:
            setattr(found, name, getattr(target, name))
    return found


class EmulatedMemory(Memory):
    """Memory of the host. `initialised` has a byte for each byte that says whether it was written; None: all were."""

    __slots__ = ("cells", "initialised")

    def __init__(self, cells: Array, size: int) -> None:
        super().__init__(int(cells.ctypes.data), size)
        self.cells = cells
        self.initialised: Array | None = np.zeros(size, np.uint8)

    def marked(self, offset: int, size: int) -> None:
        """Note that bytes were written."""
        if offset == 0 and size == self.size:
            self.initialised = None
        elif self.initialised is not None:
            self.initialised[offset : offset + size] = 1

    def region(self, stretch: Stretch) -> _Region:
        if stretch.written and self.initialised is None:
            self.initialised = np.ones(self.size, np.uint8)
        shadow = None if self.initialised is None else int(self.initialised.ctypes.data) + stretch.offset
        return _Region(stretch.address, stretch.size, shadow, int(stretch.written), 0)


def _memory(stretch: Stretch) -> EmulatedMemory:
    assert isinstance(stretch.memory, EmulatedMemory)
    return stretch.memory


def _cells(stretch: Stretch) -> Array:
    return _memory(stretch).cells[stretch.offset : stretch.offset + stretch.size]


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)


class EmulatedModule(Module):
    """A shared object of the host. Its memories on the chip are one set, so one launch runs at a time."""

    def __init__(self, driver: EmulatedDriver, content: bytes) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._object = LoadedObject(content, driver.name)
        self.kernels = self._object.kernels

    def launch(
        self, kernel: int, tasks: int, kind: int, stream: Any, stretches: Sequence[Stretch], label: str
    ) -> float | None:
        regions = (_Region * max(len(stretches), 1))(*(_memory(stretch).region(stretch) for stretch in stretches))
        launch = _Launch(
            struct_bytes=ctypes.sizeof(_Launch), target=self._driver.figures, regions=regions,
            region_count=len(stretches), seed=self._driver.next_seed(),
        )  # fmt: skip
        with self._lock:
            addresses = [stretch.address for stretch in stretches]
            status = self._object.launch(kernel, tasks, kind, ctypes.addressof(launch), addresses)
        if status:
            reason = launch.error.decode(errors="replace") or f"status {status}"
            raise DeviceError(f"the emulated device stopped: {reason}", where=label)
        return float(launch.seconds) if self._driver.target.timing_known else None


class EmulatedDriver(Driver):
    """A card that is not there. Everything has finished when a submission returns."""

    def __init__(self, name: str, target: Target, seed: int = 1) -> None:
        description = f"emulated {target.name}, {target.arch}, {target.clusters} clusters, on {platform.machine()}"
        super().__init__(name, target, description)
        self.figures = _described(target)
        self._seed = seed
        self._lock = threading.Lock()
        self._used = 0

    def next_seed(self) -> int:
        """Another order of tasks for each launch; the same sequence for each device."""
        with self._lock:
            self._seed += 1
            return self._seed

    def allocate(self, size: int) -> Memory:
        size = max(size, 1)
        with self._lock:
            if self._used + size > self.target.dram_bytes:
                raise DeviceError(
                    f"{self.name} has {self.target.dram_bytes} bytes of memory, {self._used} are in use "
                    f"and {size} more are asked for",
                    remedy="use smaller sizes, such as a smaller batch",
                )
            self._used += size
        try:
            raw = np.empty(size + _ALIGNMENT, np.uint8)
            memory = EmulatedMemory(raw[-raw.ctypes.data % _ALIGNMENT :][:size], size)
        except MemoryError as error:
            self._give_back(size)
            raise DeviceError(f"the host has no memory for {size} bytes of {self.name}") from error
        weakref.finalize(memory, self._give_back, size)
        return memory

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size

    def write(self, target: Stretch, source: Array, stream: Any) -> None:
        _cells(target)[...] = _bytes(source)
        _memory(target).marked(target.offset, target.size)

    def read(self, target: Array, source: Stretch, stream: Any) -> None:
        _bytes(target)[...] = _cells(source)

    def copy(self, target: Stretch, source: Stretch, stream: Any) -> None:
        _cells(target)[...] = _cells(source)
        _memory(target).marked(target.offset, target.size)

    def problem_with(self, requires: Mapping[str, str]) -> str:
        return missing_on_host(requires)

    def load(self, code: bytes) -> Module:
        content = packed.unpack(code).get(packed.EMULATED)
        if content is None:
            raise DeviceError(
                "the model has no code for the emulator",
                where=self.name,
                remedy="build it where a C++ compiler is found",
            )
        return EmulatedModule(self, content)

    def create_stream(self) -> Any:
        return None

    def destroy_stream(self, stream: Any) -> None:
        """Nothing is held."""

    def record(self, stream: Any) -> Any:
        return None

    def is_reached(self, mark: Any) -> bool:
        return True

    def wait(self, mark: Any) -> None:
        """Nothing is ever pending."""

    def follow(self, stream: Any, mark: Any) -> None:
        """Nothing is ever pending."""

    def begin(self, workspace: Stretch) -> None:
        memory = _memory(workspace)
        if memory.initialised is None:
            memory.initialised = np.ones(memory.size, np.uint8)
        memory.initialised[workspace.offset : workspace.offset + workspace.size] = 0
