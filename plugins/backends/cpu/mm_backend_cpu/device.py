"""The run half: loading a part, binding its sizes, and one native call a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mm_backend_cpu import available_processors, native
from mm_backend_cpu.program import Program as Steps
from mm_core.device import Bound, Buffer, HostDevice, HostQueue, Observer, Program, Queue
from mm_core.errors import ModelFileError
from mm_core.model import Executable
from mm_core.types import Array, as_dtype, evaluate_int, parse_dim


class CpuDevice(HostDevice):
    """The processors of this machine. Engines share one pool of threads."""

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        features = frozenset(executable.requires.get("isa", "").split())
        native.require_features(features, self.name)
        generated = native.LoadedObject(executable.code, self.name) if executable.code else None
        steps = Steps.from_json(executable.manifest.get("program"))
        try:
            traces = tuple(_Trace.from_json(item) for item in executable.manifest["traces"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the CPU part is damaged: {error}", remedy="build the model again") from error
        return CpuProgram(steps, constants, generated, traces, threads or available_processors())

    def create_queue(self) -> Queue:
        return CpuQueue()


@dataclass(frozen=True, slots=True)
class _Trace:
    """The result of one step as the user knows it: which buffer holds it, its shape, its strides there, its nodes."""

    step: int
    buffer: int
    shape: tuple[str, ...]
    strides: tuple[str, ...]
    label: str
    nodes: tuple[str, ...]

    @classmethod
    def from_json(cls, item: Any) -> _Trace:
        step, buffer, shape, strides, label, nodes = item
        return cls(int(step), int(buffer), tuple(shape), tuple(strides), str(label), tuple(nodes))


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

    def bind(self, dims: Mapping[str, int]) -> Bound:
        program = self.native(dims, keep=False)
        shapes = tuple(tuple(evaluate_int(dim, dims) for dim in buffer.shape) for buffer in self.outputs)
        return Bound(shapes, program.arena_bytes(self.threads), _Binding(self, program, dict(dims)))

    def native(self, dims: Mapping[str, int], *, keep: bool) -> native.NativeProgram:
        """The program for these sizes; with `keep`, no result is overwritten by a later one."""
        bound = self.steps.bind(dims, keep=keep)
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
        program = self.owner.native(self.dims, keep=observer.wants_results)
        memory = native.aligned(program.arena_bytes(threads))
        times = program.run(memory.ctypes.data, inputs, outputs, threads, profile=True)
        assert times is not None
        labels = self.owner.steps.labels
        nodes = {trace.step: trace.nodes for trace in self.owner.traces}
        if observer.wants_times:
            for index, (label, nanoseconds) in enumerate(zip(labels, times.tolist())):
                observer.kernel(label, nodes.get(index, ()), nanoseconds * 1e-9)
        if observer.wants_results:
            self._show(program, memory, outputs, observer)

    def _show(
        self, program: native.NativeProgram, memory: Array, outputs: Sequence[int], observer: Observer
    ) -> None:
        offsets = self.owner.steps.bind(self.dims, keep=True).offsets
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
            shape = [evaluate_int(parse_dim(dim), self.dims) for dim in trace.shape]
            strides = [evaluate_int(parse_dim(dim), self.dims) * dtype.itemsize for dim in trace.strides]
            result = np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)
            observer.result(trace.label, trace.nodes, result.copy())


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
