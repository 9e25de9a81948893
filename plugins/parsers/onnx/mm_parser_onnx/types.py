"""Types of values as ONNX writes them: tensors with named dimensions, sequences, optionals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

from mm_core.errors import InputError, ParseError, UnsupportedOpError
from mm_core.ir import Graph
from mm_core.types import (
    Dim,
    OptionalType,
    SequenceType,
    SymDim,
    TensorType,
    ValueType,
    as_shape,
    evaluate,
    parse_dim,
    substitute,
    symbol,
    symbols,
)
from mm_parser_onnx.elements import dtype_of

MAX_NESTING = 32
"""Sequences of sequences of ..., and graphs in graphs, deeper than this are refused."""
_MAX_ELEMENTS = 2**48


class Symbols:
    """Names of dimensions as mm allows them: equal names stay equal, different ones stay different."""

    def __init__(self) -> None:
        self._dims: dict[str, Dim] = {}
        self._made: dict[str, str] = {}

    def dim(self, text: str) -> Dim:
        """The dimension that a `dim_param` names; a name that is an expression keeps its meaning."""
        if text not in self._dims:
            self._dims[text] = self._new(text)
        return self._dims[text]

    def note(self, proto: Any) -> None:
        """Take in the names in a tensor's type, so that fresh symbols keep clear of them."""
        for dim in proto.tensor_type.shape.dim:
            if dim.dim_param.strip():
                self.dim(dim.dim_param)

    def fresh(self, graph: Graph) -> Dim:
        """A symbol that is new to the graph and to the model."""
        taken = self._taken()
        while True:
            dim = graph.fresh_symbol()
            if str(dim) not in taken:
                return dim

    def _taken(self) -> set[str]:
        return {found for dim in self._dims.values() for found in symbols(dim)} | self._made.keys()

    def _new(self, text: str) -> Dim:
        check_text(text, "the name of a dimension")
        try:
            dim = parse_dim(text)
        except InputError:
            return self._made_of(text)
        if isinstance(dim, int) and dim < 0:
            return self._made_of(text)
        # A name made of another text may be just this one: then this one gets a new name too.
        return evaluate(dim, {name: self._made_of(name) for name in symbols(dim) & self._made.keys()})

    def _made_of(self, text: str) -> Dim:
        """A symbol for a text that is not one, or whose name is taken."""
        if text in self._made.values():
            return symbol(next(name for name, origin in self._made.items() if origin == text))
        name = re.sub(r"\W", "_", text, flags=re.ASCII)[:64]
        name = name if re.match(r"[A-Za-z_]", name) else f"_{name}"
        taken, unique, count = self._taken(), name, 1
        while unique in taken:
            count += 1
            unique = f"{name}_{count}"
        self._made[unique] = text
        return symbol(unique)


def check_text(text: object, what: str) -> None:
    """ParseError for a string that is not UTF-8: protobuf gives its bytes."""
    if not isinstance(text, str):
        raise ParseError(f"{what} is not text: {text!r}", remedy="the file is damaged")


def is_impossible(sizes: Iterable[int]) -> bool:
    """Whether no memory holds a tensor of these sizes, a zero among them set aside."""
    return prod(max(size, 1) for size in sizes) >= _MAX_ELEMENTS


def read_type(proto: Any, known: Symbols, fresh: Callable[[], Dim], what: str) -> ValueType:
    """The type in a TypeProto; `fresh` makes a symbol for a size that is not stated."""
    wrappers: list[type[SequenceType] | type[OptionalType]] = []
    while (kind := proto.WhichOneof("value")) in ("sequence_type", "optional_type"):
        wrappers.append(SequenceType if kind == "sequence_type" else OptionalType)
        proto = getattr(proto, kind).elem_type
        if len(wrappers) > MAX_NESTING:
            raise ParseError(f"{what}: its type nests deeper than {MAX_NESTING}")
    if kind != "tensor_type":
        if kind is None:
            raise ParseError(f"{what} has no type")
        raise UnsupportedOpError(f"{what} is a {kind.removesuffix('_type')}", available="tensor, sequence, optional")
    dtype = dtype_of(proto.tensor_type.elem_type, what)
    shape = None
    if proto.tensor_type.HasField("shape"):
        shape = tuple(_read_dim(dim, known, fresh, what) for dim in proto.tensor_type.shape.dim)
        if is_impossible(dim for dim in shape if isinstance(dim, int)):
            raise ParseError(f"{what} has the impossible shape {list(map(str, shape))}")
    found: ValueType = TensorType(dtype, shape)
    for wrapper in reversed(wrappers):
        found = wrapper(found)
    return found


def _read_dim(proto: Any, known: Symbols, fresh: Callable[[], Dim], what: str) -> Dim:
    if proto.HasField("dim_value"):
        # Exporters write -1 for a size that only running tells.
        if proto.dim_value < -1:
            raise ParseError(f"{what} has a dimension of {proto.dim_value} elements")
        return fresh() if proto.dim_value == -1 else int(proto.dim_value)
    return known.dim(proto.dim_param) if proto.dim_param.strip() else fresh()


def override_shapes(
    types: dict[str, ValueType],
    wanted: Mapping[str, Sequence[int | str | None]],
    fresh: Callable[[], Dim],
) -> dict[str, ValueType]:
    """The inputs' types with the shapes that the user gives. A size given for a symbol holds for all inputs."""
    for name in wanted:
        if name not in types:
            raise ParseError(f"the model has no input {name!r} to give a shape to", available=", ".join(types))
    bindings: dict[str, Dim] = {}
    result = dict(types)
    for name, given in wanted.items():
        stated = types[name]
        if not isinstance(stated, TensorType):
            raise ParseError(f"the input {name!r} is a {stated}: it has no shape to replace")
        try:
            shape = as_shape(fresh() if dim in (None, -1) else dim for dim in given)
        except InputError as error:
            raise ParseError(f"the shape given for the input {name!r}: {error}") from error
        if stated.shape is not None and len(stated.shape) != len(shape):
            raise ParseError(
                f"the shape {list(map(str, shape))} given for the input {name!r} has {len(shape)} dimensions",
                available=f"the model states {list(map(str, stated.shape))}",
            )
        for before, now in zip(stated.shape or (), shape):
            is_name = isinstance(before, SymDim) and symbols(before) == {str(before)}
            if is_name and bindings.setdefault(str(before), now) != now:
                raise ParseError(f"the size {before} is given as {bindings[str(before)]} and as {now}")
        result[name] = TensorType(stated.dtype, shape)
    return {name: type_ if name in wanted else substitute(type_, bindings) for name, type_ in result.items()}
