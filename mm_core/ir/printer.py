"""The text form: MLIR's generic syntax, which any MLIR tool reads. `text_parser` is the exact inverse.

Large constants stand by key (`dense_resource<key>`), source locations as `loc("node"("framework/kind":0:0))`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_core.errors import VerifyError
from mm_core.ir.operation import Location, Operation, Value
from mm_core.types import DType, OptionalType, SequenceType, TensorData, TensorType

if TYPE_CHECKING:
    from mm_core.ir.graph import Graph
    from mm_core.ir.network import Network

INLINE_ELEMENTS = 16
"""Constants up to this many elements are printed in place, unless they have a key."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$.]*")


def weight_keys(network: Graph) -> Iterator[tuple[TensorData, str]]:
    """Constants that are printed by key, each once, with its key.

    Keys become identifiers, which is what MLIR's readers take; they are made unique and, where absent, numbered.
    """
    found: dict[int, TensorData] = {}
    for operation in network.walk():
        for value in operation.attributes.values():
            if isinstance(value, TensorData) and (value.key is not None or value.size > INLINE_ELEMENTS):
                found.setdefault(id(value), value)
    owners: dict[str, TensorData] = {}
    stems = {identity: None if data.key is None else _identifier(data.key) for identity, data in found.items()}
    for identity, data in found.items():
        stem = stems[identity]
        if stem is not None and stem not in owners:
            owners[stem] = data
    number = 0
    for identity, data in found.items():
        stem = stems[identity]
        if stem is not None and (owners[stem] is data or owners[stem] == data):
            yield data, stem
            continue
        while (key := f"{stem or 'weight'}_{number}") in owners:
            number += 1
        owners[key] = data
        yield data, key


def _identifier(key: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_$.]", "_", key)
    return plain if _IDENTIFIER.fullmatch(plain) else f"_{plain}"


def print_network(network: Network) -> str:
    """The whole network as text."""
    return _Printer(network).text(network)


def quote(text: str) -> str:
    """A string literal of MLIR."""
    plain = json.dumps(text, ensure_ascii=False)
    if "\\" not in plain:
        return plain
    escaped = (f"\\{ord(c):02X}" if c < " " or c == "\x7f" else "\\" + c if c in '"\\' else c for c in text)
    return '"' + "".join(escaped) + '"'


def print_float(value: float) -> str:
    """A float64 literal that reads back to the same bits (NaN payloads aside)."""
    if not math.isfinite(value):
        return f"0x{int(np.float64(value).view(np.uint64)):016X}"
    text = repr(value)
    if "." in text:
        return text
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}.0{exponent}{power}"


def print_key(key: str) -> str:
    """A name as a bare identifier where it is one, else quoted."""
    return key if _IDENTIFIER.fullmatch(key) else quote(key)


