"""The native library in Python: loading it, loading generated code, and running programs. One ctypes call a request."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

import mm_backend_cpu
from mm_core.device import Shortcut, aligned_empty
from mm_core.errors import DeviceError, InputError
from mm_core.types import Array, TensorSpec

try:
    from mm_backend_cpu._request import Request
except ImportError:  # Built where Python's headers were missing: requests go the longer way.
    Request = None  # type: ignore[assignment,misc]

ABI = 1
ALIGNMENT = 64

_INDEX_OUT_OF_RANGE = 1
_ERROR_LENGTH = 512
_STEP = re.compile(r"step (\d+): ")
_FILE_NAME = {"darwin": "libmm_cpu.dylib", "win32": "mm_cpu.dll"}.get(sys.platform, "libmm_cpu.so")

_Pointer = ctypes.c_void_p
_Int32 = ctypes.c_int32
_Int64 = ctypes.c_int64
# Function: (result, arguments), as mm_cpu.h declares them.
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "mm_cpu_abi": (_Int32, ()),
    "mm_cpu_features": (ctypes.c_char_p, ()),
    "mm_dtype_code": (_Int32, (ctypes.c_char_p,)),
    "mm_dtype_bytes": (_Int64, (_Int32,)),
    "mm_library_kernel_names": (ctypes.POINTER(ctypes.c_char_p), ()),
    "mm_object_load": (_Pointer, (ctypes.c_char_p, _Int64, ctypes.c_char_p, _Int64)),
    "mm_object_count": (_Int32, (_Pointer,)),
    "mm_object_free": (None, (_Pointer,)),
    "mm_program_create": (_Pointer, (_Pointer, _Int64, _Pointer, _Pointer, _Int64, ctypes.c_char_p, _Int64)),
    "mm_program_arena_bytes": (_Int64, (_Pointer, _Int32)),
    "mm_program_steps": (_Int64, (_Pointer,)),
    "mm_program_run": (_Int64, (_Pointer, _Pointer, _Pointer, _Pointer, _Int32, _Pointer)),
    "mm_program_free": (None, (_Pointer,)),
    "mm_pool_workers": (_Int32, ()),
}


@cache
def library() -> ctypes.CDLL:
    """The native library, loaded on first use. DeviceError if it is absent, unusable or of another version."""
    candidates = [Path(folder) / _FILE_NAME for folder in mm_backend_cpu.__path__]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    reinstall = "install mm-backend-cpu again; from source this needs a C++17 compiler"
    if path is None:
        raise DeviceError(
            f"the native library {_FILE_NAME} of the CPU backend is missing",
            where="cpu",
            available=", ".join(str(candidate.parent) for candidate in candidates) + " were searched",
            remedy=reinstall,
        )
    try:
        found = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise DeviceError(f"the native library cannot be used: {error}", where="cpu", remedy=reinstall) from error
    if found.mm_cpu_abi() != ABI:
        raise DeviceError(
            f"the native library has ABI version {found.mm_cpu_abi()}, this package needs {ABI}",
            where="cpu",
            remedy=reinstall,
        )
    return found


@cache
def features() -> frozenset[str]:
    """Instruction set extensions of this processor, as `avx2`, `fma`, `avx512f`, `avx512vnni`, `neon`."""
    return frozenset(library().mm_cpu_features().decode().split())


def require_features(needed: frozenset[str], where: str) -> None:
    """DeviceError if this processor lacks an extension that code was generated for."""
    missing = needed - features()
    if missing:
        raise DeviceError(
            f"the code was generated for processors with {', '.join(sorted(missing))}, which this one lacks",
            where=where,
            available=", ".join(sorted(features())) or "no extensions",
            remedy="build the model again with --cpu_arch for this processor",
        )


@cache
def kernel_numbers() -> Mapping[str, int]:
    """The library's kernels by name, with the number that a step's words hold."""
    names = library().mm_library_kernel_names()
    numbers: dict[str, int] = {}
    while (name := names[len(numbers)]) is not None:
        numbers[name.decode()] = len(numbers)
    return numbers


@cache
def dtype_code(text: str) -> int:
    """The library's code of an element type, given as its text (`f32`). DeviceError for one without storage."""
    code = int(library().mm_dtype_code(text.encode()))
    if code == 0:
        raise DeviceError(f"the CPU has no representation of element type {text}", where="cpu")
    return code


def aligned(nbytes: int) -> npt.NDArray[np.uint8]:
    """Memory for an arena or a buffer: `nbytes` bytes, not initialised, that start at a multiple of 64.

    DeviceError if it is not there.
    """
    try:
        memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError) as error:
        raise DeviceError(f"there is no memory for {nbytes} bytes: {error}", where="cpu") from error
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + nbytes]


def bytes_at(address: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """The memory at an address that the caller keeps alive."""
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (nbytes,))


