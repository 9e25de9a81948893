"""TensorList, TensorFlow's list of tensors of one shape: one tensor of ours, its rows the elements."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import DType
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import dtype_of, rank_of

FAMILY = Family()
op = FAMILY.op


class TensorList:
    """A list: `rows` stacked along axis 0, or, until the shape of its elements is known, their number alone.

    The number is an int64 scalar. Elements that were never set are zero.
    """

    def __init__(self, dtype: DType, rows: Value | None = None, count: Value | None = None) -> None:
        self.dtype = dtype
        self.rows = rows
        self.count = count

    def __str__(self) -> str:
        return "a list of tensors"

    def filled(self, g: Graph, element: Value) -> Value:
        """The rows; those of an empty list are zeros of the shape of the element."""
        if self.rows is not None:
            return self.rows
        assert self.count is not None
        sizes = g.concat(g.reshape(self.count, [1]), g.shape(element), axis=0)
        return g.expand(g.constant(0, self.dtype), sizes)  # type: ignore[no-any-return]


def list_of(node: Node, index: int = 0) -> TensorList:
    found = node.operand(index)
    if not isinstance(found, TensorList):
        raise node.unsupported(f"input {index} is {found}, not a list of tensors")
    return found


def _rows(node: Node) -> Value:
    """The rows of a list that has elements, or whose elements' shape is stated."""
    found = list_of(node)
    if found.rows is not None:
        return found.rows
    g = node.graph
    shape = None if len(node) < 2 else node.constant(len(node) - 1)
    if shape is None or shape.ndim != 1 or (shape < 0).any():
        raise node.unsupported("the shape of the elements of a list that was never set is not known")
    return found.filled(g, g.expand(g.constant(0, found.dtype), shape.astype("int64")))


@op("TensorListReserve")
def reserve(g: Graph, node: Node) -> Any:
    """The stated shape is taken where it is complete."""
    count = g.cast(node.input(1), to="int64")
    found = TensorList(node.dtype("element_dtype"), count=count)
    shape = node.constant(0)
    if shape is not None and shape.ndim == 1 and (shape >= 0).all():
        found.rows = found.filled(g, g.expand(g.constant(0, found.dtype), shape.astype("int64")))
    return found


@op("EmptyTensorList")
def empty(g: Graph, node: Node) -> Any:
    return TensorList(node.dtype("element_dtype"), count=g.constant(0, "int64"))


@op("TensorListFromTensor")
def from_tensor(g: Graph, node: Node) -> Any:
    return TensorList(node.dtype("element_dtype"), rows=node.input())


@op("TensorListStack")
def stack(g: Graph, node: Node) -> Any:
    return _rows(node)


@op("TensorListGetItem")
def get_item(g: Graph, node: Node) -> Any:
    return g.gather(_rows(node), node.input(1), axis=0)


@op("TensorListSetItem")
def set_item(g: Graph, node: Node) -> Any:
    found, element = list_of(node), node.input(2)
    place = g.reshape(g.cast(node.input(1), to="int64"), [1, 1])
    rows = found.filled(g, element)
    if node.flag("resize_if_index_out_of_bounds"):
        rows = _grown(g, rows, g.add(g.reshape(place, [1]), 1))
    return TensorList(found.dtype, rows=g.scatter_nd(rows, place, g.unsqueeze(element, axes=(0,))))


def _grown(g: Graph, rows: Value, count: Value) -> Value:
    """The rows with zeros behind them, so that there are at least `count`."""
    missing = g.maximum(g.sub(count, g.shape(rows, end=1)), 0)
    zeros = g.expand(g.constant(0, dtype_of(rows)), g.concat(missing, g.shape(rows, start=1), axis=0))
    return g.concat(rows, zeros, axis=0)  # type: ignore[no-any-return]


@op("TensorListPushBack")
def push_back(g: Graph, node: Node) -> Any:
    found, row = list_of(node), g.unsqueeze(node.input(1), axes=(0,))
    if found.rows is None:
        return TensorList(found.dtype, rows=row)
    return TensorList(found.dtype, rows=g.concat(found.rows, row, axis=0))


@op("TensorListLength")
def length(g: Graph, node: Node) -> Any:
    found = list_of(node)
    count = found.count if found.rows is None else g.reshape(g.shape(found.rows, end=1), [])
    return g.cast(count, to="int32")


@op("TensorListConcatV2", "TensorListConcat")
def concat(g: Graph, node: Node) -> Any:
    """The elements joined along their first axis, and the length of each."""
    rows = _rows(node)
    count, each = (g.shape(rows, start=axis, end=axis + 1) for axis in (0, 1))
    sizes = g.concat(g.mul(count, each), g.shape(rows, start=2), axis=0) if rank_of(rows) > 2 else g.mul(count, each)
    return g.reshape(rows, sizes), g.expand(each, count)


@op("TensorListGather")
def gather(g: Graph, node: Node) -> Any:
    return g.gather(_rows(node), node.input(1), axis=0)
