"""What one request runs: buffers and steps, stored in the model and bound to sizes when these are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mm_backend_cpu import native
from mm_core.errors import DeviceError, InputError, ModelFileError
from mm_core.memory import Interval, plan
from mm_core.serial import check_fields
from mm_core.types import Dim, as_dtype, evaluate_int, parse_dim

Space = Literal["arena", "constant", "input", "output"]

_MAGIC = 0x4D4D435055303031
_SPACES: tuple[str, ...] = get_args(Space)
_ORIGINS = ("library", "object")
_ARENA_END = -1  # Stands among pieces of the arena for the end of the last one.
_KEPT_PLANS = 16
_ALIGNMENT = 64  # bytes: sizes and offsets in the arena are multiples of it
_EIGHTHS = 8  # Plans are scaled by multiples of an eighth, so that sizes beside each other have arenas of one size.
_MOST_WASTE = 4  # A scaled plan may have at most one part in so many more than the sizes need.


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor of a program, dense and row-major in its (physical) shape.

    `index` says which constant, input or output it is. In the arena it names a piece of memory: buffers of one index
    share it, which makes one a view of the other. `dtype` is the element type's text (`f32`).
    """

    space: Space
    index: int
    dtype: str
    shape: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel: `library:<name>` or `object:<number>`, with numbers of the buffers it reads and writes (-1: absent).

    `tasks` is how many independent pieces its work has (-1 for library kernels, which know), `scratch` the bytes that
    each thread needs beside, `label` names the user's nodes in errors and profiles. With `in_place` the first output
    takes the memory of that input, which nobody reads afterwards.
    """

    kernel: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: tuple[Dim, ...] = ()
    tasks: Dim = -1
    scratch: Dim = 0
    label: str = ""
    in_place: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A buffer that lies elsewhere in each repetition of a loop: first at element `start`, then `step` further on."""

    buffer: int
    start: Dim
    step: Dim


@dataclass(frozen=True, slots=True)
class Loop:
    """The steps from `first` to before `last` run `repetitions` times. Loops may lie inside each other."""

    first: int
    last: int
    repetitions: Dim
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundProgram:
    """A program whose sizes are known: the executor's words, the arena's bytes, and where its pieces lie.

    `reached` gives for each (space, index) outside the arena the bytes that the largest buffer there has.
    """

    words: npt.NDArray[np.int64]
    arena_bytes: int
    offsets: Mapping[int, int]
    reached: Mapping[tuple[Space, int], int]


