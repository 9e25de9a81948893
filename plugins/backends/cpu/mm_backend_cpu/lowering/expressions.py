"""Element-wise operations of the IR as expressions of the code generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from mm_backend_cpu.codegen.expression import Expression, Node, Ref, infer_dtypes
from mm_backend_cpu.codegen.operations import BYTE_RANGES, C_TYPES, Attribute, operation_names
from mm_backend_cpu.lowering.byte_function import ByteFunction, byte_function
from mm_backend_cpu.lowering.lowering import constant_data, outside, tensor_type
from mm_core.build import decompose
from mm_core.errors import CompileError, UnsupportedOpError
from mm_core.ir import Graph, Operation, Value, copy_operation
from mm_core.ops import Trait
from mm_core.types import DType

_LARGEST_EXACT = 2**53


class ExpressionBuilder:
    """Collects operations into one expression. `inputs` are the values it reads, in the order of their references.

    `alias` gives the outside values that a region's arguments stand for. Bytes, and what depends on one byte alone, are
    computed when they are read: bytes that do so by a costly function are looked up in a table, and those that are
    dequantized at once are never made. Operations that expressions do not hold are taken apart.
    """

    def __init__(self, alias: Mapping[Value, Value | None] | None = None) -> None:
        self.alias = dict(alias or {})
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.refs: dict[Value, Ref] = {}
        self.functions: dict[Value, ByteFunction] = {}
        self.postponed: dict[Value, Operation] = {}

    @property
    def expression(self) -> Expression:
        return tuple(self.nodes)

    def input(self, value: Value) -> Ref:
        """A new input."""
        self.inputs.append(value)
        self.refs[value] = ("input", len(self.inputs) - 1)
        return self.refs[value]

    def read(self, value: Value) -> Ref:
        """The reference of a value: known, computed now, a scalar constant, or a new input."""
        value = outside(value, self.alias)
        if value in self.postponed:
            self.refs[value] = self._translate(self.postponed.pop(value))
        if value in self.refs:
            return self.refs[value]
        data = constant_data(value)
        if data is not None and data.size == 1 and data.dtype.text in C_TYPES:
            number = data.numpy().reshape(())[()]
            if not data.dtype.is_integer or abs(int(number)) <= _LARGEST_EXACT:
                return ("scalar", float(number))
        return self.input(value)

    def _node(self, op: str, *args: Ref, **attributes: Attribute) -> Ref:
        self.nodes.append(Node(op, args, attributes))
        return ("node", len(self.nodes) - 1)

    def add(self, operation: Operation) -> None:
        """Append an operation. UnsupportedOpError if expressions cannot hold it."""
        function = byte_function(operation, self.functions, self.alias)
        if operation.name == "mm.quantize":
            if function is not None and function.costly:
                byte, to = self.read(function.argument), tensor_type(operation.result).dtype.text
                self.refs[operation.result] = self._node("lookup", byte, table=function.table, to=to)
            else:
                self.postponed[operation.result] = operation
        elif function is not None:
            self.functions[operation.result] = function
            self.postponed[operation.result] = operation
        else:
            self.refs[operation.result] = self._translate(operation)

    def _translate(self, operation: Operation) -> Ref:
        name = operation.name.removeprefix("mm.")
        if name in ("quantize", "dequantize"):
            return self._quantization(operation)
        if name not in operation_names():
            return self._taken_apart(operation)
        values = [value for value in operation.operands if value is not None]
        args = [self.read(value) for value in values]
        if all(kind == "scalar" for kind, _ in args):  # What is folded after placement can leave an operation so.
            args[0] = self.input(outside(values[0], self.alias))
        if name == "select" and args[1][0] == args[2][0] == "scalar":
            args[1] = self.input(outside(values[1], self.alias))  # One of them must tell the dtype.
        if name == "clip":
            return self._clip(operation, args[0])
        return self._node(name, *args, **_attributes(operation.attributes))

    def _taken_apart(self, operation: Operation) -> Ref:
        """The operations of a decomposition, built in a graph of their own."""
        apart, stand_ins = Graph(), {}
        for value in operation.operands:
            if value is not None and value not in stand_ins:
                stand_ins[value] = apart.add_argument(value.type)
                self.alias[stand_ins[value]] = outside(value, self.alias)
        whole = copy_operation(operation, stand_ins, apart)
        parts = decompose(whole) if Trait.ELEMENTWISE in operation.definition.traits else None
        if parts is None or len(parts) > 1:
            raise UnsupportedOpError(f"{operation.name} has no generated code")
        for part in takewhile(lambda part: part is not whole, apart.operations):
            if part.name != "mm.constant":
                self.add(part)
        return self.read(parts[0])

    def _clip(self, operation: Operation, x: Ref) -> Ref:
        low, high = operation.operand("low"), operation.operand("high")
        bounds = [None if value is None else self.read(value) for value in (low, high)]
        if tensor_type(operation.result).dtype.text == "f32" and all(b is None or b[0] == "scalar" for b in bounds):
            low_value, high_value = (None if bound is None else bound[1] for bound in bounds)
            return self._node("clip", x, min=low_value, max=high_value)
        if bounds[0] is not None:
            x = self._node("maximum", x, bounds[0])
        return x if bounds[1] is None else self._node("minimum", x, bounds[1])

    def _quantization(self, operation: Operation) -> Ref:
        """Bytes to float32 and back, with one scale and one zero point for the whole tensor."""
        x = outside(operation.operands[0], self.alias)  # type: ignore[arg-type]
        grain = whole_tensor_grain(operation, self.alias)
        small = tensor_type(operation.result if operation.name == "mm.quantize" else x).dtype.text
        real = tensor_type(x if operation.name == "mm.quantize" else operation.result).dtype.text
        if grain is None or small not in BYTE_RANGES or real != "f32":
            raise UnsupportedOpError(f"{operation.name} of other than bytes with one known scale in float32")
        if operation.name == "mm.quantize":
            return self._node("quantize", self._steps(x, grain), to=small, zero_point=grain.zero_point)
        maker = self.postponed.get(x)
        before = None if maker is None else whole_tensor_grain(maker, self.alias)
        if maker is not None and before is not None and before.zero_point == grain.zero_point:
            steps = self._steps(outside(maker.operands[0], self.alias), before)  # type: ignore[arg-type]
            number = self._node("whole_steps", steps, to=small, zero_point=grain.zero_point)
        else:
            number = self._node("cast", self.read(x), to="f32")
            if grain.zero_point:
                number = self._node("sub", number, ("scalar", float(grain.zero_point)))
        return self._node("mul", number, ("scalar", grain.scale))

    def _steps(self, x: Value, grain: Grain) -> Ref:
        """Numbers in steps of a scale, before they are rounded."""
        read = self.read(x)
        # What has just been computed has been rounded before: there the reciprocal is as good as the quotient.
        if read[0] == "node":
            return self._node("mul", read, ("scalar", 1.0 / grain.scale))
        return self._node("div", read, ("scalar", grain.scale))


@dataclass(frozen=True)
class Grain:
    """The one scale and zero point of a quantized tensor."""

    scale: float
    zero_point: int


def whole_tensor_grain(operation: Operation, alias: Mapping[Value, Value | None] | None = None) -> Grain | None:
    """The scale and zero point of a (de)quantization if they are known and the same for the whole tensor."""
    scale, zero = (
        None if value is None else constant_data(outside(value, alias)) for value in (*operation.operands, None)[1:3]
    )
    if scale is None or scale.size != 1 or scale.dtype.text != "f32":
        return None
    absent = len(operation.operands) < 3 or operation.operands[2] is None
    if not absent and (zero is None or zero.size != 1):
        return None
    number = float(scale.numpy().reshape(()))
    if not (np.isfinite(number) and number > 0.0):
        return None
    return Grain(number, 0 if zero is None else int(zero.numpy().reshape(())))


def _attributes(attributes: Mapping[str, object]) -> dict[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for name, value in attributes.items():
        if isinstance(value, DType):
            kept[name] = value.text
        elif isinstance(value, (str, int, float, bool)) or value is None:
            kept[name] = value
    return kept


def refusal(operations: Iterable[Operation], alias: Mapping[Value, Value | None] | None = None) -> str:
    """Why these operations cannot be one expression; empty if they can."""
    builder = ExpressionBuilder(alias)
    try:
        for operation in operations:
            if operation.name != "mm.constant":
                builder.add(operation)
                for value in operation.results:
                    builder.read(value)
        for value in builder.inputs:
            if tensor_type(value).dtype.text not in C_TYPES:
                return f"no generated code for {tensor_type(value).dtype.name}"
        infer_dtypes(builder.expression, [tensor_type(value).dtype.text for value in builder.inputs])
    except (UnsupportedOpError, CompileError) as error:
        return error.what
    return ""
