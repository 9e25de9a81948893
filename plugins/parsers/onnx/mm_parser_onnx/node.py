"""One ONNX node as its importer sees it: operands as values, attributes with their types, constants where needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.ir import Value, known_value
from mm_core.types import Array, Dim, DType, SymDim, TensorData, TensorType, ValueType
from mm_parser_onnx.elements import dtype_of

if TYPE_CHECKING:
    from mm_parser_onnx.reader import Reader, Scope

_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = range(1, 9)
_SPARSE, _TYPE = 11, 13
_FIELDS = {
    _FLOAT: "f", _INT: "i", _STRING: "s", _TENSOR: "t", _GRAPH: "g", _FLOATS: "floats", _INTS: "ints",
    _STRINGS: "strings", _SPARSE: "sparse_tensor", _TYPE: "tp",
}  # fmt: skip
_KINDS = {
    _FLOAT: "a float", _INT: "an integer", _STRING: "a string", _TENSOR: "a tensor", _GRAPH: "a graph",
    _FLOATS: "floats", _INTS: "integers", _STRINGS: "strings", _SPARSE: "a sparse tensor", _TYPE: "a type",
}  # fmt: skip


class Node:
    """A node being imported. Attributes that the importer does not read are refused afterwards: see `unread`."""

    def __init__(self, reader: Reader, scope: Scope, proto: Any, version: int, name: str) -> None:
        self.reader = reader
        self.scope = scope
        self.proto = proto
        self.version = version
        self.name = name
        self.inputs: tuple[Value | None, ...] = tuple(map(scope.operand, proto.input))
        self._attributes = scope.attributes_of(proto)
        self._read: set[str] = set()

    @property
    def op_type(self) -> str:
        return str(self.proto.op_type)

    @property
    def where(self) -> str:
        return place_of(self.name, self.proto, self.scope.opsets)

    # --- operands -----------------------------------------------------------------------------------------------------

    def optional(self, index: int) -> Value | None:
        """The operand at a position, None if it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def input(self, index: int = 0) -> Value:
        """The operand at a position; ParseError if it is absent."""
        value = self.optional(index)
        if value is None:
            raise ParseError(f"{self.op_type} needs input {index}", where=self.where)
        return value

    def scalar(self, index: int) -> Value:
        """An operand of one element as a scalar: ONNX often lets shape [1] stand for it."""
        value = self.input(index)
        if self.type(index).shape in ((), None):
            return value
        return self.scope.graph.reshape(value, [])  # type: ignore[no-any-return]

    def operands(self) -> list[Value]:
        """All operands; none may be absent."""
        return [self.input(index) for index in range(len(self.inputs))]

    def type(self, index: int = 0) -> TensorType:
        """The tensor type of an operand."""
        found = self.input(index).type
        if not isinstance(found, TensorType):
            raise UnsupportedOpError(f"input {index} of {self.op_type} is a {found}, not a tensor", where=self.where)
        return found

    def shape(self, index: int = 0) -> tuple[Dim, ...]:
        """The shape of an operand; UnsupportedOpError where not even its rank is known."""
        shape = self.type(index).shape
        if shape is None:
            raise UnsupportedOpError(
                f"the rank of input {index} of {self.op_type} is not known",
                where=self.where,
                remedy="state the shapes of the model's inputs with input_shapes",
            )
        return shape

    def rank(self, index: int = 0) -> int:
        return len(self.shape(index))

    def axis(self, name: str = "axis", default: int = 0, index: int = 0) -> int:
        """An axis attribute, counted from the front of an operand."""
        rank = self.rank(index)
        axis: int = self.int(name, default)
        if not -rank <= axis < max(rank, 1):
            raise ParseError(f"{name} {axis} is outside a tensor of rank {rank}", where=self.where)
        return axis % max(rank, 1)

    def constant(self, index: int) -> Array | None:
        """The elements of an operand that is known while parsing, else None. The operand must be present."""
        weight = weight_of(self.input(index))
        return None if weight is None else weight.numpy()

    def constant_ints(self, index: int, what: str) -> tuple[int, ...] | None:
        """The integers of an operand; None if it is absent, UnsupportedOpError if only running tells them."""
        if self.optional(index) is None:
            return None
        found = self.constant(index)
        if found is None:
            raise UnsupportedOpError(
                f"{what} of {self.op_type} depend on data, they must be constant",
                where=self.where,
                remedy="make this input an initializer",
            )
        return tuple(int(item) for item in np.asarray(found).reshape(-1))

    # --- results ------------------------------------------------------------------------------------------------------

    @property
    def result_count(self) -> int:
        """Number of results up to the last one that has a name."""
        names = list(self.proto.output)
        while names and not names[-1]:
            names.pop()
        return len(names)

    def wants(self, index: int) -> bool:
        """Whether a result has a name, so that somebody may read it."""
        return index < len(self.proto.output) and bool(self.proto.output[index])

    # --- attributes ---------------------------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether the attribute is present; asking counts as reading."""
        self._read.add(name)
        return name in self._attributes

    def ignore(self, *names: str) -> None:
        """These attributes change nothing here."""
        self._read.update(names)

    def unread(self) -> list[str]:
        """Attributes that are present and nobody has asked for."""
        return sorted(set(self._attributes) - self._read)

    def attribute_names(self) -> list[str]:
        return sorted(self._attributes)

    def attribute_protos(self) -> dict[str, Any]:
        """The node's attributes as they are, references of a function resolved; all count as read."""
        self._read.update(self._attributes)
        return self._attributes

    def _get(self, name: str, kind: int, default: Any) -> Any:
        self._read.add(name)
        proto = self._attributes.get(name)
        if proto is None:
            if default is REQUIRED:
                raise ParseError(f"{self.op_type} needs the attribute {name!r}", where=self.where)
            return default
        if proto.type not in (kind, 0):
            stated = _KINDS.get(proto.type, f"of kind {proto.type}")
            raise ParseError(f"attribute {name!r} is {stated}, not {_KINDS[kind]}", where=self.where)
        return getattr(proto, _FIELDS[kind])

    def int(self, name: str, default: Any = None) -> Any:
        return self._get(name, _INT, default)

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._get(name, _INT, default))

    def ints(self, name: str, default: Any = None) -> Any:
        found = self._get(name, _INTS, default)
        return found if found is default else tuple(found)

    def float(self, name: str, default: Any = None) -> Any:
        return self._get(name, _FLOAT, default)

    def floats(self, name: str, default: Any = None) -> Any:
        found = self._get(name, _FLOATS, default)
        return found if found is default else tuple(found)

    def text(self, name: str, default: Any = None) -> Any:
        found = self._get(name, _STRING, default)
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    def texts(self, name: str, default: Any = None) -> Any:
        found = self._get(name, _STRINGS, default)
        return found if found is default else tuple(item.decode("utf-8", "replace") for item in found)

    def tensor(self, name: str) -> TensorData | None:
        """A tensor attribute as a weight; None if it is absent."""
        proto = self._get(name, _TENSOR, None)
        return None if proto is None else self.reader.weights.tensor(proto, f"the attribute {name!r} of {self.where}")

    def sparse_tensor(self, name: str) -> TensorData | None:
        """A sparse tensor attribute as a dense weight; None if it is absent."""
        proto = self._get(name, _SPARSE, None)
        return None if proto is None else self.reader.weights.sparse(proto, f"{self.name}/")

    def dtype(self, name: str, default: DType | None = None) -> DType | None:
        """An attribute that holds the code of an element type."""
        code = self._get(name, _INT, None)
        return default if code is None else dtype_of(code, f"the attribute {name!r} of {self.where}")

    def graph(self, name: str) -> Any:
        """A graph attribute, as ONNX has it."""
        return self._get(name, _GRAPH, REQUIRED)

    def value_type(self, name: str) -> ValueType | None:
        """An attribute that holds a type."""
        proto = self._get(name, _TYPE, None)
        return None if proto is None else self.reader.read_type(proto, self.scope.graph, f"attribute {name!r}")

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """A string attribute out of `choices`; UnsupportedOpError for another."""
        found = self.text(name, default)
        if found not in choices:
            raise UnsupportedOpError(
                f"{self.op_type}: attribute {name!r} is {found!r}", where=self.where, available=", ".join(choices)
            )
        return str(found)

    def unsupported(self, what: str, remedy: str = "") -> UnsupportedOpError:
        """The error for a node whose operator is known but not in this form."""
        return UnsupportedOpError(f"{self.op_type}: {what}", where=self.where, remedy=remedy)


REQUIRED: Any = object()


def place_of(name: str, proto: Any, opsets: Mapping[str, int]) -> str:
    """A node as messages name it: its name, operator, and the version of the operator's set."""
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    version = f"{domain} {opsets[domain]}".strip() if domain in opsets else f"{domain} unknown"
    return f"{name} ({proto.op_type}), opset {version}"


def weight_of(value: Value) -> TensorData | None:
    """A value that is known while parsing: a constant, or integers that follow from constants."""
    operation = value.defining_op
    if operation is not None and operation.name == "mm.constant":
        return operation.attributes["value"]  # type: ignore[no-any-return]
    known = known_value(value)
    if known is None or not isinstance(value.type, TensorType):
        return None
    if any(item is None or isinstance(item, SymDim) for item in known.flat):
        return None
    return TensorData.of(known.astype(value.type.dtype.numpy))
