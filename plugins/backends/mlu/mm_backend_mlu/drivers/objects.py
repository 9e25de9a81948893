"""Shared objects from bytes: both kinds of code export the same three functions."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import struct
import weakref
from collections.abc import Sequence

from mm_core.errors import DeviceError, ModelFileError

ABI = 1
"""MM_MLU_ABI of bang/launch.h."""
_ELF64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_ELF_SEGMENT = struct.Struct("<IIQQQQQQ")


class LoadedObject:
    """A part's object, loaded apart from every other copy of it, so that its static memories are its own."""

    def __init__(self, content: bytes, where: str) -> None:
        if not _is_whole(content):
            raise ModelFileError("the part's code is damaged", where=where, remedy="build the model again")
        # The descriptor stays open as long as the code is in use: the dynamic linker knows objects by path, so a
        # number that was given to another file would find the old code.
        descriptor = os.memfd_create("mm-mlu", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            library = ctypes.CDLL(f"/proc/self/fd/{descriptor}", mode=os.RTLD_LOCAL | os.RTLD_NOW)
        except OSError as error:
            os.close(descriptor)
            raise DeviceError(
                f"the part's code cannot be loaded: {error}",
                where=where,
                remedy="build the model on a machine like this one, with the toolkit of this one",
            ) from error
        weakref.finalize(self, _close, library._handle, descriptor)
        try:
            convention, self.kernels = int(library.mm_mlu_abi()), int(library.mm_mlu_kernels())
            self._launch = library.mm_mlu_launch
        except AttributeError as error:
            raise ModelFileError("the part's code is not for this backend", where=where) from error
        if convention != ABI:
            raise DeviceError(
                f"the part's code follows convention {convention}, this backend {ABI}",
                where=where,
                remedy="build the model again",
            )
        self._launch.restype = ctypes.c_int
        self._launch.argtypes = (
            ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
        )  # fmt: skip

    def launch(self, kernel: int, tasks: int, kind: int, queue: int | None, addresses: Sequence[int]) -> int:
        """Call a kernel's launcher with addresses on the device; what it answers, 0 for success."""
        return int(self._launch(kernel, tasks, kind, queue, (ctypes.c_void_p * max(len(addresses), 1))(*addresses)))


def _is_whole(content: bytes) -> bool:
    """Whether all that the dynamic linker will map of an object is there: what is not would end the process."""
    if content[:6] != _ELF64_LITTLE_ENDIAN or len(content) < _ELF_HEADER.size:
        return False
    *_, table, _, _, _, size, count, _, _, _ = _ELF_HEADER.unpack_from(content)
    if size != _ELF_SEGMENT.size or table + count * size > len(content):
        return False
    segments = _ELF_SEGMENT.iter_unpack(content[table : table + count * size])
    return all(offset + stored <= len(content) for _, _, offset, _, _, stored, _, _ in segments)


def _close(handle: int, descriptor: int) -> None:
    _ctypes.dlclose(handle)
    os.close(descriptor)