def print_attribute(value: Any, keys: dict[int, str]) -> str:
    """An attribute's value as text."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value} : i64"
    if isinstance(value, float):
        return f"{print_float(value)} : f64"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(print_attribute(item, keys) for item in value)}]"
    if isinstance(value, (DType, TensorType, SequenceType, OptionalType)):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{print_key(k)} = {print_attribute(v, keys)}" for k, v in value.items()) + "}"
    if isinstance(value, TensorData):
        type_ = TensorType(value.dtype, value.shape)
        key = keys.get(id(value))
        if key is not None:
            return f"dense_resource<{print_key(key)}> : {type_}"
        return f"dense<{_print_elements(value) if value.size else ''}> : {type_}"
    raise VerifyError(f"an attribute of type {type(value).__name__} has no text form")


def _print_elements(data: TensorData) -> str:
    def element(item: Any) -> str:
        if data.dtype.kind == "bool":
            return "true" if item else "false"
        if data.dtype.is_integer:
            return str(int(item))
        if data.dtype.kind == "complex":
            return f"({print_float(float(item.real))}, {print_float(float(item.imag))})"
        if data.dtype.kind == "string":
            return quote(item if isinstance(item, str) else str(item))
        number = float(item)
        if math.isfinite(number):
            return print_float(number)
        return f"0x{np.asarray(item, data.dtype.numpy).tobytes()[::-1].hex().upper()}"

    def nested(array: Any) -> str:
        if array.ndim == 0:
            return element(array[()])
        return f"[{', '.join(nested(array[index, ...]) for index in range(len(array)))}]"

    return nested(data.numpy())


def print_location(locations: frozenset[Location]) -> str:
    """The trailing `loc(...)`, empty without locations."""
    if not locations:
        return ""
    single = [
        quote(place.name) + (f"({quote(f'{place.source}/{place.kind}')}:0:0)" if place.source or place.kind else "")
        for place in sorted(locations, key=lambda place: (place.name, place.source, place.kind))
    ]
    return f" loc({single[0]})" if len(single) == 1 else f" loc(fused[{', '.join(single)}])"


class _Printer:
    def __init__(self, network: Network) -> None:
        self.keys = {id(data): key for data, key in weight_keys(network)}
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.number = 0
        self.types: dict[Any, str] = {}
        self.lines: list[str] = []

    def text(self, network: Network) -> str:
        names = {"name": network.name, "inputs": [a.name for a in network.arguments], "outputs": network.output_names}
        ranges = [f"{low} <= {name} <= {high}" for name, (low, high) in network.dim_range.items()]
        stated = {**names, "dim_range": ranges} if ranges else names
        attributes = ", ".join(f"{key} = {print_attribute(value, {})}" for key, value in stated.items())
        self.lines.append('"mm.network"() ({')
        self.body(network, "")
        self.lines.append(f"}}) {{{attributes}}} : () -> ()")
        return "\n".join(self.lines) + "\n"

    def type(self, type_: Any) -> str:
        text = self.types.get(type_)
        if text is None:
            text = self.types[type_] = str(type_)
        return text

    def define(self, value: Value) -> str:
        name = value.name
        if not name or name in self.taken or not _IDENTIFIER.fullmatch(name):
            name = str(self.number)
            self.number += 1
        else:
            self.taken.add(name)
        self.names[value] = "%" + name
        return "%" + name

    def body(self, graph: Graph, indent: str) -> None:
        if graph.arguments:
            arguments = ", ".join(f"{self.define(a)}: {self.type(a.type)}" for a in graph.arguments)
            self.lines.append(f"{indent}^bb0({arguments}):")
        inner = indent + "  "
        for operation in graph.operations:
            self.operation(operation, inner)
        self.operation(graph.terminator, inner)

    def operation(self, operation: Operation, indent: str) -> None:
        names = self.names
        operands = [value for value in operation.operands if value is not None]
        try:
            read = ", ".join([names[value] for value in operands])
        except KeyError:
            raise VerifyError("an operand is not defined before its use", where=operation.where) from None
        pieces = [indent]
        results = operation.results
        if len(results) == 1:
            pieces.append(self.define(results[0]) + " = ")
        elif results:
            base = self.define(results[0])
            pieces.append(f"{base}:{len(results)} = ")
            for index, result in enumerate(results):
                names[result] = f"{base}#{index}"
        pieces.append(f'"{operation.name}"({read})')
        if len(operands) != len(operation.operands):
            segments = ", ".join("0" if value is None else "1" for value in operation.operands)
            pieces.append(f" <{{operandSegmentSizes = array<i32: {segments}>}}>")
        if operation.regions:
            pieces.append(" (")
            for position, region in enumerate(operation.regions):
                self.lines.append("".join(pieces) + ("{" if position == 0 else ", {"))
                self.body(region, indent + "  ")
                pieces = [indent + "}"]
            pieces.append(")")
        attributes = [
            f"{key} = {print_attribute(value, self.keys)}"
            for key, value in operation.attributes.items()
            if value is not None
        ]
        if operation.definition.version != 1:
            attributes.append(f"version = {operation.definition.version} : i64")
        if attributes:
            pieces.append(" {" + ", ".join(attributes) + "}")
        operand_types = ", ".join([self.type(value.type) for value in operands])
        result_types = ", ".join([self.type(value.type) for value in results])
        pieces.append(f" : ({operand_types}) -> " + (result_types if len(results) == 1 else f"({result_types})"))
        pieces.append(print_location(operation.locations))
        self.lines.append("".join(pieces))
