"""The smallest backend that the architecture allows: the device primitives as they are defined, and nothing else.

It refuses every composite, every operator of the host tier, everything that is not a tensor of numbers, and results
whose sizes its operands do not tell. What it does run, it runs by the operators' references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mm_backend_reference import ReferenceBackend, ReferenceDevice
from mm_backend_reference.compiler import ReferenceCompiler, print_part

from mm_core.compiler import CompileContext, Executable, No, Stage, Support, Yes
from mm_core.device import Device, DeviceInfo
from mm_core.ir import Network, Operation, Value, sizes_of
from mm_core.ops import Tier
from mm_core.types import TensorType, symbols

if TYPE_CHECKING:
    from mm_core.compiler import Compiler

NAME = "device_tier"


class DeviceTier(ReferenceBackend):
    """The entry point."""

    name = NAME

    def probe(self) -> Sequence[DeviceInfo]:
        return (DeviceInfo(f"{NAME}:0", "device primitives only"),)

    def open(self, name: str) -> Device:
        return ReferenceDevice(self.find(name).name, "device primitives only")

    def compiler(self, target: Mapping[str, str]) -> Compiler:
        return DeviceTierCompiler()


class DeviceTierCompiler(ReferenceCompiler):
    backend = NAME

    def supports(self, operation: Operation) -> Support:
        if operation.definition.tier is not Tier.DEVICE:
            return No(f"{operation.name} is no device primitive")
        operands = [value for value in operation.operands if value is not None]
        if not all(map(_is_numeric, [*operands, *operation.results])):
            return No("the device takes tensors of numbers only")
        told = {name for value in operands for name in sizes_of(value)}
        open_ = sorted({name for value in operation.results for dim in _shape(value) for name in symbols(dim)} - told)
        return No(f"its operands do not tell the size {open_[0]}") if open_ else Yes()

    @property
    def stages(self) -> Sequence[Stage]:
        return (Stage("print", _print_part),)


def _print_part(part: Network, context: CompileContext) -> Executable:
    return replace(print_part(part, context), backend=NAME)


def _is_numeric(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.shape is not None and value.type.dtype.kind != "string"


def _shape(value: Value) -> Any:
    return value.type.shape if isinstance(value.type, TensorType) else ()
