"""Real cards, through the vendor's runtime library CNRT 6. Written against its public header; untested on hardware.

The library is looked for when devices are probed, never before. Numbers of enumerations are those of `cnrt.h` 6.0.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mm_backend_mlu import packed
from mm_backend_mlu.drivers.driver import Driver, Memory, Module, Stretch
from mm_backend_mlu.drivers.objects import LoadedObject
from mm_backend_mlu.target import Target, card_like
from mm_core.errors import DeviceError
from mm_core.types import Array

OLDEST_MAJOR = 6
"""Earlier versions number the directions of copies and the attributes of devices otherwise."""
_SUCCESS, _NOT_READY = 0, 1
_HOST_TO_DEVICE, _WITHIN_DEVICE, _DEVICE_TO_HOST = 0, 1, 2
_CLUSTERS, _CORES_PER_CLUSTER, _ISA_VERSION, _CLOCK_KHZ, _MEMORY_MB = 0x205, 0x206, 0x20A, 0x402, 0x405

_Handle = ctypes.c_void_p
_OUT = ctypes.POINTER(_Handle)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cnrtGetDeviceCount": (ctypes.POINTER(ctypes.c_uint),),
    "cnrtSetDevice": (ctypes.c_int,),
    "cnrtDeviceGetAttribute": (ctypes.POINTER(ctypes.c_int), ctypes.c_int, ctypes.c_int),
    "cnrtMalloc": (_OUT, ctypes.c_size_t),
    "cnrtFree": (_Handle,),
    "cnrtMemcpyAsync": (_Handle, _Handle, ctypes.c_size_t, _Handle, ctypes.c_int),
    "cnrtQueueCreate": (_OUT,),
    "cnrtQueueDestroy": (_Handle,),
    "cnrtQueueWaitNotifier": (_Handle, _Handle, ctypes.c_uint),
    "cnrtNotifierCreate": (_OUT,),
    "cnrtNotifierDestroy": (_Handle,),
    "cnrtPlaceNotifier": (_Handle, _Handle),
    "cnrtQueryNotifier": (_Handle,),
    "cnrtWaitNotifier": (_Handle,),
}


class Runtime:
    """The library, its functions checked: each raises DeviceError with its own name and the library's words."""

    def __init__(self, path: str) -> None:
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise DeviceError(f"{path} cannot be loaded: {error}", remedy="install Cambricon's CNToolkit") from error
        self.version = self._version()
        if int(self.version.partition(".")[0]) < OLDEST_MAJOR:
            raise DeviceError(
                f"the CNRT library is version {self.version}", remedy=f"install CNToolkit with CNRT {OLDEST_MAJOR}"
            )
        missing = [name for name in _SIGNATURES if not hasattr(self._library, name)]
        if missing:
            raise DeviceError(f"the CNRT library {self.version} lacks {', '.join(missing)}")
        for name, arguments in _SIGNATURES.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int

    def _version(self) -> str:
        numbers = [ctypes.c_int() for _ in range(3)]
        try:
            self._library.cnrtGetLibVersion(*map(ctypes.byref, numbers))
        except AttributeError as error:
            raise DeviceError("the CNRT library does not tell its version", remedy="install a newer one") from error
        return ".".join(str(number.value) for number in numbers)

    def status(self, name: str, *arguments: Any) -> int:
        return int(getattr(self._library, name)(*arguments))

    def call(self, device: str, name: str, *arguments: Any) -> None:
        """Call a function; DeviceError names it, the device and what the library says of its answer."""
        code = self.status(name, *arguments)
        if code != _SUCCESS:
            raise self.failed(device, name, code)

    def failed(self, device: str, name: str, code: int) -> DeviceError:
        return DeviceError(
            f"{name} answered {code} ({self._words(code)})", where=device, remedy="check the card with cnmon"
        )

    def created(self, device: str, name: str, *arguments: Any) -> int:
        """Call a function that makes something; its handle."""
        handle = _Handle()
        self.call(device, name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def attribute(self, device: str, number: int, attribute: int) -> int:
        value = ctypes.c_int()
        self.call(device, "cnrtDeviceGetAttribute", ctypes.byref(value), attribute, number)
        return value.value

    def device_count(self) -> int:
        count = ctypes.c_uint()
        self.call("mlu", "cnrtGetDeviceCount", ctypes.byref(count))
        return count.value

    def _words(self, code: int) -> str:
        try:
            describe = self._library.cnrtGetErrorStr
        except AttributeError:
            return "no description"
        describe.restype, describe.argtypes = ctypes.c_char_p, (ctypes.c_int,)
        return str((describe(code) or b"no description").decode(errors="replace"))


def find_library() -> str | None:
    """Where the CNRT library is: under NEUWARE_HOME, or where the dynamic linker finds it. None: nowhere.

    DeviceError if NEUWARE_HOME says that there is an SDK, and there is no library.
    """
    home = os.environ.get("NEUWARE_HOME")
    if home:
        for path in (Path(home) / "lib64" / "libcnrt.so", Path(home) / "lib" / "libcnrt.so"):
            if path.is_file():
                return str(path)
    found = ctypes.util.find_library("cnrt")
    if home and not found:
        raise DeviceError(
            f"NEUWARE_HOME={home} has no lib64/libcnrt.so",
            remedy="install Cambricon's CNToolkit there, or unset NEUWARE_HOME for emulated cards",
        )
    return found


@cache
def runtime(path: str) -> Runtime:
    """The library at a path, loaded once."""
    return Runtime(path)


def target_of(library: Runtime, number: int) -> Target:
    """What the library says of a card. DeviceError for an architecture that is not known here."""
    name = f"mlu:{number}"
    return card_like(
        library.attribute(name, number, _ISA_VERSION),
        clusters=library.attribute(name, number, _CLUSTERS),
        cores_per_cluster=library.attribute(name, number, _CORES_PER_CLUSTER),
        clock_hz=library.attribute(name, number, _CLOCK_KHZ) * 1e3,
        dram_bytes=library.attribute(name, number, _MEMORY_MB) << 20,
    )


class CnrtModule(Module):
    """A shared object that the vendor's compiler made: it launches by itself."""

    def __init__(self, driver: CnrtDriver, content: bytes) -> None:
        self._driver = driver
        self._object = LoadedObject(content, driver.name)
        self.kernels = self._object.kernels

    def launch(
        self, kernel: int, tasks: int, kind: int, stream: Any, stretches: Sequence[Stretch], label: str
    ) -> float | None:
        self._driver.select()
        code = self._object.launch(kernel, tasks, kind, stream, [stretch.address for stretch in stretches])
        if code:
            raise self._driver.library.failed(self._driver.name, f"the launch of {label}", code)
        return None


class CnrtDriver(Driver):
    """One card of the vendor's runtime. Its queues are the streams, its notifiers the marks."""

    def __init__(self, library: Runtime, number: int, target: Target) -> None:
        description = f"{target.name}, {target.arch}, {target.clusters} clusters, CNRT {library.version}"
        super().__init__(f"mlu:{number}", target, description)
        self.library = library
        self.number = number

    def select(self) -> None:
        """Calls of this thread mean this card from now on."""
        self.library.call(self.name, "cnrtSetDevice", self.number)

    def _call(self, name: str, *arguments: Any) -> None:
        self.select()
        self.library.call(self.name, name, *arguments)

    def allocate(self, size: int) -> Memory:
        if size > self.target.dram_bytes:  # Also of numbers that the library's size_t would cut short.
            raise DeviceError(
                f"{self.name} has {self.target.dram_bytes} bytes of memory, {size} are asked for",
                remedy="use smaller sizes, such as a smaller batch",
            )
        self.select()
        memory = Memory(self.library.created(self.name, "cnrtMalloc", max(size, 1)), max(size, 1))
        weakref.finalize(memory, self.release, "cnrtFree", memory.address)
        return memory

    def release(self, function: str, handle: int) -> None:
        """Give something back, whatever has become of the card. What a forked child inherits is its parent's."""
        if not self.is_inherited:
            self.library.status("cnrtSetDevice", self.number)
            self.library.status(function, handle)

    def write(self, target: Stretch, source: Array, stream: Any) -> None:
        address = int(source.ctypes.data)
        self._call("cnrtMemcpyAsync", target.address, address, target.size, stream, _HOST_TO_DEVICE)

    def read(self, target: Array, source: Stretch, stream: Any) -> None:
        address = int(target.ctypes.data)
        self._call("cnrtMemcpyAsync", address, source.address, source.size, stream, _DEVICE_TO_HOST)

    def copy(self, target: Stretch, source: Stretch, stream: Any) -> None:
        self._call("cnrtMemcpyAsync", target.address, source.address, source.size, stream, _WITHIN_DEVICE)

    def load(self, code: bytes) -> Module:
        content = packed.unpack(code).get(packed.VENDOR)
        if content is None:
            raise DeviceError(
                "the model has no code for a real card",
                where=self.name,
                remedy="build it where cncc, the vendor's compiler, is found (NEUWARE_HOME)",
            )
        self.select()
        return CnrtModule(self, content)

    def create_stream(self) -> Any:
        self.select()
        return self.library.created(self.name, "cnrtQueueCreate")

    def destroy_stream(self, stream: Any) -> None:
        self.release("cnrtQueueDestroy", stream)

    def record(self, stream: Any) -> Any:
        self.select()
        mark = _Mark(self, self.library.created(self.name, "cnrtNotifierCreate"))
        self._call("cnrtPlaceNotifier", mark.handle, stream)
        return mark

    def is_reached(self, mark: Any) -> bool:
        self.select()
        code = self.library.status("cnrtQueryNotifier", mark.handle)
        if code not in (_SUCCESS, _NOT_READY):
            raise self.library.failed(self.name, "cnrtQueryNotifier", code)
        return code == _SUCCESS

    def wait(self, mark: Any) -> None:
        self._call("cnrtWaitNotifier", mark.handle)

    def follow(self, stream: Any, mark: Any) -> None:
        self._call("cnrtQueueWaitNotifier", mark.handle, stream, 0)

    def begin(self, workspace: Stretch) -> None:
        """Hardware does not care."""


class _Mark:
    """A notifier, destroyed when nobody looks at it any more."""

    __slots__ = ("__weakref__", "handle")

    def __init__(self, driver: CnrtDriver, handle: int) -> None:
        self.handle = handle
        weakref.finalize(self, driver.release, "cnrtNotifierDestroy", handle)
