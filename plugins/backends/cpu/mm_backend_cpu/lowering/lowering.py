"""From the operations of a part to steps over buffers: the state that lowering rules work on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, permutations
from math import prod
from typing import Any

import numpy as np

from mm_backend_cpu.codegen.isa import Isa
from mm_backend_cpu.codegen.kernel_source import KernelSource
from mm_backend_cpu.codegen.strided_copy import CopySpec, copy
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.view import View
from mm_backend_cpu.program import Buffer, Loop, Move, Program, Step
from mm_backend_cpu.tuning.choice import Choice, Chooser
from mm_core.device import aligned_empty
from mm_core.errors import CompileError
from mm_core.ir import Network, Operation, Value
from mm_core.model import KernelRecord
from mm_core.types import DTYPES, Array, Dim, Shape, TensorData, TensorType, as_dtype, evaluate_int, symbols

SYMBOL_GUESS = 32
"""What an unbounded symbol is taken for where costs are estimated."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The result of a step as the user knows it, for the dumper."""

    step: int
    view: View
    label: str
    nodes: tuple[str, ...]

    def to_json(self) -> list[Any]:
        """Step, buffer, shape, strides, label and nodes; dimensions as text."""
        shape, strides = (list(map(str, dims)) for dims in (self.view.shape, self.view.strides))
        return [self.step, self.view.buffer, shape, strides, self.label, list(self.nodes)]


