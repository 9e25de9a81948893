"""Functions of one byte: what is computed element by element from a dequantized byte, known while building."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mm_backend_cpu.codegen.operations import BYTE_RANGES
from mm_backend_cpu.lowering.lowering import constant_data, outside, tensor_type
from mm_core.ir import Operation, Value
from mm_core.ops import Trait
from mm_core.types import Array

_CHEAP = frozenset(
    {"mm.dequantize", "mm.quantize", "mm.add", "mm.sub", "mm.mul", "mm.neg", "mm.abs", "mm.relu", "mm.clip"}
    | {"mm.maximum", "mm.minimum"}
)
"""What takes no more instructions than a table."""


@dataclass(frozen=True)
class ByteFunction:
    """`results` for each byte that `argument` may hold, in the order of unsigned bytes; `costly` beside a table."""

    argument: Value
    results: Array
    costly: bool

    @property
    def table(self) -> str:
        """Results that are bytes, in hexadecimal digits."""
        return self.results.tobytes().hex()


def byte_function(
    operation: Operation, known: Mapping[Value, ByteFunction], alias: Mapping[Value, Value | None]
) -> ByteFunction | None:
    """An operation's result as a function of one byte; `known` are those of its operands. None if it is no such one."""
    started = operation.name == "mm.dequantize" and operation.operands[0] not in known
    if not started and Trait.ELEMENTWISE not in operation.definition.traits and operation.name != "mm.quantize":
        return None
    if len(operation.results) != 1 or operation.regions or not operation.definition.has_reference:
        return None
    arrays: list[Array | None] = []
    functions: list[ByteFunction] = []
    for value in operation.operands:
        if value is None:
            arrays.append(None)
            continue
        function = known.get(value)
        if function is None and started and not arrays:
            function = _every_byte(outside(value, alias))
        if function is not None:
            functions.append(function)
            arrays.append(function.results)
            continue
        data = constant_data(outside(value, alias))
        if data is None or data.size != 1:
            return None
        arrays.append(data.numpy().reshape(()))
    if len({function.argument for function in functions}) != 1:
        return None
    with np.errstate(all="ignore"):
        results = np.asarray(operation.definition.reference(*arrays, **operation.attributes))
    if results.shape != (256,):
        return None
    costly = operation.name not in _CHEAP or any(function.costly for function in functions)
    return ByteFunction(functions[0].argument, results, costly)


def _every_byte(value: Value) -> ByteFunction | None:
    dtype = tensor_type(value).dtype
    if dtype.text not in BYTE_RANGES:
        return None
    return ByteFunction(value, np.arange(256, dtype=np.uint8).view(dtype.numpy), False)
