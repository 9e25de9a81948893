"""One call of an operator as its importer sees it: arguments by the operator's schema, types that PyTorch found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND, elementwise_dtypes

from mm_core.errors import UnsupportedOpError
from mm_core.ir import Value
from mm_core.types import Dim, DType, TensorType
from mm_parser_torch.complexes import real_dtype
from mm_parser_torch.tensors import TORCH_DTYPES, dtype_of

if TYPE_CHECKING:
    from mm_core.ir import Graph
    from mm_parser_torch.reader import Reader

Kind = ELEMENTWISE_TYPE_PROMOTION_KIND
"""PyTorch's kinds of promotion: what numbers and tensors of several types become."""


class Call:
    """A call being imported. `where` is the module of the user's tree that makes it, and the operator."""

    def __init__(self, reader: Reader, node: torch.fx.Node, where: str) -> None:
        self.reader = reader
        self.node = node
        self.where = where

    @property
    def target(self) -> Any:
        return self.node.target

    @property
    def overload(self) -> str:
        """The overload's name: `Tensor` of `aten.add.Tensor`."""
        return str(self.target).rpartition(".")[2]

    @property
    def examples(self) -> list[Any]:
        """What PyTorch says of the results, one after another."""
        found = self.node.meta.get("val")
        return list(found) if isinstance(found, (tuple, list)) else [found]

    def dtype(self, index: int = 0) -> DType:
        """The element type of a result, of its parts where it is complex."""
        return dtype_of(real_dtype(self.examples[index].dtype), self.where)

    def rank(self, index: int = 0) -> int:
        """The number of axes of a result."""
        return len(self.examples[index].shape)

    def is_number(self, value: object) -> bool:
        """Whether an argument is a Python number, known now or only when running, and not a tensor."""
        return not isinstance(value, Value) or value in self.reader.numbers

    def wants(self, index: int) -> bool:
        """Whether a result of several is read by anybody."""
        return any(user.args[1] == index for user in self.node.users if len(user.args) > 1)

    def unsupported(self, what: str, remedy: str = "") -> UnsupportedOpError:
        """The error for a call whose operator is known, but not in this form."""
        return UnsupportedOpError(f"{self.target}: {what}", where=self.where, remedy=remedy)

    # --- types -------------------------------------------------------------------------------------------------------

    def promote(self, operands: Sequence[Any], kind: Kind = Kind.DEFAULT) -> tuple[DType, DType]:
        """PyTorch's promotion of values and numbers: the type to compute in, and that of the result."""
        standins = [self._standin(operand) for operand in operands]
        compute, result = elementwise_dtypes(*standins, type_promotion_kind=kind)
        return dtype_of(compute, self.where), dtype_of(result, self.where)

    def _standin(self, operand: Any) -> Any:
        if not isinstance(operand, Value):
            return operand
        type_ = tensor_type(operand)
        if operand in self.reader.numbers:
            return {"float": 1.0, "bool": True}.get(type_.dtype.kind, 1)
        return _standin(TORCH_DTYPES[type_.dtype], bool(type_.shape))


@cache
def _standin(dtype: torch.dtype, has_axes: bool) -> torch.Tensor:
    return torch.empty((1,) if has_axes else (), dtype=dtype, device="meta")


def tensor_type(value: Value) -> TensorType:
    """The type of a value, which is always a ranked tensor here."""
    type_ = value.type
    assert isinstance(type_, TensorType), type_
    return type_


def dtype(value: Value) -> DType:
    """The element type of a value."""
    return tensor_type(value).dtype


def shape(value: Value) -> tuple[Dim, ...]:
    """The shape of a value."""
    found = tensor_type(value).shape
    assert found is not None
    return found


def rank(value: Value) -> int:
    """The number of axes of a value."""
    return len(shape(value))


def axis_of(value: Value, dim: int) -> int:
    """An axis counted from the front; PyTorch lets scalars have axis 0 and -1."""
    return dim % max(rank(value), 1)


def axes_of(value: Value, dims: Sequence[int] | int | None) -> tuple[int, ...]:
    """Axes counted from the front; None and an empty list stand for all."""
    if dims is None or dims == [] or dims == ():
        return tuple(range(rank(value)))
    listed = [dims] if isinstance(dims, int) else dims
    return tuple(axis_of(value, dim) for dim in listed) if rank(value) else ()


def cast(g: Graph, value: Value, to: DType) -> Value:
    """The value in an element type."""
    return value if dtype(value) is to else g.cast(value, to=to)


def as_value(g: Graph, operand: Any, to: DType) -> Value:
    """An operand in an element type; numbers become scalar constants."""
    if isinstance(operand, Value):
        return cast(g, operand, to)
    if to.kind == "bool":
        operand = bool(operand)
    elif to.is_integer:
        operand = int(operand)
    return g.constant(operand, to)
