"""Runs one generated kernel in this process, its tasks split as several threads would split them."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from mm_backend_cpu.codegen.compile import compile_kernels
from mm_backend_cpu.codegen.isa import Isa, usable
from mm_backend_cpu.codegen.kernel_source import KernelSource
from mm_core.types import evaluate_int


class _Call(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.POINTER(ctypes.c_void_p)), ("desc", ctypes.c_void_p),
        ("params", ctypes.POINTER(ctypes.c_int64)),
        ("n_inputs", ctypes.c_int32), ("n_outputs", ctypes.c_int32), ("status", ctypes.POINTER(ctypes.c_int32)),
    )  # fmt: skip


Outputs = Sequence[tuple[Sequence[int], npt.DTypeLike]]
"""Shape and dtype of each output."""


class _Object(ctypes.Structure):
    _fields_ = (("abi", ctypes.c_int32), ("count", ctypes.c_int32), ("kernels", ctypes.POINTER(ctypes.c_void_p)))


_FOLDER = tempfile.TemporaryDirectory()
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Call), ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


@cache
def _load(source: KernelSource, isa: Isa) -> tuple[Callable[..., None], ctypes.CDLL]:
    # A fresh name for each: kernels of equal code may differ in extents, and a mapped file must not be rewritten.
    with tempfile.NamedTemporaryFile(dir=_FOLDER.name, suffix=".so", delete=False) as file:
        file.write(compile_kernels([source], isa))
    library = ctypes.CDLL(file.name)
    library.mm_object_entry.restype = ctypes.POINTER(_Object)
    return _KERNEL(library.mm_object_entry(None).contents.kernels[0]), library


def instruction_sets() -> list[Isa]:
    """The best usable instruction set of each vector width: what kernels without int8 products differ by."""
    return list({isa.vector_bytes: isa for isa in reversed(usable())}.values())


def aligned(shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
    """An array of arbitrary values that starts at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.full(size + 128, 0xAA, np.uint8)
    start = -raw.ctypes.data % 64
    return np.ndarray(shape, dtype, raw[start : start + size].data)


class Bound:
    """A kernel with its tensors, ready to be called many times. Outputs are followed by a guard that `check` reads."""

    def __init__(
        self, source: KernelSource, isa: Isa, inputs: Sequence[np.ndarray | None], outputs: Outputs,
        dims: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.kernel, self.library = _load(source, isa)
        values = dims or {}
        self.inputs = [None if x is None else np.ascontiguousarray(x) for x in inputs]
        self.raw = [aligned((int(np.prod(s)) * np.dtype(t).itemsize + 64,), np.uint8) for s, t in outputs]
        for raw in self.raw:
            raw[:] = 0xAA
        self.outputs = [
            raw[: raw.size - 64].view(t).reshape(s) for raw, (s, t) in zip(self.raw, outputs, strict=True)
        ]
        pointers = [None if x is None else x.ctypes.data for x in (*self.inputs, *self.outputs)]
        params = [evaluate_int(dim, values) for dim in source.params]
        self.status = ctypes.c_int32(0)
        self._data = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        self._params = (ctypes.c_int64 * max(1, len(params)))(*params)
        self.call = _Call(self._data, None, self._params, len(inputs), len(outputs), ctypes.pointer(self.status))
        self.tasks = evaluate_int(source.tasks, values)
        self.scratch = aligned((evaluate_int(source.scratch_bytes, values) + 64,), np.uint8)

    def run(self, parts: int = 1) -> list[np.ndarray]:
        """Every task, in `parts` calls."""
        for part in range(parts):
            begin, end = self.tasks * part // parts, self.tasks * (part + 1) // parts
            if begin < end:
                self.kernel(ctypes.byref(self.call), begin, end, self.scratch.ctypes.data)
        assert all((raw[raw.size - 64 :] == 0xAA).all() for raw in self.raw), "wrote past an output"
        return self.outputs


def run(
    source: KernelSource, isa: Isa, inputs: Sequence[np.ndarray | None], outputs: Outputs,
    dims: Mapping[str, int] | None = None, parts: int = 3,
) -> list[np.ndarray]:  # fmt: skip
    """Results of one run with the tasks in `parts` pieces, checked to be those of a run in one piece."""
    whole = Bound(source, isa, inputs, outputs, dims).run()
    split = Bound(source, isa, inputs, outputs, dims).run(parts)
    for left, right in zip(whole, split, strict=True):
        assert left.tobytes() == right.tobytes(), "results depend on how tasks are split"
    return split
