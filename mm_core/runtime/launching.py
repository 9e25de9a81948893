"""What stands between a plan and a device: the sizes of a part, and the check that what is launched fits its code.

Native code trusts the sizes it was bound to. Values may come from control flow, from host operations and from sizes
that only running told, so each launch compares them; how far a program says that it reaches is compared once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from mm_core.device import HOST, Bound, Buffer, Event
from mm_core.errors import InputError, ModelFileError
from mm_core.model.plan import PartInfo
from mm_core.runtime.binding import solve_sizes
from mm_core.types import DType, TensorType, ValueType, evaluate, symbols

if TYPE_CHECKING:
    from mm_core.runtime.engine import LoadedPart


@dataclass(slots=True)
class Tensor:
    """A tensor in some memory space, and the event after which it may be read (None: now)."""

    buffer: Buffer
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A bound program, and the element type and shape (None: any) of each of its inputs."""

    bound: Bound
    inputs: tuple[tuple[DType, tuple[int, ...] | None], ...]

    def check(self, values: Sequence[Any], part: LoadedPart) -> None:
        """InputError unless `values` are what the program was bound for."""
        for index, (value, (dtype, shape)) in enumerate(zip(values, self.inputs)):
            buffer = value.buffer if isinstance(value, Tensor) else None
            if (
                buffer is None
                or buffer.dtype is not dtype
                or (buffer.shape != shape and shape is not None)
                or (buffer.array is None and part.space == HOST)
            ):
                found = "no tensor of its memory" if buffer is None else f"{buffer.dtype}{list(buffer.shape)}"
                wanted = f"{dtype}{'' if shape is None else list(shape)}"
                raise InputError(
                    f"the value for {part.info.inputs[index]} is {found} where {wanted} is expected",
                    where=f"input {index} of a part",
                    remedy="check the sizes that the inputs lead to",
                )


def make_ready(bound: Bound, info: PartInfo, sizes: Mapping[str, int]) -> Ready:
    """The program with its inputs' sizes. ModelFileError if it does not fit what the plan says of the part."""
    inputs = tuple(_border(type_, sizes) for type_ in info.inputs)
    outputs = tuple(_border(type_, sizes) for type_ in info.outputs)
    if len(bound.output_shapes) != len(outputs):
        raise _misfit(f"it has {len(bound.output_shapes)} results, the plan {len(outputs)}")
    for (dtype, planned), shape in zip(outputs, bound.output_shapes):
        if None not in (planned, shape) and planned != shape:
            raise _misfit(f"a result of it is {dtype}{list(shape or ())}, the plan's is {list(planned or ())}")
    made = tuple((dtype, shape) for (dtype, _), shape in zip(outputs, bound.output_shapes))
    _compare(inputs, bound.input_bytes, "reads")
    _compare(made, bound.output_bytes, "writes")
    return Ready(bound, inputs)


def part_dims(info: PartInfo, inputs: Sequence[Any], dims: Mapping[str, int]) -> dict[str, int]:
    """Sizes of a part's symbols: those bound before, and those that the actual shapes of its inputs tell."""
    unknown = [
        (dim, size, "a value that only running gave its size")
        for type_, value in zip(info.inputs, inputs)
        if isinstance(type_, TensorType) and isinstance(value, Tensor)
        for dim, size in zip(type_.shape or (), value.buffer.shape)
        if not isinstance(dim, int) and not symbols(dim) <= dims.keys()
    ]
    known = solve_sizes(unknown, dims) if unknown else dims
    return {name: known[name] for name in info.symbols if name in known}


def _border(type_: ValueType, sizes: Mapping[str, int]) -> tuple[DType, tuple[int, ...] | None]:
    """Element type and shape of a part's input or output; None where the shape has unknown sizes."""
    assert isinstance(type_, TensorType)
    shape = tuple(evaluate(dim, sizes) for dim in type_.shape or ())
    known = tuple(dim for dim in shape if isinstance(dim, int))
    return type_.dtype, known if type_.shape is not None and len(known) == len(shape) else None


def _compare(
    border: Sequence[tuple[DType, tuple[int, ...] | None]], reached: tuple[int, ...] | None, verb: str
) -> None:
    """ModelFileError if a program reaches beyond what its border provides."""
    if reached is None:
        return
    if len(reached) != len(border):
        raise _misfit(f"it {verb} {len(reached)} values, the plan has {len(border)}")
    for nbytes, (dtype, shape) in zip(reached, border):
        # Strings are objects in memory, which no native code may touch.
        size = 0 if shape is None or dtype.kind == "string" else prod(shape) * dtype.itemsize
        if nbytes > size:
            raise _misfit(f"it {verb} {nbytes} bytes of {dtype}{list(shape or ())}")


def _misfit(what: str) -> ModelFileError:
    return ModelFileError(f"a part's code does not fit the plan: {what}", remedy="build the model again")
