"""The reference backend, run half: an interpreter over the operators' numpy references. Synchronous, on the host."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mm_core.device import (
    Backend,
    Bound,
    Buffer,
    Device,
    DeviceInfo,
    HostDevice,
    HostQueue,
    Observer,
    Program,
    Queue,
)
from mm_core.errors import DeviceError, InputError, MMError, ModelFileError
from mm_core.ir import Graph, Network, Operation, Value
from mm_core.model import Executable
from mm_core.serial import check_list
from mm_core.types import Array, TensorData, TensorType, as_dtype

if TYPE_CHECKING:
    from mm_core.compiler import Compiler

_DESCRIPTION = f"numpy {np.__version__} interpreter"


class ReferenceBackend(Backend):
    """The entry point. Importing it loads no compiler; there is always one device."""

    name = "reference"

    def probe(self) -> Sequence[DeviceInfo]:
        return (DeviceInfo("reference:0", _DESCRIPTION),)

    def open(self, name: str) -> Device:
        return ReferenceDevice(self.find(name).name, _DESCRIPTION)

    def compiler(self, target: Mapping[str, str]) -> Compiler:
        from mm_backend_reference.compiler import ReferenceCompiler

        return ReferenceCompiler()


class ReferenceDevice(HostDevice):
    """Host memory; an executable is the text of its part."""

    def load(self, executable: Executable, constants: Sequence[Array], threads: int | None) -> Program:
        keys = check_list(executable.manifest.get("keys"), self.name, str)
        weights = {key: TensorData.of(array, key=key) for key, array in zip(keys, constants)}
        try:
            network = Network.from_text(executable.code.decode(), weights)
            network.verify()
            if missing := network.weights().keys() - weights.keys():
                raise ModelFileError(f"it has no weight {min(missing)!r}")
        except (MMError, UnicodeDecodeError) as error:
            raise ModelFileError(f"the part is damaged: {error}", where=self.name, remedy="build it again") from error
        return ReferenceProgram(network)

    def create_queue(self) -> Queue:
        return ReferenceQueue()


class ReferenceProgram(Program):
    """A part, ready to be interpreted. Sizes of results are known only after running."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def bind(self, dims: Mapping[str, int]) -> Bound:
        arguments = self.network.arguments
        return Bound((None,) * len(self.network.outputs), 0, self.network, input_bytes=(0,) * len(arguments))


class ReferenceQueue(HostQueue):
    """Everything is finished when the call returns."""

    def run(
        self,
        bound: Bound,
        inputs: Sequence[Buffer | None],
        outputs: Sequence[Buffer | None],
        workspace: Buffer | None,
        observer: Observer | None,
    ) -> Sequence[Buffer]:
        arrays = [None if buffer is None else buffer.array for buffer in inputs]
        held = [array for array in arrays if array is not None]
        produced = []
        for array in interpret(bound.handle, arrays, observer):
            if not array.flags.writeable or any(np.may_share_memory(array, other) for other in held):
                array = array.copy()  # A view of an operand or a constant: results are memory of their own.
            held.append(array)
            produced.append(Buffer(as_dtype(array.dtype), array.shape, array))
        return produced


def interpret(graph: Graph, inputs: Sequence[Array | None], observer: Observer | None = None) -> list[Array]:
    """Run a graph of tensors by its operators' references. Errors carry the user's node."""
    values: dict[Value, Array | None] = dict(zip(graph.arguments, inputs))
    remaining = {value: len(value.uses) for operation in graph.operations for value in operation.results}
    for operation in graph.operations:
        start = time.perf_counter()
        arrays = [None if operand is None else values[operand] for operand in operation.operands]
        results = _evaluate(operation, arrays)
        seconds = time.perf_counter() - start
        for value, array in zip(operation.results, results):
            values[value] = array
            if observer is not None and observer.wants_results:
                observer.result(operation.name, _nodes(operation), array)
        if observer is not None and observer.wants_times:
            observer.kernel(operation.name, _nodes(operation), seconds)
        for operand in operation.operands:
            if operand in remaining:
                remaining[operand] -= 1
                if not remaining[operand]:
                    values[operand] = None  # Large networks do not keep what nobody reads any more.
    return [values[value] for value in graph.outputs]  # type: ignore[misc]


def _nodes(operation: Operation) -> tuple[str, ...]:
    return tuple(sorted(place.name for place in operation.locations))


def _evaluate(operation: Operation, arrays: Sequence[Array | None]) -> list[Array]:
    if operation.name == "mm.fused":
        return interpret(operation.regions[0], arrays)
    padded = [*arrays, *[None] * (len(operation.operand_types()) - len(arrays))]
    try:
        with np.errstate(all="ignore"):
            results = operation.definition.reference(*padded, **operation.attributes)
    except MMError as error:
        raise error.located(operation.where) from None
    except MemoryError as error:
        raise DeviceError(f"{operation.name} ran out of memory", where=operation.where) from error
    except Exception as error:  # Code of an operator package, which may fail in any way.
        raise InputError(f"{operation.name} failed: {error}", where=operation.where) from error
    found = []
    for value, result in zip(operation.results, results if isinstance(results, (tuple, list)) else (results,)):
        assert isinstance(value.type, TensorType)
        found.append(np.asarray(result, value.type.dtype.numpy, order="C"))
    return found
