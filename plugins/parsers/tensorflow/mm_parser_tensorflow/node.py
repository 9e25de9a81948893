"""One node as its importer sees it: operands as values, attributes by type, constants where needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.ir import Graph, Value, known_value
from mm_core.types import Array, Dim, DType, SymDim, TensorData
from mm_parser_tensorflow.elements import dtype_of
from mm_parser_tensorflow.names import tensor_name
from mm_parser_tensorflow.views import Tensor, View, channels_last, pointwise, rank_of, shape_of

if TYPE_CHECKING:
    from mm_parser_tensorflow.reader import Reader, Scope

_FOLDED = 1 << 16
"""Constants are computed while parsing where they have at most this many elements."""


class Node:
    """A node being read. `where` is its name in the user's tree of layers, and its operator."""

    def __init__(self, reader: Reader, scope: Scope, proto: Any, where: str) -> None:
        self.reader = reader
        self.scope = scope
        self.proto = proto
        self.where = where
        self._sources = [source for source in proto.input if not source.startswith("^")]

    @property
    def op(self) -> str:
        return str(self.proto.op)

    @property
    def name(self) -> str:
        return str(self.proto.name)

    @property
    def graph(self) -> Graph:
        return self.scope.graph

    def prefix(self) -> str:
        """What goes before the names of nodes in a function that this node calls."""
        name = self.reader.names.of(self.name)
        return "" if name == self.name and "Call" in name else name.rpartition("/")[0]

    # --- operands -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._sources)

    def operand(self, index: int = 0) -> Any:
        """What an operand became: a value, a view, a resource or a list. ParseError if it is absent."""
        if not -len(self._sources) <= index < len(self._sources):
            raise ParseError(f"{self.op} needs input {index}")
        return self.scope.result(self._sources[index])

    def operands(self) -> list[Any]:
        return [self.scope.result(source) for source in self._sources]

    def source(self, index: int) -> tuple[str, int]:
        """The node, and which result of it, that an operand comes from."""
        return tensor_name(self._sources[index])

    def tensor(self, index: int = 0) -> Tensor:
        """An operand as a tensor of known rank, in whatever layout it lies."""
        found = self.operand(index)
        if not isinstance(found, (Value, View)):
            raise UnsupportedOpError(f"{self.op}: input {index} is {found}, not a tensor")
        if getattr(found.type, "shape", None) is None:
            raise UnsupportedOpError(
                f"{self.op}: the rank of input {index} is not known",
                remedy="state the inputs' shapes with input_shapes",
            )
        return found

    def input(self, index: int = 0) -> Value:
        """An operand as a value, its elements in TensorFlow's order."""
        return self.scope.moves.plain(self.tensor(index))

    def inputs(self) -> list[Value]:
        return [self.input(index) for index in range(len(self))]

    def image(self, index: int = 0) -> Value:
        """An operand that ends in channels, with channels as axis 1."""
        found = self.tensor(index)
        return self.scope.moves.base(found, channels_last(rank_of(found)))

    def shape(self, index: int = 0) -> tuple[Dim, ...]:
        return shape_of(self.tensor(index))

    def rank(self, index: int = 0) -> int:
        return len(self.shape(index))

    def pointwise(self, build: Callable[..., Value], *operands: Tensor) -> Tensor:
        """`build` on operands (default all of the node's) in the layout that they have."""
        given = operands or [self.tensor(index) for index in range(len(self))]
        return pointwise(self.scope.moves, build, *given)

    # --- constants ----------------------------------------------------------------------------------------------------

    def weight(self, index: int) -> TensorData | None:
        """An operand that is a constant, as a handle; None if it is none."""
        return weight_of(self.input(index))

    def constant(self, index: int) -> Array | None:
        """The elements of an operand that is known while parsing, else None."""
        return constant_of(self.input(index))

    def ints(self, index: int, what: str) -> tuple[int, ...]:
        """The integers of an operand; UnsupportedOpError if only running tells them."""
        found = self.constant(index)
        if found is None:
            raise UnsupportedOpError(f"{self.op}: {what} depend on data, they must be constant")
        return tuple(int(item) for item in np.asarray(found).reshape(-1))

    def axis(self, index: int, rank: int, what: str = "the axis") -> int:
        """A constant axis, counted from the front."""
        (axis,) = self.ints(index, what)
        if not -rank <= axis < max(rank, 1):
            raise ParseError(f"{self.op}: {what} {axis} is outside a tensor of rank {rank}")
        return axis % max(rank, 1)

    def axes(self, index: int, rank: int) -> tuple[int, ...]:
        """Constant axes, counted from the front, each once."""
        return tuple(dict.fromkeys(axis % max(rank, 1) for axis in self.ints(index, "axes")))

    # --- attributes ---------------------------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        return name in self.proto.attr

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.proto.attr[name].b) if self.has(name) else default

    def integer(self, name: str, default: int = 0) -> int:
        return int(self.proto.attr[name].i) if self.has(name) else default

    def number(self, name: str, default: float = 0.0) -> float:
        return float(self.proto.attr[name].f) if self.has(name) else default

    def text(self, name: str, default: str = "") -> str:
        return str(self.proto.attr[name].s.decode("utf-8", "replace")) if self.has(name) else default

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        return tuple(map(int, self.proto.attr[name].list.i)) if self.has(name) else tuple(default)

    def dtype(self, name: str = "T") -> DType:
        """An attribute that holds an element type."""
        return dtype_of(self.proto.attr[name].type, f"the attribute {name}")

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        found = self.text(name, default)
        if found not in choices:
            raise self.unsupported(f"the attribute {name!r} is {found!r}, available are {', '.join(choices)}")
        return found

    def unsupported(self, what: str, remedy: str = "") -> UnsupportedOpError:
        """The error for a node whose operator is known but not in this form."""
        return UnsupportedOpError(f"{self.op}: {what}", remedy=remedy)


def weight_of(value: Value) -> TensorData | None:
    """A value that is a constant, as its handle; None if it is none."""
    operation = value.defining_op
    if operation is not None and operation.name == "mm.constant":
        return operation.attributes["value"]  # type: ignore[no-any-return]
    return None


def constant_of(value: Value) -> Array | None:
    """The elements of a value that is known while parsing: a constant, or what operators make of few of them."""
    weight = weight_of(value)
    if weight is not None:
        return weight.numpy()
    known = known_value(value)
    if known is not None:
        if any(item is None or isinstance(item, SymDim) for item in known.reshape(-1)):
            return None
        return known.astype(value.type.dtype.numpy)  # type: ignore[union-attr]
    return _computed(value)


def _computed(value: Value) -> Array | None:
    operation = value.defining_op
    if operation is None or operation.regions or len(operation.results) != 1 or not operation.operands:
        return None
    if any(shape is None for shape in (getattr(value.type, "shape", None),)):
        return None
    operands = []
    for operand in operation.operands:
        count = None if operand is None else operand.type.element_count()  # type: ignore[union-attr]
        if operand is not None and not (isinstance(count, int) and count <= _FOLDED):
            return None
        found = None if operand is None else constant_of(operand)
        if operand is not None and found is None:
            return None
        operands.append(found)
    return np.asarray(operation.definition.reference(*operands, **operation.attributes))
