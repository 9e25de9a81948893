"""The run half: loading a part, binding its sizes, and one native call a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mm_backend_cpu import available_processors, native
from mm_backend_cpu.program import Binder, BoundProgram, damaged, dim_from_json
from mm_backend_cpu.program import Program as Steps
from mm_core.device import Bound, Buffer, HostDevice, HostQueue, Observer, Program, Queue, Shortcut
from mm_core.errors import InputError, ModelFileError
from mm_core.model import Executable
from mm_core.serial import check_fields, check_list
from mm_core.types import Array, Dim, TensorSpec, as_dtype, evaluate_int

MOST_THREADS = 1024
"""Of one request: each has scratch memory of its own."""


class CpuDevice(HostDevice):
    """The processors of this machine. Engines share one pool of threads."""

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        features = frozenset(executable.requires.get("isa", "").split())
        native.require_features(features, self.name)
        generated = native.LoadedObject(executable.code, self.name) if executable.code else None
        manifest = check_fields(executable.manifest, "cpu", {"program": dict, "traces": list})
        steps = Steps.from_json(manifest["program"])
        traces = tuple(_Trace.from_json(item, steps) for item in manifest["traces"])
        return CpuProgram(steps, constants, generated, traces, min(threads or available_processors(), MOST_THREADS))

    def create_queue(self) -> Queue:
        return CpuQueue()


@dataclass(frozen=True, slots=True)
class _Trace:
    """The result of one step as the user knows it: which buffer holds it, its shape, its strides there, its nodes."""

    step: int
    buffer: int
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    label: str
    nodes: tuple[str, ...]

    @classmethod
    def from_json(cls, item: Any, steps: Steps) -> _Trace:
        """What the compiler noted about `steps`; ModelFileError for anything else."""
        try:
            step, buffer, shape, strides, label, nodes = item
            trace = cls(
                step,
                buffer,
                tuple(map(dim_from_json, shape)),
                tuple(map(dim_from_json, strides)),
                str(label),
                tuple(check_list(nodes, "cpu", str)),
            )
            check_list([step, buffer], "cpu", int)
            if step not in range(len(steps.steps)) or buffer not in range(len(steps.buffers)):
                raise ValueError("a trace names a step or buffer that does not exist")
            if len(trace.shape) != len(trace.strides):
                raise ValueError("a trace has a stride too many or too few")
        except (TypeError, ValueError, InputError, ModelFileError) as error:
            raise damaged(str(error)) from error
        return trace

    def read(self, flat: Array, dims: Mapping[str, int]) -> Array:
        """A copy of the result, `flat` being the elements of its buffer. ModelFileError if it lies beyond them."""
        shape = [evaluate_int(dim, dims) for dim in self.shape]
        strides = [evaluate_int(dim, dims) for dim in self.strides]
        spans = [(dim - 1) * stride for dim, stride in zip(shape, strides)]
        inside = min(spans, default=0) >= 0 and sum(spans) < flat.size
        if min(shape, default=0) < 0 or not (inside or 0 in shape):
            raise damaged(f"the result of {self.label} lies beyond its buffer")
        steps = [stride * flat.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False).copy()


class CpuProgram(Program):
    """Steps, constants and generated code of one part. Bindings are independent of each other."""

    def __init__(
        self,
        steps: Steps,
        constants: Sequence[Array],
        generated: native.LoadedObject | None,
        traces: Sequence[_Trace],
        threads: int,
    ) -> None:
        self.steps = steps
        self.constants = [np.asarray(array) for array in constants]
        self.generated = generated
        self.traces = traces
        self.threads = threads
        # An output's first buffer has its shape; later ones of the same index are views of it.
        first = {buffer.index: buffer for buffer in reversed(steps.buffers) if buffer.space == "output"}
        self.outputs = [first[index] for index in sorted(first)]

    @cached_property
    def binder(self) -> Binder:
        """Made when sizes are first known: loading does without."""
        return Binder(self.steps)

    def bind(self, dims: Mapping[str, int]) -> Bound:
        bound = self.binder.bind(dims)
        program = self.native(bound)
        shapes = tuple(tuple(evaluate_int(dim, dims) for dim in buffer.shape) for buffer in self.outputs)
        return Bound(
            shapes,
            program.arena_bytes(self.threads),
            _Binding(self, program, dict(dims)),
            tuple(bound.reached.get(("input", index), 0) for index in range(self.steps.n_inputs)),
            tuple(bound.reached.get(("output", index), 0) for index in range(self.steps.n_outputs)),
        )

    def shortcut(
        self, bound: Bound, inputs: Sequence[tuple[TensorSpec, int]], outputs: Sequence[tuple[TensorSpec, int]]
    ) -> Shortcut | None:
        return native.shortcut(bound.handle.program, bound.workspace_bytes, self.threads, inputs, outputs)

    def native(self, bound: BoundProgram) -> native.NativeProgram:
        """The program for known sizes. ModelFileError if a constant is smaller than its readers expect."""
        for index, constant in enumerate(self.constants):
            if bound.reached.get(("constant", index), 0) > constant.nbytes:
                raise damaged(f"constant {index} has {constant.nbytes} bytes, its readers expect more")
        return native.NativeProgram(bound.words, self.constants, self.generated, self.steps.labels)


@dataclass(slots=True)
class _Binding:
    owner: CpuProgram
    program: native.NativeProgram
    dims: dict[str, int]

    def run(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: Buffer | None,
        observer: Observer | None,
    ) -> None:
        threads = self.owner.threads
        if observer is None:
            arena = 0 if workspace is None or workspace.array is None else workspace.array.ctypes.data
            self.program.run(arena, inputs, outputs, threads)
            return
        # Observed for results, no piece of the arena is used twice.
        bound = self.owner.binder.bind(self.dims, keep=observer.wants_results)
        program = self.owner.native(bound)
        memory = native.aligned(program.arena_bytes(threads))
        times = program.run(memory.ctypes.data, inputs, outputs, threads, profile=True)
        assert times is not None
        labels = self.owner.steps.labels
        nodes = {trace.step: trace.nodes for trace in self.owner.traces}
        if observer.wants_times:
            for index, (label, nanoseconds) in enumerate(zip(labels, times.tolist())):
                observer.kernel(label, nodes.get(index, ()), nanoseconds * 1e-9)
        if observer.wants_results:
            self._show(bound.offsets, memory, outputs, observer)

    def _show(
        self, offsets: Mapping[int, int], memory: Array, outputs: Sequence[int], observer: Observer
    ) -> None:
        for trace in self.owner.traces:
            buffer = self.owner.steps.buffers[trace.buffer]
            dtype = as_dtype(buffer.dtype)
            physical = tuple(evaluate_int(dim, self.dims) for dim in buffer.shape)
            count = int(np.prod(physical, dtype=np.int64))
            if buffer.space == "arena":
                flat = memory[offsets[buffer.index] :][: count * dtype.itemsize].view(dtype.numpy)
            elif buffer.space == "output":
                raw = native.bytes_at(outputs[buffer.index], count * dtype.itemsize)
                flat = raw.view(dtype.numpy)
            else:
                continue
            observer.result(trace.label, trace.nodes, trace.read(flat, self.dims))


class CpuQueue(HostQueue):
    """One native call a launch. The GIL is free meanwhile."""

    def run(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        observer: Observer | None,
    ) -> Sequence[Buffer]:
        bound.handle.run(list(map(_address, inputs)), list(map(_address, outputs)), workspace, observer)
        return ()


def _address(buffer: Buffer | None) -> int:
    return 0 if buffer is None or buffer.array is None else int(buffer.array.ctypes.data)
