"""From the operations of a part to launches over buffers: the state that lowering rules work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from mm_backend_mlu.codegen.dims import coalesce
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.layout import (
    IMAGE_RANK,
    LINE_BYTES,
    Layout,
    Layouts,
    physical_shape,
    physical_strides,
    round_up,
    to_channels_last,
    with_rank,
)
from mm_backend_mlu.lowering.values import ALIASES, constant_data, dtype_of, elements, shape_of, source
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.program import ALIGNMENT, BLOCK, Buffer, Launch, Trace
from mm_backend_mlu.target import Target
from mm_core.errors import CompileError
from mm_core.ir import Operation, Value
from mm_core.memory import Interval, plan
from mm_core.model import KernelRecord
from mm_core.types import Array, TensorData

Convert = Callable[["Lowering", int, int, tuple[int, ...], int, bool], None]
"""Appends what brings a tensor from one layout to the other: from buffer, to buffer, shape, bytes of an element, and
whether it becomes channels last."""


Materialise = Callable[["Lowering", Value, View], None]
"""Appends what computes a value, dense and in its place, from a view."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A lowered part whose workspace has been laid out."""

    buffers: tuple[Buffer, ...]
    launches: tuple[Launch, ...]
    kernels: tuple[Kernel, ...]
    records: tuple[KernelRecord, ...]
    traces: tuple[Trace, ...]
    workspace: int