@dataclass(frozen=True, slots=True)
class Program:
    """Steps in the order they run, over buffers. Sizes may be symbolic. An outer loop comes before those inside it."""

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    n_inputs: int
    n_outputs: int
    loops: tuple[Loop, ...] = ()

    @property
    def n_constants(self) -> int:
        return 1 + max((buffer.index for buffer in self.buffers if buffer.space == "constant"), default=-1)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(step.label for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and text; `from_json` gives an equal program."""
        return {
            "n_inputs": self.n_inputs,
            "n_outputs": self.n_outputs,
            "buffers": [[b.space, b.index, b.dtype, _dims_to_json(b.shape)] for b in self.buffers],
            "steps": [
                [
                    s.kernel,
                    list(s.inputs),
                    list(s.outputs),
                    _dims_to_json(s.params),
                    _dims_to_json((s.tasks, s.scratch)),
                    s.label,
                    *([] if s.in_place is None else [s.in_place]),
                ]
                for s in self.steps
            ],
            "loops": [
                [
                    loop.first,
                    loop.last,
                    *_dims_to_json((loop.repetitions,)),
                    [[move.buffer, *_dims_to_json((move.start, move.step))] for move in loop.moves],
                ]
                for loop in self.loops
            ],
        }

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """Reads what `to_json` wrote. ModelFileError for anything else; numbers are checked again when it is bound."""
        try:
            fields = check_fields(
                data, "cpu", {"n_inputs": int, "n_outputs": int, "buffers": list, "steps": list, "loops": list}
            )
            buffers = tuple(
                Buffer(_space(space), _integer(index), as_dtype(_text(dtype)).text, _dims_from_json(shape))
                for space, index, dtype, shape in fields["buffers"]
            )
            steps = tuple(
                Step(
                    _text(kernel),
                    _operands(inputs, len(buffers)),
                    _operands(outputs, len(buffers)),
                    _dims_from_json(params),
                    tasks,
                    scratch,
                    _text(label),
                    _place(in_place, inputs, outputs),
                )
                for kernel, inputs, outputs, params, size, label, *in_place in fields["steps"]
                for tasks, scratch in [_dims_from_json(size)]
            )
            loops = tuple(
                Loop(
                    _integer(first),
                    _integer(last),
                    dim_from_json(repetitions),
                    tuple(
                        Move(*_operands([buffer], len(buffers)), *_dims_from_json(places)) for buffer, *places in moves
                    ),
                )
                for first, last, repetitions, moves in fields["loops"]
            )
            if not all(0 <= loop.first <= loop.last <= len(steps) for loop in loops):
                raise ValueError("a loop reaches beyond the steps")
        except (TypeError, ValueError, InputError, ModelFileError) as error:
            raise damaged(str(error)) from error
        return cls(buffers, steps, fields["n_inputs"], fields["n_outputs"], loops)

    def bind(self, dims: Mapping[str, int], *, keep: bool = False) -> BoundProgram:
        """Puts sizes in place of symbols, and plans the arena; with `keep` no piece of it is used twice.

        Raises InputError if `dims` lacks a symbol, DeviceError if the library lacks a kernel, ModelFileError if a size
        comes out negative or beyond any memory.
        """
        return Binder(self).bind(dims, keep=keep)


class _Words:
    """Words of which some wait for sizes or for offsets in the arena."""

    def __init__(self) -> None:
        self.dims: dict[Dim, int] = {}  # Every size that is not known, and its number.
        self._words: list[int] = []
        self._sizes: list[tuple[int, int]] = []  # Places of words, and the number of the size to put there.
        self._offsets: list[tuple[int, int]] = []  # Places of words, and the piece of the arena whose offset it is.

    def add(self, *dims: Dim) -> None:
        """Append sizes."""
        for dim in dims:
            if not isinstance(dim, int):
                self._sizes.append((len(self._words), self.number(dim)))
            self._words.append(dim if isinstance(dim, int) else 0)

    def add_offset(self, piece: int) -> None:
        """Append the offset of a piece of the arena."""
        self._offsets.append((len(self._words), piece))
        self._words.append(0)

    def number(self, dim: Dim) -> int:
        """The number of a size."""
        return self.dims.setdefault(dim, len(self.dims))

    def filled(self, sizes: Sequence[int], offsets: Mapping[int, int]) -> npt.NDArray[np.int64]:
        """The words with sizes, by number, and offsets in their places. OverflowError for one beyond 64 bits."""
        template, (size_places, which_sizes), (offset_places, pieces) = self._arrays
        words = template.copy()
        words[size_places] = np.array(sizes, np.int64)[which_sizes]
        words[offset_places] = [offsets[piece] for piece in pieces.tolist()]
        return words

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The words with zeros in open places; for sizes and for offsets, the places and what belongs there."""
        sizes, offsets = (np.array(pairs, np.int64).reshape(-1, 2).T for pairs in (self._sizes, self._offsets))
        return np.array(self._words, np.int64), sizes, offsets


class Binder:
    """Puts sizes in place of a program's symbols, as often as they change. What sizes have no part in is done once.

    The arena of the first sizes is planned. That of others is the same plan on another scale where this wastes little,
    as it does where all grow alike: the next token of a text needs no new plan.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        words = self._words = _Words()
        buffers = program.buffers
        words.add(_MAGIC, native.ABI, program.n_inputs, program.n_outputs, program.n_constants)
        words.add_offset(_ARENA_END)
        words.add(len(buffers), len(program.steps), len(program.loops))
        for buffer in buffers:
            words.add(_SPACES.index(buffer.space))
            if buffer.space == "arena":
                words.add_offset(buffer.index)
            else:
                words.add(buffer.index)
            words.add(native.dtype_code(buffer.dtype), len(buffer.shape), *buffer.shape)
        for step in program.steps:
            words.add(*_kernel_words(step), len(step.inputs), len(step.outputs), *step.inputs, *step.outputs)
            words.add(len(step.params), *step.params, step.tasks, step.scratch)
        moving = {move.buffer for loop in program.loops for move in loop.moves}
        # The places that have a buffer of a shape, and the bytes of one of its elements.
        self._shapes: dict[tuple[Dim, ...], list[tuple[tuple[Space, int], int]]] = {}
        for number, buffer in enumerate(buffers):
            places = self._shapes.setdefault(buffer.shape, [])
            element = (buffer.space, buffer.index), as_dtype(buffer.dtype).itemsize
            if number not in moving and element not in places:
                places.append(element)
        self._spans = self._live_spans()
        self._shared = self._shared_pieces()
        self._plans: deque[_Plan] = deque(maxlen=_KEPT_PLANS)

    def bind(self, dims: Mapping[str, int], *, keep: bool = False) -> BoundProgram:
        """As `Program.bind`."""
        values = {dim: evaluate_int(dim, dims) for dim in self._words.dims}
        reached: dict[tuple[Space, int], int] = {}
        for shape, places in self._shapes.items():
            known = [dim if isinstance(dim, int) else values[dim] for dim in shape]
            if min(known, default=0) < 0:
                raise damaged(f"a buffer has the shape {known}")
            count = prod(known)
            for place, itemsize in places:
                reached[place] = max(reached.get(place, 0), count * itemsize)
        loops = self._bind_loops(dims, reached)
        sizes = {index: nbytes for (space, index), nbytes in sorted(reached.items()) if space == "arena"}
        try:
            offsets, arena_bytes = self._placed(sizes, keep)
            ends = {**offsets, _ARENA_END: arena_bytes}
            words = np.concatenate([self._words.filled(list(values.values()), ends), np.array(loops, np.int64)])
        except OverflowError as error:
            raise damaged("a size is beyond 64 bits") from error
        return BoundProgram(words, arena_bytes, offsets, reached)

    def _bind_loops(self, dims: Mapping[str, int], reached: dict[tuple[Space, int], int]) -> list[int]:
        """The words of all loops; `reached` grows by how far buffers move."""
        words: list[int] = []
        for loop in self.program.loops:
            repetitions = evaluate_int(loop.repetitions, dims)
            words += [loop.first, loop.last, repetitions, len(loop.moves)]
            for move in loop.moves:
                buffer = self.program.buffers[move.buffer]
                itemsize = as_dtype(buffer.dtype).itemsize
                start, step = (evaluate_int(dim, dims) * itemsize for dim in (move.start, move.step))
                last = start + step * (repetitions - 1)
                if repetitions > 0:
                    if min(start, last) < 0:
                        raise damaged("a buffer moves in front of its start")
                    place = buffer.space, buffer.index
                    end = max(start, last) + prod(evaluate_int(dim, dims) for dim in buffer.shape) * itemsize
                    reached[place] = max(reached.get(place, 0), end)
                words += [move.buffer, max(start, 0), step]
        return words

    def _live_spans(self) -> dict[int, tuple[int, int]]:
        """The first and the last step in which each piece of the arena is used."""
        program = self.program
        uses: dict[int, list[int]] = {}
        for number, step in enumerate(program.steps):
            for operand in (*step.inputs, *step.outputs):
                if operand >= 0 and program.buffers[operand].space == "arena":
                    uses.setdefault(program.buffers[operand].index, []).append(number)
        # What a loop shares with the steps around it must last as long as the loop does.
        for loop in reversed(program.loops):
            for numbers in uses.values():
                inside = [number for number in numbers if loop.first <= number < loop.last]
                if inside and len(inside) < len(numbers):
                    numbers += [loop.first, loop.last - 1]
        return {piece: (min(numbers), max(numbers)) for piece, numbers in uses.items()}

    def _shared_pieces(self) -> dict[int, int]:
        """Of each piece that a step working in place makes, the one whose memory it takes."""
        shared: dict[int, int] = {}
        for step in self.program.steps:
            if step.in_place is not None:
                source, target = (self.program.buffers[n] for n in (step.inputs[step.in_place], step.outputs[0]))
                if source.space == target.space == "arena":
                    shared[target.index] = source.index
        return shared

    def _placed(self, sizes: Mapping[int, int], keep: bool) -> tuple[dict[int, int], int]:
        """The offset of each piece of the arena and the bytes of all; `sizes` has the bytes of each."""
        whole = 0, len(self.program.steps)
        spans = [whole if keep else self._spans.get(piece, whole) for piece in sizes]
        units = np.array([-(-size // _ALIGNMENT) for size in sizes.values()], np.int64)
        for known in () if keep else self._plans:
            eighths = known.scale_for(units)
            if eighths is not None:
                return known.scaled(sizes, eighths)
        places = {piece: place for place, piece in enumerate(sizes)}
        shared = {} if keep else self._shared
        intervals = [
            Interval(size, *span, alias=places.get(shared.get(piece, _ARENA_END)))
            for (piece, size), span in zip(sizes.items(), spans, strict=True)
        ]
        exact = plan(intervals, _ALIGNMENT)
        if not keep:
            self._plans.append(_Plan(units, np.array(exact.offsets, np.int64) // _ALIGNMENT, exact.size // _ALIGNMENT))
        return dict(zip(sizes, exact.offsets, strict=True)), exact.size


@dataclass(frozen=True, slots=True)
class _Plan:
    """Sizes and offsets of the pieces of an arena and the size of it all, in units of its alignment.

    Times any factor, and rounded down, the offsets are a plan for sizes up to as many times as large: what ends
    where another begins still does so at the latest.
    """

    sizes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    end: int

    def scale_for(self, sizes: npt.NDArray[np.int64]) -> int | None:
        """The least factor, in eighths, that makes room for these sizes; None where it would waste too much."""
        if (sizes[self.sizes == 0] > 0).any():
            return None
        factors = -(-sizes * _EIGHTHS // np.maximum(self.sizes, 1))
        eighths = int(factors.max(initial=0))
        room, needed = int(self.sizes.sum()) * eighths, int(sizes.sum()) * _EIGHTHS
        return eighths if room * _MOST_WASTE <= needed * (_MOST_WASTE + 1) else None

    def scaled(self, pieces: Iterable[int], eighths: int) -> tuple[dict[int, int], int]:
        """Offset of each piece and size of the arena in bytes."""
        offsets = self.offsets * eighths // _EIGHTHS * _ALIGNMENT
        return dict(zip(pieces, offsets.tolist(), strict=True)), -(-self.end * eighths // _EIGHTHS) * _ALIGNMENT


def run_kernel(
    name: str,
    inputs: Sequence[npt.NDArray[Any] | None],
    outputs: Sequence[tuple[Any, tuple[int, ...]]],
    params: Sequence[int] = (),
    *,
    threads: int = 1,
) -> list[npt.NDArray[Any]]:
    """One library kernel on arrays, for tests and tools. `outputs` are (dtype, shape); all of them are returned."""
    buffers: list[Buffer] = []
    operands: list[int] = []
    present = [array for array in inputs if array is not None]
    for array in inputs:
        operands.append(-1 if array is None else len(buffers))
        if array is not None:
            buffers.append(Buffer("input", len(buffers), as_dtype(array.dtype).text, array.shape))
    for number, (dtype, shape) in enumerate(outputs):
        buffers.append(Buffer("output", number, as_dtype(dtype).text, shape))
    written = tuple(range(len(present), len(buffers)))
    step = Step(f"library:{name}", tuple(operands), written, tuple(params), label=name)
    bound = Program(tuple(buffers), (step,), len(present), len(outputs)).bind({})
    program = native.NativeProgram(bound.words, labels=(name,))
    arena = native.aligned(program.arena_bytes(threads))
    sources = [np.ascontiguousarray(array) for array in present]
    results = [np.empty(shape, as_dtype(dtype).numpy) for dtype, shape in outputs]
    program.run(arena.ctypes.data, [a.ctypes.data for a in sources], [r.ctypes.data for r in results], threads)
    return results


def _kernel_words(step: Step) -> tuple[int, int]:
    """Where a step's kernel comes from, and its number there."""
    origin, _, name = step.kernel.partition(":")
    if origin == "object" and name.isdigit():
        return _ORIGINS.index(origin), int(name)
    if origin == "library" and name in native.kernel_numbers():
        return _ORIGINS.index(origin), native.kernel_numbers()[name]
    raise DeviceError(
        f"there is no kernel {step.kernel!r}",
        where=step.label or "cpu",
        available=", ".join(native.kernel_numbers()),
        remedy="install the version of mm-backend-cpu that the model was built with",
    )


def _dims_to_json(dims: Sequence[Dim]) -> list[int | str]:
    return [dim if isinstance(dim, int) else str(dim) for dim in dims]


def damaged(what: str) -> ModelFileError:
    """The error for a program that no compiler can have written."""
    return ModelFileError(f"the CPU program is damaged: {what:.200}", where="cpu", remedy="build the model again")


def dim_from_json(value: Any) -> Dim:
    """A size: an integer or the text of an expression. ValueError for anything else."""
    return parse_dim(value) if isinstance(value, str) else _integer(value)


def _dims_from_json(dims: Any) -> tuple[Dim, ...]:
    return tuple(map(dim_from_json, dims))


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{type(value).__name__} where an integer belongs")
    return value


def _place(value: list[Any], inputs: Sequence[int], outputs: Sequence[int]) -> int | None:
    """The position of an input whose memory the first output takes, in a list that may be empty."""
    if not value:
        return None
    (position,) = map(_integer, value)
    if position not in range(len(inputs)) or inputs[position] < 0 or not outputs or outputs[0] < 0:
        raise ValueError("a step works in place of an operand that it does not have")
    return position


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{type(value).__name__} where text belongs")
    return value


def _operands(values: Any, count: int) -> tuple[int, ...]:
    if not all(-1 <= _integer(value) < count for value in values):
        raise ValueError(f"a step names a buffer that is none of {count}")
    return tuple(values)


def _space(value: str) -> Space:
    if value not in _SPACES:
        raise ValueError(f"there is no space {value!r}")
    return value  # type: ignore[return-value]
