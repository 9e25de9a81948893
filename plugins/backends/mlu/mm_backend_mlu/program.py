"""What a compiled part runs: buffers and launches of kernels, all of known sizes. Stored in the model as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal, get_args

from mm_core.errors import InputError, ModelFileError
from mm_core.serial import check_fields, check_list
from mm_core.types import DType, as_dtype

Space = Literal["input", "output", "constant", "workspace"]
_SPACES: tuple[str, ...] = get_args(Space)

BLOCK = 0
"""The kind of a launch whose tasks share nothing. A kind of N > 0 is a union of N clusters, which start together."""
UNION_KINDS = (1, 2, 4, 8)
ALIGNMENT = 64
"""Of every buffer in device memory, in bytes."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A stretch of device memory of `size` bytes that kernels are handed.

    `index` says which input, output or constant it is; in the workspace, of which there is one, it is 0. `offset` is in
    bytes from the start of that memory.
    """

    space: Space
    index: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel of the part's object, by number, on `buffers`; `written` are the positions among them that it writes.

    `tasks` is how many tasks have work: the dimension of the launch is this or what the device has, rounded up to whole
    clusters. `label` and `nodes` name the user's nodes in errors and profiles.
    """

    kernel: int
    buffers: tuple[int, ...]
    written: tuple[int, ...]
    kind: int
    tasks: int
    label: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A result as the user knows it: the launch after which it is complete, its buffer, element type and logical shape.

    `strides` are in elements: a result that lies channels last, or padded, is read as what it means.
    """

    launch: int
    buffer: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    label: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Element type and shape of an input or output of the part, dense and row-major in device memory."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * as_dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Program:
    """A part: launches in the order they run.

    `arch` is the architecture that the kernels were generated for, `clusters` the numbers of clusters that they may be
    spread over, ascending; empty: any. `constants` are bytes of each constant.
    """

    arch: str
    clusters: tuple[int, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    constants: tuple[int, ...]
    workspace: int
    buffers: tuple[Buffer, ...]
    launches: tuple[Launch, ...]
    traces: tuple[Trace, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and text; `from_json` gives an equal program."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_json(cls, data: object) -> Program:
        """The program that `to_json` gave. Every index and offset is checked: ModelFileError for anything else."""
        lists = ("clusters", "inputs", "outputs", "constants", "buffers", "launches", "traces")
        fields = check_fields(data, _WHERE, {"arch": str, "workspace": int, **dict.fromkeys(lists, list)})
        program = cls(
            fields["arch"],
            _integers(fields["clusters"]),
            tuple(_tensor(item) for item in fields["inputs"]),
            tuple(_tensor(item) for item in fields["outputs"]),
            _integers(fields["constants"]),
            fields["workspace"],
            tuple(_buffer(item) for item in fields["buffers"]),
            tuple(_launch(item) for item in fields["launches"]),
            tuple(_trace(item) for item in fields["traces"]),
        )
        program.verify()
        return program

    def verify(self) -> None:
        """ModelFileError where a buffer lies outside its memory, or a launch or trace names what does not exist."""
        if min(self.clusters, default=1) < 1 or min(self.workspace, *self.constants, 0) < 0:
            raise _damaged("a number of clusters or the size of a memory is not positive")
        memories: dict[str, tuple[int, ...]] = {
            "input": tuple(tensor.size for tensor in self.inputs),
            "output": tuple(tensor.size for tensor in self.outputs),
            "constant": self.constants,
            "workspace": (self.workspace,),
        }
        for buffer in self.buffers:
            sizes = memories[buffer.space]
            if buffer.index not in range(len(sizes)) or buffer.offset < 0 or buffer.size < 0:
                raise _damaged(f"a buffer names {buffer.space} {buffer.index}, which does not exist")
            if buffer.offset % ALIGNMENT or buffer.offset + buffer.size > sizes[buffer.index]:
                raise _damaged(f"a buffer lies outside of {buffer.space} {buffer.index}")
        for launch in self.launches:
            _check_launch(launch, self.buffers)
        for trace in self.traces:
            _check_trace(trace, self)


def _check_launch(launch: Launch, buffers: tuple[Buffer, ...]) -> None:
    if any(number not in range(len(buffers)) for number in launch.buffers):
        raise _damaged(f"the launch of {launch.label} names a buffer that does not exist")
    if any(position not in range(len(launch.buffers)) for position in launch.written):
        raise _damaged(f"the launch of {launch.label} writes a buffer that it is not handed")
    if any(buffers[launch.buffers[place]].space in ("input", "constant") for place in launch.written):
        raise _damaged(f"the launch of {launch.label} writes an input or a constant")
    if launch.kernel < 0 or launch.tasks < 1 or launch.kind not in (BLOCK, *UNION_KINDS):
        raise _damaged(f"the launch of {launch.label} has a wrong kernel, kind or number of tasks")


def _check_trace(trace: Trace, program: Program) -> None:
    if trace.launch not in range(len(program.launches)) or trace.buffer not in range(len(program.buffers)):
        raise _damaged(f"the result {trace.label} names a launch or buffer that does not exist")
    if len(trace.shape) != len(trace.strides) or min((*trace.shape, *trace.strides), default=0) < 0:
        raise _damaged(f"the result {trace.label} has sizes or strides that cannot be")
    if max(trace.strides, default=0) > program.buffers[trace.buffer].size:
        raise _damaged(f"the result {trace.label} has strides beyond its buffer")
    last = sum((size - 1) * stride for size, stride in zip(trace.shape, trace.strides))
    # A stride of 0 could make more of a buffer than any memory holds.
    reached = max(last + 1, prod(trace.shape)) if prod(trace.shape) else 0
    if reached * _dtype(trace.dtype).itemsize > program.buffers[trace.buffer].size:
        raise _damaged(f"the result {trace.label} lies beyond its buffer")


_WHERE = "mlu program"


def _damaged(what: str) -> ModelFileError:
    return ModelFileError(f"the part is damaged: {what}", where=_WHERE, remedy="build the model again")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _integers(value: object) -> tuple[int, ...]:
    return tuple(check_list(value, _WHERE, int))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(check_list(value, _WHERE, str))


def _dtype(text: str) -> DType:
    try:
        dtype = as_dtype(text)
    except InputError as error:
        raise _damaged(f"the element type {text!r} does not exist") from error
    if dtype.kind == "string":
        raise _damaged("a tensor of strings, which devices do not hold")
    return dtype


def _tensor(item: object) -> Tensor:
    fields = check_fields(item, _WHERE, {"dtype": str, "shape": list})
    shape = _integers(fields["shape"])
    if min(shape, default=0) < 0:
        raise _damaged(f"a tensor of shape {list(shape)}")
    _dtype(fields["dtype"])
    return Tensor(fields["dtype"], shape)


def _buffer(item: object) -> Buffer:
    fields = check_fields(item, _WHERE, {"space": str, "index": int, "offset": int, "size": int})
    if fields["space"] not in _SPACES:
        raise _damaged(f"there is no memory called {fields['space']!r}")
    return Buffer(**fields)


def _launch(item: object) -> Launch:
    numbers = {"kernel": int, "kind": int, "tasks": int}
    lists = dict.fromkeys(("buffers", "written", "nodes"), list)
    fields = check_fields(item, _WHERE, {**numbers, **lists, "label": str})
    return Launch(
        fields["kernel"],
        _integers(fields["buffers"]),
        _integers(fields["written"]),
        fields["kind"],
        fields["tasks"],
        fields["label"],
        _texts(fields["nodes"]),
    )


def _trace(item: object) -> Trace:
    lists = dict.fromkeys(("shape", "strides", "nodes"), list)
    fields = check_fields(item, _WHERE, {"launch": int, "buffer": int, "dtype": str, "label": str, **lists})
    return Trace(
        fields["launch"],
        fields["buffer"],
        fields["dtype"],
        _integers(fields["shape"]),
        _integers(fields["strides"]),
        fields["label"],
        _texts(fields["nodes"]),
    )
