"""Shared objects from bytes: both kinds of code export the same three functions."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import weakref
from collections.abc import Sequence

from mm_core.errors import DeviceError, ModelFileError

ABI = 1
"""MM_MLU_ABI of bang/launch.h."""


class LoadedObject:
    """A part's object, loaded apart from every other copy of it, so that its static memories are its own."""

    def __init__(self, content: bytes, where: str) -> None:
        self.where = where
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
        if kernel >= self.kernels:
            raise ModelFileError(f"the part has no kernel {kernel}", where=self.where, remedy="build the model again")
        return int(self._launch(kernel, tasks, kind, queue, (ctypes.c_void_p * max(len(addresses), 1))(*addresses)))


def _close(handle: int, descriptor: int) -> None:
    _ctypes.dlclose(handle)
    os.close(descriptor)