@dataclass
class Lowering:
    """One part on its way to a program.

    A buffer of the workspace is named by the number of its piece of memory until the pieces are laid out.
    """

    layouts: Layouts
    target: Target
    convert: Convert
    materialise: Materialise
    buffers: list[Buffer] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    kernels: dict[Kernel, int] = field(default_factory=dict)
    records: list[KernelRecord] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    constants: list[TensorData] = field(default_factory=list)
    conversions: int = 0

    def __post_init__(self) -> None:
        self._places: dict[tuple[Value, Layout], int] = {}
        self._views: dict[Value, View] = {}
        self._constants: dict[object, int] = {}
        self._packed: list[TensorData] = []
        self._pieces: list[int] = []
        self._outputs: dict[Value, int] = {}
        self.current: Operation | None = None
        self._writers: dict[tuple[str, int], int] = {}
        for index, value in enumerate(self.layouts.part.outputs):
            for same in _same_elements(value):
                self._outputs.setdefault(same, index)
        for index, argument in enumerate(self.layouts.part.arguments):
            size = elements(argument) * dtype_of(argument).itemsize
            self._places[argument, Layout.DENSE] = self._buffer(Buffer("input", index, 0, size))

    # --- buffers ----------------------------------------------------------------------------------------------------

    def _buffer(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def temporary(self, size: int) -> int:
        """A new piece of the workspace, of `size` bytes."""
        self._pieces.append(size)
        return self._buffer(Buffer("workspace", len(self._pieces) - 1, 0, size))

    def constant(self, array: Array, key: object = None) -> int:
        """A buffer that holds an array from the start; equal keys share one."""
        key = key if key is not None else id(array)
        if key not in self._constants:
            data = TensorData.of(array)
            self.constants.append(data)
            self._constants[key] = self._buffer(Buffer("constant", len(self.constants) - 1, 0, data.nbytes))
        return self._constants[key]

    def packed(self, value: Value, layout: object, pack: Callable[[Array], Array]) -> int:
        """A buffer with a constant operand as a kernel wants it; packed once for each `layout`, a hashable name."""
        data = constant_data(value)
        if data is None:
            raise CompileError("a constant operand was expected", where=self.where)
        self._packed.append(data)  # Its number is not given to another one while it is here.
        key = (id(data), layout)
        return self._constants[key] if key in self._constants else self.constant(pack(data.numpy()), key)

    def part_of(self, buffer: int, offset: int, size: int) -> int | None:
        """A buffer over `size` bytes at `offset` of another; None where it would not be aligned."""
        base = self.buffers[buffer]
        if (base.offset + offset) % ALIGNMENT:
            return None
        return self._buffer(replace(base, offset=base.offset + offset, size=size))

    # --- values -----------------------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        return self.current.where if self.current is not None else self.layouts.part.name

    def layout(self, value: Value) -> Layout:
        """How a value lies, or shall lie."""
        return self.layouts.of(value)

    def dense(self, value: Value) -> int:
        """The buffer that holds a value row-major."""
        return self._in(value, Layout.DENSE)

    def channels_last(self, value: Value) -> int:
        """The buffer that holds a value as [batch, height, width, channels padded to whole lines].

        One of lower rank stands for what it broadcasts as: axes of size 1 come before its own.
        """
        return self._in(value, Layout.CHANNELS_LAST)

    def _in(self, value: Value, layout: Layout) -> int:
        found = self._places.get((value, layout))
        if found is None:
            found = self._brought(value, layout)
            self._places[value, layout] = found
        return found

    def _brought(self, value: Value, layout: Layout) -> int:
        data = constant_data(value)
        if data is not None:
            pack = _to_channels_last if layout is Layout.CHANNELS_LAST else _as_it_is
            return self.packed(value, layout, pack)
        if value in self._views:
            if layout is Layout.DENSE:
                self.materialise(self, value, self._views[value])
                return self._places[value, Layout.DENSE]
            self._in(value, Layout.DENSE)
        other = Layout.DENSE if layout is Layout.CHANNELS_LAST else Layout.CHANNELS_LAST
        if (value, other) not in self._places:
            raise CompileError("a value is read before it is computed", where=self.where)
        shape, itemsize = with_rank(shape_of(value), IMAGE_RANK), dtype_of(value).itemsize
        held = self._places[value, other]
        if physical_shape(shape, itemsize, Layout.CHANNELS_LAST)[3] == shape[1] and shape[2] * shape[3] == 1:
            return held  # One pixel without padding: both layouts are the same bytes.
        if layout is Layout.DENSE:
            target = self._dense_room(value)
        else:
            target = self.temporary(prod(physical_shape(shape, itemsize, layout)) * itemsize)
        self.conversions += 1
        self.convert(self, held, target, shape, itemsize, layout is Layout.CHANNELS_LAST)
        return target

    def view(self, value: Value) -> View:
        """Where a value lies, without moving it: dense, as steps through another value, or channels last."""
        dense = self._places.get((value, Layout.DENSE))
        if dense is None and value in self._views:
            return self._views[value]
        if dense is None and (value, Layout.CHANNELS_LAST) in self._places:
            strides = physical_strides(shape_of(value), dtype_of(value).itemsize, Layout.CHANNELS_LAST)
            return View(self._places[value, Layout.CHANNELS_LAST], shape_of(value), strides)
        return View.dense(self.dense(value), shape_of(value))

    def define(self, value: Value, view: View) -> None:
        """State that a result is a view: it is moved when somebody needs it in a row."""
        _, (strides,) = coalesce(view.shape, [view.strides])
        if strides in ((), (1,)):
            itemsize = dtype_of(value).itemsize
            held = self.part_of(view.buffer, view.offset * itemsize, elements(value) * itemsize)
            if held is not None:
                self.alias(value, held)
                return
        self._views[value] = view

    def result(self, value: Value) -> int:
        """A buffer for a result to be computed into, in the layout chosen for it; states where it lies."""
        layout, itemsize = self.layout(value), dtype_of(value).itemsize
        if layout is Layout.DENSE:
            return self.dense_result(value)
        number = self.temporary(prod(physical_shape(shape_of(value), itemsize, layout)) * itemsize)
        self._places[value, layout] = number
        return number

    def dense_result(self, value: Value) -> int:
        """A buffer for a result to be moved into, row-major whatever its layout; states that it lies there too."""
        number = self._places[value, Layout.DENSE] = self._dense_room(value)
        return number

    def _dense_room(self, value: Value) -> int:
        """A buffer for a value, row-major: an output of the part, or a new one."""
        size = elements(value) * dtype_of(value).itemsize
        index = self._outputs.get(value)
        return self.temporary(size) if index is None else self._buffer(Buffer("output", index, 0, size))

    def alias(self, value: Value, buffer: int, layout: Layout = Layout.DENSE) -> None:
        """State that a result lies in a buffer that is filled already."""
        self._places[value, layout] = buffer

    # --- launches ---------------------------------------------------------------------------------------------------

    def launch(
        self, kernel: Kernel, reads: Sequence[int], writes: Sequence[int], tasks: int, kind: int = BLOCK
    ) -> None:
        """Append a kernel. Its parameters are the buffers it reads and then those it writes."""
        buffers = (*reads, *writes)
        if len(buffers) != len(kernel.parameters):
            raise CompileError(f"{kernel.name} takes {len(kernel.parameters)} buffers", where=self.where)
        for memory in ("nram", "wram", "sram"):
            wanted, there = getattr(kernel, memory), getattr(self.target, f"{memory}_bytes")
            if wanted > there:
                raise CompileError(
                    f"{kernel.name} wants {wanted} bytes of {memory.upper()}, {self.target.arch} has {there}",
                    where=self.where,
                )
        number = self.kernels.setdefault(kernel, len(self.kernels))
        nodes = () if self.current is None else tuple(sorted(place.name for place in self.current.locations))
        written = tuple(range(len(reads), len(buffers)))
        for buffer in writes:
            self._writers[self.buffers[buffer].space, self.buffers[buffer].index] = len(self.launches)
        self.launches.append(Launch(number, buffers, written, kind, max(tasks, 1), self.where, nodes))
        self.records.append(KernelRecord(self.where, kernel.name, nodes, kernel.note))

    def _trace(self, operation: Operation) -> None:
        """Note where the results of an operation lie in the end, for the dumper."""
        nodes = tuple(sorted(place.name for place in operation.locations))
        for value in operation.results:
            layout = self.layout(value)
            number = self._places.get((value, layout))
            if number is None or not elements(value):
                continue
            writer = self._writers.get((self.buffers[number].space, self.buffers[number].index))
            if writer is not None:
                dtype, shape = dtype_of(value), shape_of(value)
                strides = physical_strides(shape, dtype.itemsize, layout)
                self.traces.append(Trace(writer, number, dtype.text, shape, strides, operation.name, nodes))

    # --- the end ----------------------------------------------------------------------------------------------------

    def settle_outputs(self, copy: Callable[[Lowering, int, int, int], None]) -> None:
        """Put every output of the part into its place; `copy` appends a copy: from buffer, to buffer, bytes."""
        self.current = None
        for index, value in enumerate(self.layouts.part.outputs):
            size = elements(value) * dtype_of(value).itemsize
            if not size:
                continue
            held = self.dense(value)
            if self.buffers[held] != Buffer("output", index, 0, size):
                copy(self, held, self._buffer(Buffer("output", index, 0, size)), size)

    def planned(self) -> Planned:
        """Leave out what nobody reads, and lay the workspace out."""
        for operation in self.layouts.part.operations:
            self._trace(operation)
        kept = self._needed()
        numbers = {old: new for new, old in enumerate(kept)}
        launches = [self.launches[old] for old in kept]
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for number, launch in enumerate(launches):
            for buffer in launch.buffers:
                if self.buffers[buffer].space == "workspace":
                    piece = self.buffers[buffer].index
                    first.setdefault(piece, number)
                    last[piece] = number
        pieces = sorted(first)
        laid_out = plan(
            [Interval(round_up(self._pieces[piece], LINE_BYTES), first[piece], last[piece]) for piece in pieces],
            LINE_BYTES,
        )
        offsets = dict(zip(pieces, laid_out.offsets))
        used = sorted({launch.kernel for launch in launches})
        kernels = list(self.kernels)
        traces = [replace(trace, launch=numbers[trace.launch]) for trace in self.traces if trace.launch in numbers]
        wanted = sorted({number for launch in launches for number in launch.buffers} | {t.buffer for t in traces})
        renumbered = {old: new for new, old in enumerate(wanted)}
        return Planned(
            tuple(_placed(self.buffers[number], offsets) for number in wanted),
            tuple(
                replace(
                    launch,
                    kernel=used.index(launch.kernel),
                    buffers=tuple(renumbered[number] for number in launch.buffers),
                )
                for launch in launches
            ),
            tuple(kernels[number] for number in used),
            tuple(self.records[old] for old in kept),
            tuple(replace(trace, buffer=renumbered[trace.buffer]) for trace in traces),
            laid_out.size,
        )

    def _needed(self) -> list[int]:
        """Numbers of the launches whose results are read, or leave the part."""
        read: set[int] = set()
        kept: list[int] = []
        for number in range(len(self.launches) - 1, -1, -1):
            launch = self.launches[number]
            written = [self.buffers[launch.buffers[place]] for place in launch.written]
            if any(buffer.space == "output" or buffer.index in read for buffer in written):
                kept.append(number)
                sources = (self.buffers[buffer] for buffer in launch.buffers)
                read |= {buffer.index for buffer in sources if buffer.space == "workspace"}
        return kept[::-1]


def _placed(buffer: Buffer, offsets: dict[int, int]) -> Buffer:
    if buffer.space != "workspace":
        return buffer
    return Buffer("workspace", 0, offsets[buffer.index] + buffer.offset, buffer.size)


def _same_elements(value: Value) -> Iterator[Value]:
    """A value, and those that it is but another shape of."""
    yield value
    while value.defining_op is not None and value.defining_op.name in ALIASES:
        value = source(value.defining_op)
        yield value


def _to_channels_last(array: Array) -> Array:
    return to_channels_last(array.reshape(with_rank(array.shape, IMAGE_RANK)))


def _as_it_is(array: Array) -> Array:
    return array