@dataclass
class Lowering:
    """One part on its way to a program. `isa` is None where no code may be generated: then the library does all.

    `chooser` decides between kernels that compute the same; `winograd` is whether any may round more than a direct sum,
    `strips` whether one may compute several operations in strips.
    """

    part: Network
    isa: Isa | None
    opt_level: int = 2
    chooser: Chooser = field(default_factory=Chooser)
    winograd: bool = True
    strips: bool = True
    dim_range: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    constants: list[TensorData] = field(default_factory=list)
    sources: dict[str, KernelSource] = field(default_factory=dict)
    records: list[KernelRecord] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._moving: dict[int, tuple[list[Move], Dim, Dim]] = {}
        self._depth = 0
        self._views: dict[Value, list[View]] = {}
        self._constant_numbers: dict[object, int] = {}
        self._pieces = 0
        self._outputs: dict[Value, int] = {}
        for index, value in enumerate(self.part.outputs):
            self._outputs.setdefault(value, index)
        for index, argument in enumerate(self.part.arguments):
            type_ = tensor_type(argument)
            number = self._buffer(Buffer("input", index, type_.dtype.text, shape_of(argument)))
            self._views[argument] = [View.dense(number, shape_of(argument))]
        self.current: tuple[Operation, ...] = ()

    # --- buffers ----------------------------------------------------------------------------------------------------

    def _buffer(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def temporary(self, dtype: str, shape: Sequence[Dim]) -> int:
        """A new piece of the arena."""
        self._pieces += 1
        return self._buffer(Buffer("arena", self._pieces - 1, dtype, tuple(shape)))

    def constant(self, data: TensorData | Array, key: object = None) -> int:
        """A buffer for constant data; equal keys share one."""
        tensor = data if isinstance(data, TensorData) else TensorData.of(np.ascontiguousarray(data))
        key = key if key is not None else id(data)
        if key not in self._constant_numbers:
            self.constants.append(tensor)
            self._constant_numbers[key] = self._buffer(
                Buffer("constant", len(self.constants) - 1, tensor.dtype.text, tensor.shape)
            )
        return self._constant_numbers[key]

    def packed(self, value: Value, layout: object, pack: Callable[[Array], Array]) -> int:
        """A buffer for a constant operand in a kernel's own layout; packed once for each layout."""
        return self.packed_together([value], layout, pack)

    def packed_together(self, values: Sequence[Value], layout: object, pack: Callable[..., Array]) -> int:
        """A buffer for constant operands in a kernel's own layout; packed once for each layout."""
        found = list(map(constant_data, values))
        constants = [data for data in found if data is not None]
        if len(constants) < len(found):
            raise CompileError("a constant operand was expected", where=self.where)
        key = (*map(id, constants), layout)
        number = self._constant_numbers.get(key)
        if number is None:
            number = self.constant(_aligned(pack(*(data.numpy() for data in constants))), key)
        return number

    # --- values -----------------------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        return self.current[-1].where if self.current else self.part.name

    @property
    def nodes(self) -> tuple[str, ...]:
        """The user's nodes that are being lowered."""
        return tuple(sorted({place.name for operation in self.current for place in operation.locations}))

    def view(self, value: Value) -> View:
        """Where a value lies; its first place if it lies in several."""
        if value not in self._views:
            data = constant_data(value)
            if data is None:
                raise CompileError("a value is read before it is computed", where=self.where)
            self._views[value] = [View.dense(self.constant(data, id(data)), data.shape)]
        return self._views[value][0]

    def ordered(self, value: Value, order: Sequence[int]) -> View:
        """The value filling a buffer with its axes in `order`; copied there if it does not yet lie so."""
        self.view(value)
        for view in self._views[value]:
            if view.lies_in(order):
                return view
        view = self.reordered(self.view(value), tensor_type(value).dtype.text, order)
        self._views[value].append(view)
        return view

    def reordered(self, view: View, dtype: str, order: Sequence[int], target: int | None = None) -> View:
        """A copy of a view with its axes in `order` in memory."""
        shape = tuple(view.shape[axis] for axis in order)
        strides = tuple(view.strides[axis] for axis in order)
        number = self.temporary(dtype, shape) if target is None else target
        self._copy(View(view.buffer, shape, strides, view.offset), dtype, number)
        return View.in_order(number, view.shape, order)

    def _copy(self, source: View, dtype: str, target: int) -> None:
        itemsize = TYPE_SIZES[dtype]
        if self.isa is not None and itemsize in (1, 2, 4, 8, 16):
            spec = CopySpec(source.shape, source.strides, itemsize, source.offset)
            self.generated(copy(spec), [source.buffer], [target], "copy")
            return
        self._library_copy(source, dtype, target)

    def _library_copy(self, source: View, dtype: str, target: int) -> None:
        """A copy by the library, whose views are transposes of a dense buffer: the axes are put in order."""
        if 0 in source.shape:
            return
        axes = range(len(source.shape))
        likely = tuple(sorted(axes, key=lambda axis: -self.estimate(source.strides[axis])))
        order = next((order for order in chain([likely], permutations(axes)) if source.lies_in(order)), None)
        if order is None:
            base = self.buffers[source.buffer].shape
            raise CompileError(
                f"a view of {list(map(str, base))} cannot be copied without generated code", where=self.where
            )
        from_buffer = self.dense_alias(source.buffer, tuple(source.shape[axis] for axis in order))
        self.library("transpose", [from_buffer], [target], [order.index(axis) for axis in axes])

    def dense(self, value: Value) -> int:
        """A buffer with the value row-major, its shape the value's."""
        shape = shape_of(value)
        view = self.ordered(value, range(len(shape)))
        return self.dense_alias(view.buffer, shape)

    def dense_alias(self, buffer: int, shape: Shape) -> int:
        """The same memory with another shape of as many elements."""
        base = self.buffers[buffer]
        if base.shape == shape:
            return buffer
        number = self._buffer(Buffer(base.space, base.index, base.dtype, shape))
        if buffer in self._moving:
            self._move(number, *self._moving[buffer])
        return number

    def define(self, value: Value, view: View) -> None:
        """State where a result lies."""
        self._views[value] = [view]

    def result(self, value: Value, order: Sequence[int] | None = None) -> int:
        """A buffer for a result to be computed into, its axes in `order` (default: row-major); states where it lies."""
        shape = shape_of(value)
        order = tuple(range(len(shape))) if order is None else tuple(order)
        dtype = tensor_type(value).dtype.text
        physical = tuple(shape[axis] for axis in order)
        if order == tuple(range(len(shape))) and value in self._outputs:
            number = self._buffer(Buffer("output", self._outputs[value], dtype, shape))
        else:
            number = self.temporary(dtype, physical)
        self.define(value, View.in_order(number, shape, order))
        return number

    def alias(self, argument: Value, operand: Value) -> None:
        """State that the argument of a region lies where a value outside does."""
        self.view(operand)
        self._views[argument] = self._views[operand]

    def copy_dense(self, value: Value, target: int) -> None:
        """Copy a value into a buffer, row-major."""
        self.reordered(self.view(value), tensor_type(value).dtype.text, range(len(shape_of(value))), target)

    def copy_buffer(self, source: int, target: int) -> None:
        """Copy a buffer into another of its shape."""
        shape = self.buffers[source].shape
        self.reordered(View.dense(source, shape), self.buffers[source].dtype, range(len(shape)), target)

    # --- loops ------------------------------------------------------------------------------------------------------

    @contextmanager
    def repeated(self, repetitions: Dim) -> Iterator[Callable[[int, Shape, Dim, Dim], int]]:
        """What is appended inside repeats. Gives `moved(buffer, shape, start, step)`: a buffer of that shape over the
        memory of another, which lies at element `start` first and `step` elements further on each time."""
        moves: list[Move] = []
        place, first = len(self.loops), len(self.steps)
        self.loops.append(Loop(first, first, repetitions))
        self._depth += 1

        def moved(buffer: int, shape: Shape, start: Dim, step: Dim) -> int:
            base = self.buffers[buffer]
            number = self._buffer(Buffer(base.space, base.index, base.dtype, shape))
            self._move(number, moves, start, step)
            return number

        yield moved
        self._depth -= 1
        self.loops[place] = Loop(first, len(self.steps), repetitions, tuple(moves))

    def resting(self, value: Value, order: Sequence[int]) -> int:
        """A buffer that the value fills with its axes in `order`, and that no loop moves already."""
        view = self.ordered(value, order)
        if view.buffer in self._moving:
            view = self.reordered(view, tensor_type(value).dtype.text, order)
        return view.buffer

    def _move(self, number: int, moves: list[Move], start: Dim, step: Dim) -> None:
        moves.append(Move(number, start, step))
        self._moving[number] = (moves, start, step)

    # --- steps ------------------------------------------------------------------------------------------------------

    def generated(
        self,
        source: KernelSource,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kernel: str,
        choice: Choice[Any] | None = None,
    ) -> None:
        """Append a generated kernel, and what it was chosen from."""
        numbers = list(self.sources)
        if source.symbol not in self.sources:
            self.sources[source.symbol] = source
            numbers.append(source.symbol)
        step = Step(
            f"object:{numbers.index(source.symbol)}", tuple(inputs), tuple(outputs), source.params, source.tasks,
            source.scratch_bytes, self._label(),
        )  # fmt: skip
        self._append(step, kernel, source.note, choice)

    def library(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], params: Sequence[Dim] = ()
    ) -> None:
        """Append a kernel of the native library."""
        step = Step(f"library:{name}", tuple(inputs), tuple(outputs), tuple(params), label=self._label())
        self._append(step, name, "library")

    def _label(self) -> str:
        return self.where

    def _append(self, step: Step, kernel: str, note: str, choice: Choice[Any] | None = None) -> None:
        self.steps.append(step)
        record = KernelRecord(step.label, kernel, self.nodes, note, operand_bytes=self._operand_bytes(step))
        if choice is not None:
            flop = choice.flop if isinstance(choice.flop, int) else 0
            record = replace(record, variants=choice.variants, peak_share=choice.peak_share, flop=flop)
        self.records.append(record)

    def _operand_bytes(self, step: Step) -> int:
        """Bytes of all that a step reads and writes; 0 where a size is known only when running."""
        total: Dim = 0
        for buffer in (self.buffers[number] for number in (*step.inputs, *step.outputs) if number >= 0):
            total = total + product(buffer.shape) * TYPE_SIZES[buffer.dtype]
        return total if isinstance(total, int) else 0

    def trace(self, operation: Operation) -> None:
        """Note where the results of an operation lie, for the dumper."""
        if not self.steps or self._depth:
            return
        for value in operation.results:
            if value in self._views:
                self.traces.append(Trace(len(self.steps) - 1, self._views[value][0], operation.name, self.nodes))

    def finish(self) -> Program:
        """Put every output into its place and close the program."""
        self.current = ()
        for index, value in enumerate(self.part.outputs):
            view = self.view(value)
            buffer = self.buffers[view.buffer]
            if buffer.space == "output" and buffer.index == index and view.is_dense:
                continue
            shape = shape_of(value)
            target = self._buffer(Buffer("output", index, tensor_type(value).dtype.text, shape))
            self.reordered(view, tensor_type(value).dtype.text, range(len(shape)), target)
        self._drop_unread()
        self._work_in_place()
        borders = len(self.part.arguments), len(self.part.outputs)
        return Program(tuple(self.buffers), tuple(self.steps), *borders, tuple(self.loops))

    def _drop_unread(self) -> None:
        """Leave out steps whose results nobody reads, such as shapes that were known while building."""
        read: set[int] = set()
        kept: list[int] = []
        for number in range(len(self.steps) - 1, -1, -1):
            for loop in self.loops:
                if number == loop.last - 1:  # A step may be read by one before it, in the next repetition.
                    read |= self._read_by(range(loop.first, loop.last))
            step = self.steps[number]
            written = [self.buffers[output] for output in step.outputs if output >= 0]
            if any(buffer.space == "output" or buffer.index in read for buffer in written):
                kept.append(number)
                read |= self._read_by([number])
        kept.reverse()
        renumbered = {old: new for new, old in enumerate(kept)}
        self.loops = [
            replace(loop, first=bisect_left(kept, loop.first), last=bisect_left(kept, loop.last)) for loop in self.loops
        ]
        self.steps = [self.steps[number] for number in kept]
        self.records = [self.records[number] for number in kept]
        self.traces = [replace(t, step=renumbered[t.step]) for t in self.traces if t.step in renumbered]
        names = list(self.sources)
        used = sorted({int(step.kernel[7:]) for step in self.steps if step.kernel.startswith("object:")})
        self.sources = {names[number]: self.sources[names[number]] for number in used}
        order = {f"object:{old}": f"object:{new}" for new, old in enumerate(used)}
        self.steps = [replace(step, kernel=order.get(step.kernel, step.kernel)) for step in self.steps]

    def _work_in_place(self) -> None:
        """Let results take the memory of an operand whose last reader computes them, where its kernel can."""
        sources = list(self.sources.values())
        uses: dict[int, list[int]] = {}  # of each piece of the arena, the steps, one for each operand
        for number, step in enumerate(self.steps):
            for buffer in (self.buffers[operand] for operand in (*step.inputs, *step.outputs) if operand >= 0):
                if buffer.space == "arena":
                    uses.setdefault(buffer.index, []).append(number)
        repeated = {number for loop in self.loops for number in range(loop.first, loop.last)}
        for number, step in enumerate(self.steps):
            origin, _, kernel = step.kernel.partition(":")
            if origin != "object" or number in repeated:
                continue
            target = self.buffers[step.outputs[0]]
            for position in sources[int(kernel)].in_place:
                operand = self.buffers[step.inputs[position]]
                if (
                    operand.space == target.space == "arena"
                    and operand.index != target.index
                    and (operand.dtype, product(operand.shape)) == (target.dtype, product(target.shape))
                    and uses[operand.index][-1] == number
                    and uses[operand.index].count(number) == 1
                    and uses[target.index][0] == number
                ):
                    self.steps[number] = replace(step, in_place=position)
                    break

    def _read_by(self, numbers: Iterable[int]) -> set[int]:
        """Pieces of the arena that steps read."""
        buffers = (self.buffers[source] for number in numbers for source in self.steps[number].inputs if source >= 0)
        return {buffer.index for buffer in buffers if buffer.space == "arena"}

    # --- estimates --------------------------------------------------------------------------------------------------

    def estimate(self, dim: Dim) -> int:
        """A dimension's value for cost estimates, symbols taken from their range."""
        bindings: dict[str, Dim] = {
            name: self.dim_range[name][1] if name in self.dim_range else SYMBOL_GUESS for name in symbols(dim)
        }
        return evaluate_int(dim, bindings)

    def elements(self, shape: Sequence[Dim]) -> int:
        """The estimated number of elements."""
        return prod(max(self.estimate(dim), 0) for dim in shape)


TYPE_SIZES: Mapping[str, int] = {dtype.text: dtype.itemsize for dtype in DTYPES}


def tensor_type(value: Value) -> TensorType:
    """A value's type; everything inside a part is a tensor."""
    assert isinstance(value.type, TensorType)
    return value.type


def shape_of(value: Value) -> Shape:
    """A value's shape; CompileError for an unknown rank."""
    shape = tensor_type(value).shape
    if shape is None:
        raise CompileError("a tensor of unknown rank reached the CPU backend")
    return shape


def outside(value: Value, alias: Mapping[Value, Value | None] | None) -> Value:
    """What a region's argument stands for; other values stand for themselves."""
    found = alias.get(value) if alias else None
    return value if found is None else found


def _aligned(array: Array) -> Array:
    """The array where an engine reads it in place; else each engine of a model that was just built would copy it."""
    copy = aligned_empty(as_dtype(array.dtype), array.shape)
    copy[...] = array
    return copy


def constant_data(value: Value | None) -> TensorData | None:
    """The data of a constant value; None for others."""
    operation = None if value is None else value.defining_op
    if operation is None or operation.name != "mm.constant":
        return None
    data: TensorData = operation.attributes["value"]
    return data
