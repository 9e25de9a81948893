"""The toy accelerator's compile half: registers are assigned, then byte code is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mm_backend_toy.instructions import ELEMENT_TYPES, EXECUTE, OPERANDS_READ
from mm_core.compiler import CompileContext, Compiler, Executable, KernelRecord, No, Stage, Support, Yes
from mm_core.ir import Network, Operation, Value
from mm_core.types import TensorData, TensorType, symbols


@dataclass
class Registers:
    """Names of all values: inputs `i`, constants `c`, registers `r` with the instructions they live between."""

    part: Network
    names: dict[Value, str] = field(default_factory=dict)
    registers: list[list[Any]] = field(default_factory=list)
    constants: list[TensorData] = field(default_factory=list)


class ToyCompiler(Compiler):
    """Takes what the table of instructions holds, on the element types that it knows."""

    backend = "toy"

    def __init__(self, speed: str) -> None:
        self.speed = speed

    def supports(self, operation: Operation) -> Support:
        if operation.name not in EXECUTE:
            return No(f"the toy accelerator has no instruction for {operation.name}")
        read = operation.operands[: OPERANDS_READ.get(operation.name)]
        for value in (*read, *operation.results):
            if value is None or not isinstance(value.type, TensorType) or value.type.dtype.text not in ELEMENT_TYPES:
                return No(f"the toy accelerator computes in {' and '.join(ELEMENT_TYPES)} only")
        known = {name for v in read for dim in _shape(v) for name in symbols(dim)}
        if any(symbols(dim) - known for dim in _shape(operation.results[0])):
            return No("the size of the result is not known from the operands")
        return Yes()

    @property
    def stages(self) -> Sequence[Stage]:
        return Stage("registers", assign_registers), Stage("bytecode", self.write)

    def write(self, assigned: Registers, context: CompileContext) -> Executable:
        lines, records = [], []
        for operation in assigned.part.operations:
            if operation.name == "mm.constant":
                continue
            read = operation.operands[: OPERANDS_READ.get(operation.name)]
            sources = [assigned.names[value] for value in read if value is not None]
            lines.append([operation.name, assigned.names[operation.result], sources, operation.attributes])
            nodes = tuple(sorted(place.name for place in operation.locations))
            records.append(KernelRecord(operation.name, f"toy {self.speed} {operation.name}", nodes))
        outputs = [int(assigned.names[value][1:]) for value in assigned.part.outputs]
        return Executable(
            "toy",
            json.dumps(lines).encode(),
            {"registers": assigned.registers, "outputs": outputs},
            tuple(assigned.constants),
            kernels=tuple(records),
        )


def assign_registers(part: Network, context: CompileContext) -> Registers:
    """A register for each result, alive from the instruction that writes it to the last that reads it."""
    found = Registers(part)
    for number, argument in enumerate(part.arguments):
        found.names[argument] = f"i{number}"
    operations = [operation for operation in part.operations if operation.name != "mm.constant"]
    order = {operation: index for index, operation in enumerate(operations)}
    for operation in part.operations:
        if operation.name == "mm.constant":
            found.names[operation.result] = f"c{len(found.constants)}"
            found.constants.append(operation.attributes["value"])
            continue
        value = operation.result
        last = max((order.get(user, len(operations)) for user in value.users), default=order[operation])
        assert isinstance(value.type, TensorType)
        found.names[value] = f"r{len(found.registers)}"
        shape = [dim if isinstance(dim, int) else str(dim) for dim in _shape(value)]
        found.registers.append([value.type.dtype.text, shape, order[operation], last])
    return found


def _shape(value: Value | None) -> Sequence[Any]:
    assert value is not None
    assert isinstance(value.type, TensorType)
    return value.type.shape or ()