def _pointers(addresses: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (_Pointer * len(addresses))(*addresses)


class LoadedObject:
    """Generated code of one part, ready to run."""

    __slots__ = ("_free", "count", "handle")

    def __init__(self, code: bytes, where: str = "cpu") -> None:
        self.handle: int | None = None
        self._free = library().mm_object_free
        error = ctypes.create_string_buffer(_ERROR_LENGTH)
        self.handle = library().mm_object_load(code, len(code), error, _ERROR_LENGTH)
        if self.handle is None:
            raise DeviceError(error.value.decode(errors="replace"), where=where, remedy="build the model again")
        self.count: int = library().mm_object_count(self.handle)

    def __del__(self) -> None:
        if self.handle is not None:
            self._free(self.handle)


class NativeProgram:
    """A program of the executor. Several threads may run it at once, each with an arena of its own."""

    __slots__ = ("_free", "constants", "generated", "handle", "labels", "where")

    def __init__(
        self,
        words: npt.NDArray[np.int64],
        constants: Sequence[npt.NDArray[Any]] = (),
        generated: LoadedObject | None = None,
        labels: Sequence[str] = (),
        where: str = "cpu",
    ) -> None:
        """`constants` are kept alive, and copied only if not contiguous or not aligned. `labels` name the steps."""
        self.handle: int | None = None
        # Kept here: when the interpreter ends, a module's names may be gone before its objects are.
        self._free = library().mm_program_free
        self.constants = tuple(map(_settled, constants))
        self.generated = generated
        self.labels = tuple(labels)
        self.where = where
        words = np.ascontiguousarray(words, np.int64)
        error = ctypes.create_string_buffer(_ERROR_LENGTH)
        self.handle = library().mm_program_create(
            words.ctypes.data,
            words.size,
            None if generated is None else generated.handle,
            _pointers([constant.ctypes.data for constant in self.constants]),
            len(self.constants),
            error,
            _ERROR_LENGTH,
        )
        if self.handle is None:
            raise self._refused(error.value.decode(errors="replace"))

    def _refused(self, reason: str) -> DeviceError:
        """The library's reason, with the user's node where it speaks of a step."""
        step = _STEP.match(reason)
        label = self.labels[int(step[1])] if step and int(step[1]) < len(self.labels) else ""
        return DeviceError(
            f"the program is refused: {reason}",
            where=label or self.where,
            remedy="check the sizes that the inputs lead to; if they are right, build the model again with the "
            "installed version of mm-backend-cpu",
        )

    def __del__(self) -> None:
        if self.handle is not None:
            self._free(self.handle)

    def arena_bytes(self, threads: int) -> int:
        """Bytes of the arena that a run on `threads` threads needs."""
        return int(library().mm_program_arena_bytes(self.handle, threads))

    def run(
        self, arena: int, inputs: Sequence[int], outputs: Sequence[int], threads: int, *, profile: bool = False
    ) -> npt.NDArray[np.int64] | None:
        """Runs every step. All buffers are addresses; the arena's is a multiple of 64 and for this run alone.

        Answers nanoseconds of each step if `profile`. Raises InputError for an index outside its axis.
        """
        times = np.zeros(library().mm_program_steps(self.handle), np.int64) if profile else None
        status = library().mm_program_run(
            self.handle,
            arena,
            _pointers(inputs),
            _pointers(outputs),
            threads,
            None if times is None else times.ctypes.data,
        )
        if status:
            self.fail(status)
        return times

    def fail(self, reported: int) -> NoReturn:
        """Raise what a run's status means."""
        step, status = reported >> 8, reported & 0xFF
        if status != _INDEX_OUT_OF_RANGE:
            raise DeviceError("the arena is missing or misaligned", where=self.where)
        label = self.labels[step] if step < len(self.labels) else f"step {step}"
        raise InputError(
            "an index is outside its axis", where=label, remedy="check the values of the inputs that are indices"
        )


def shortcut(
    program: NativeProgram,
    arena_bytes: int,
    threads: int,
    inputs: Sequence[tuple[TensorSpec, int]],
    outputs: Sequence[tuple[TensorSpec, int]],
) -> Shortcut | None:
    """Requests of one program in one call, or None: without the extension, and for element types unknown to buffers.

    Inputs and outputs have known sizes and come with their places in the program.
    """
    formats = [_buffer_format(spec) for spec, _ in inputs]
    if Request is None or None in formats or None in [_buffer_format(spec) for spec, _ in outputs]:
        return None
    arena = aligned(arena_bytes)
    request = Request(
        ctypes.cast(library().mm_program_run, _Pointer).value,
        program.handle,
        arena.ctypes.data,
        threads,
        (program, arena),
        tuple((spec.name, text, spec.shape, place) for text, (spec, place) in zip(formats, inputs)),
        tuple((spec.name, aligned_empty, (spec.dtype, spec.shape), place) for spec, place in outputs),
    )
    run = request.run

    def shortened(values: Mapping[str, Any]) -> dict[str, Array] | None:
        found = run(values)
        return program.fail(found) if isinstance(found, int) else found

    return shortened


def _buffer_format(spec: TensorSpec) -> str | None:
    """The format under which numpy shares arrays of an element type; None for those that it does not share."""
    try:
        return memoryview(np.empty(0, spec.dtype.numpy).data).format
    except (ValueError, TypeError, BufferError):
        return None


def _settled(constant: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array itself if the executor can read it in place, otherwise an aligned copy."""
    if constant.flags.c_contiguous and constant.ctypes.data % ALIGNMENT == 0:
        return constant
    copy = aligned(constant.nbytes).view(constant.dtype).reshape(constant.shape)
    copy[...] = constant
    return copy
