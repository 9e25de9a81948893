"""Ragged and sparse tensors, which are several dense ones: values, and where they stand."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import dtype_of, rank_of

FAMILY = Family()
op = FAMILY.op


@op("RaggedTensorToTensor")
def ragged_to_tensor(g: Graph, node: Node) -> Any:
    """Rows of different lengths as rows of one length: what they have more is cut off, what they lack is filled."""
    kinds = [kind.decode() for kind in node.proto.attr["row_partition_types"].list.s]
    if kinds != ["ROW_SPLITS"]:
        raise node.unsupported(f"rows told by {', '.join(kinds)}, available is ROW_SPLITS")
    stated = node.constant(0)
    if stated is None:
        raise node.unsupported("the shape depends on data, it must be constant")
    height, width, *_ = (*stated.reshape(-1).tolist(), -1, -1)
    values, default, splits = node.input(1), node.input(2), g.cast(node.input(3), to="int64")
    if height >= 0 or rank_of(default):
        raise node.unsupported("a number of rows, or a filling that is no single number")
    starts, ends = g.slice(splits, [0], [-1], [0]), g.slice(splits, [1], [2**63 - 1], [0])
    lengths = g.sub(ends, starts)
    count = g.constant([width], "int64") if width >= 0 else g.sizes(g.reshape(_longest(g, lengths), [1]))
    columns = g.iota(count)
    inside = g.less(columns, g.unsqueeze(lengths, axes=(1,)))
    # The filling stands behind the values.
    one = g.expand(default, g.concat(g.constant([1], "int64"), g.shape(values, start=1), axis=0))
    places = g.select(inside, g.add(columns, g.unsqueeze(starts, axes=(1,))), g.shape(values, end=1))
    return g.gather(g.concat(values, one, axis=0), places, axis=0)


def _longest(g: Graph, lengths: Value) -> Value:
    """The greatest length; 0 if there are no rows."""
    with_none = g.concat(lengths, g.constant([0], "int64"), axis=0)
    return g.reduce_max(with_none, axes=(0,), keepdims=False)  # type: ignore[no-any-return]


@op("SparseToDense")
def sparse_to_dense(g: Graph, node: Node) -> Any:
    """A tensor of one number, with values at the places given."""
    places, values, default = g.cast(node.input(0), to="int64"), node.input(2), node.input(3)
    if rank_of(places) < 2:
        places = g.reshape(places, [-1, 1])
    whole = g.expand(default, node.input(1))
    own = g.shape(places, end=1)
    return g.scatter_nd(whole, places, g.expand(values, own) if not rank_of(values) else values)


@op("SparseTensorDenseMatMul")
def sparse_product(g: Graph, node: Node) -> Any:
    """Each value times the row of the dense matrix that its column names, added to the row of the result."""
    places, values, dense = g.cast(node.input(0), to="int64"), node.input(1), node.input(3)
    sides = (1, 0) if node.flag("adjoint_a") else (0, 1)
    rows, columns = (g.gather(places, g.constant(side, "int64"), axis=1) for side in sides)
    if node.flag("adjoint_b"):
        dense = g.transpose(dense, permutation=(1, 0))
    height = g.gather(g.cast(node.input(2), to="int64"), g.constant([sides[0]], "int64"), axis=0)
    zeros = g.expand(g.constant(0, dtype_of(dense)), g.concat(g.sizes(height), g.shape(dense, start=1), axis=0))
    terms = g.mul(g.unsqueeze(values, axes=(1,)), g.gather(dense, columns, axis=0))
    return g.scatter_nd(zeros, g.unsqueeze(rows, axes=(1,)), terms, reduction="add")
