"""Tensors that are not moved yet. TensorFlow's images end in channels, ours begin with them: a convolution's result is
a view of our layout, and operators that can work on the view's base do. Only what needs the elements in TensorFlow's
order moves them, so that a convolutional network holds no transpose between its first and last image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mm_core.ir import Graph, Value
from mm_core.types import Dim, DType, TensorType

Order = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class View:
    """`base` as if transposed: axis i of the view is axis `order[i]` of the base."""

    base: Value
    order: Order

    @property
    def type(self) -> TensorType:
        """The type of the tensor that this stands for."""
        shape = shape_of(self.base)
        return tensor_type(self.base).with_shape(shape[axis] for axis in self.order)


Tensor = Value | View


def tensor_type(value: Tensor) -> TensorType:
    """The type of a tensor of known rank."""
    type_ = value.type
    assert isinstance(type_, TensorType), type_
    return type_


def shape_of(value: Tensor) -> tuple[Dim, ...]:
    shape = tensor_type(value).shape
    assert shape is not None
    return shape


def rank_of(value: Tensor) -> int:
    return len(shape_of(value))


def dtype_of(value: Tensor) -> DType:
    return tensor_type(value).dtype


def channels_last(rank: int) -> Order:
    """The order of a view that ends in channels, of a base that has them as axis 1."""
    return (0, *range(2, rank), 1)


def inverse(order: Sequence[int]) -> Order:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def view(base: Value, order: Sequence[int]) -> Tensor:
    """The base seen in another order; the base itself where that changes nothing."""
    return base if list(order) == list(range(len(order))) else View(base, tuple(order))


class Moves:
    """The transposes of one graph, each made once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._made: dict[tuple[Value, Order], Value] = {}

    def plain(self, tensor: Tensor) -> Value:
        """The tensor with its elements in the order of its axes."""
        return self._moved(tensor.base, tensor.order) if isinstance(tensor, View) else tensor

    def base(self, tensor: Tensor, order: Order) -> Value:
        """A base that gives the tensor when it is seen in the order."""
        if isinstance(tensor, View):
            if tensor.order == order:
                return tensor.base
            return self._moved(tensor.base, tuple(tensor.order[axis] for axis in inverse(order)))
        return self._moved(tensor, inverse(order))

    def has_base(self, tensor: Tensor, order: Order) -> bool:
        """Whether `base` costs nothing."""
        if isinstance(tensor, View):
            return tensor.order == order
        back = inverse(order)
        return (tensor, back) in self._made or is_constant(tensor) or keeps_order(shape_of(tensor), back)

    def _moved(self, value: Value, order: Order) -> Value:
        if list(order) == list(range(len(order))):
            return value
        if (value, order) not in self._made:
            moved = _move(self.graph, value, order)
            self._made[value, order] = moved
            self._made[moved, inverse(order)] = value
        return self._made[value, order]


def is_constant(value: Value) -> bool:
    return value.defining_op is not None and value.defining_op.name == "mm.constant"


def keeps_order(shape: Sequence[Dim], order: Sequence[int]) -> bool:
    """Whether a transpose only moves axes of size one, so that no element changes its place."""
    kept = [axis for axis in order if shape[axis] != 1]
    return kept == sorted(kept)


def _move(g: Graph, value: Value, order: Order) -> Value:
    shape = shape_of(value)
    if not keeps_order(shape, order):
        return g.transpose(value, permutation=order)  # type: ignore[no-any-return]
    ones = tuple(axis for axis, size in enumerate(shape) if size == 1)
    narrow = g.squeeze(value, axes=ones)
    return g.unsqueeze(narrow, axes=tuple(i for i, axis in enumerate(order) if axis in ones))  # type: ignore[no-any-return]


def pointwise(moves: Moves, build: Callable[..., Value], *operands: Tensor) -> Tensor:
    """`build` on tensors that broadcast, in the layout that most of them have already."""
    rank = max(map(rank_of, operands))
    order = next(
        (operand.order for operand in operands if isinstance(operand, View) and rank_of(operand) == rank), None
    )
    if order is None or not all(_fits(moves, operand, order) for operand in operands):
        return build(*map(moves.plain, operands))
    return view(build(*(_aligned(moves, operand, order) for operand in operands)), order)


def _fits(moves: Moves, operand: Tensor, order: Order) -> bool:
    if rank_of(operand) == len(order):
        return moves.has_base(operand, order)
    return rank_of(operand) <= 1 or is_constant(moves.plain(operand))


def _aligned(moves: Moves, operand: Tensor, order: Order) -> Value:
    g, rank = moves.graph, len(order)
    if rank_of(operand) == rank:
        return moves.base(operand, order)
    value = moves.plain(operand)
    if rank_of(value) == 0:
        return value
    if rank_of(value) == 1:
        behind = rank - 1 - order[-1]
        return g.unsqueeze(value, axes=tuple(range(1, behind + 1))) if behind else value
    return moves.base(g.unsqueeze(value, axes=tuple(range(rank - rank_of(value)))), order)
