"""Diagonals and bands of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import rank_of, shape_of

FAMILY = Family()
op = FAMILY.op


def _numbers(g: Graph, x: Value) -> tuple[Value, Value]:
    """The row numbers of a matrix as a column, its column numbers as a row."""
    rows, columns = (g.iota(g.shape(x, start=axis, end=axis + 1)) for axis in (rank_of(x) - 2, rank_of(x) - 1))
    return g.unsqueeze(rows, axes=(1,)), columns


@op("MatrixBandPart")
def band_part(g: Graph, node: Node) -> Any:
    """What lies at most so far below and above the diagonal; less than 0 keeps all."""
    x = node.input()
    rows, columns = _numbers(g, x)
    kept = g.constant(np.bool_(True))
    for index, distance in ((1, g.sub(rows, columns)), (2, g.sub(columns, rows))):
        limit = node.constant(index)
        if limit is None:
            most = g.cast(node.input(index), to="int64")
            kept = g.logical_and(kept, g.logical_or(g.less(most, 0), g.less_or_equal(distance, most)))
        elif limit >= 0:
            kept = g.logical_and(kept, g.less_or_equal(distance, int(limit)))
    return g.select(kept, x, 0)


@op("MatrixDiag")
def diag(g: Graph, node: Node) -> Any:
    return _diagonal(g, node.input())


@op("MatrixDiagV2", "MatrixDiagV3")
def diag_v3(g: Graph, node: Node) -> Any:
    """The main diagonal of a square matrix."""
    if set(node.ints(1, "the diagonal")) != {0} or {*node.ints(2, "rows"), *node.ints(3, "columns")} != {-1}:
        raise node.unsupported("other diagonals than the main one, of other matrices than square ones")
    return _diagonal(g, node.input(), node.input(4))


def _diagonal(g: Graph, x: Value, filling: Value | None = None) -> Any:
    rank = rank_of(x)
    numbers = g.iota(g.shape(x, start=rank - 1))
    hit = g.equal(g.unsqueeze(numbers, axes=(1,)), numbers)
    return g.select(hit, g.unsqueeze(x, axes=(rank - 1,)), 0 if filling is None else filling)


@op("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3")
def diag_part(g: Graph, node: Node) -> Any:
    if len(node) > 1 and set(node.ints(1, "the diagonal")) != {0}:
        raise node.unsupported("other diagonals than the main one")
    x = node.input()
    rank = rank_of(x)
    rows, columns = shape_of(x)[-2:]
    numbers = g.iota(g.minimum(*(g.shape(x, start=axis, end=axis + 1) for axis in (rank - 2, rank - 1))))
    if rows != columns:
        x = g.gather(x, numbers, axis=rank - 2)
    wide = g.expand(
        g.unsqueeze(numbers, axes=(1,)), g.concat(g.shape(x, end=rank - 1), g.constant([1], "int64"), axis=0)
    )
    return g.squeeze(g.gather_elements(x, wide, axis=rank - 1), axes=(rank - 1,))


@op("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3")
def set_diag(g: Graph, node: Node) -> Any:
    if len(node) > 2 and set(node.ints(2, "the diagonal")) != {0}:
        raise node.unsupported("other diagonals than the main one")
    x, diagonal = node.input(0), node.input(1)
    rows, columns = _numbers(g, x)
    sizes = shape_of(x)[-2:]
    if sizes[0] != sizes[1]:
        raise node.unsupported("the matrix is not square")
    return g.select(g.equal(rows, columns), g.unsqueeze(diagonal, axes=(rank_of(diagonal) - 1,)), x)


@op("MatrixInverse")
def inverse(g: Graph, node: Node) -> Any:
    x = node.input()
    if node.flag("adjoint"):
        x = g.transpose(x, permutation=(*range(rank_of(x) - 2), rank_of(x) - 1, rank_of(x) - 2))
    return g.inverse(x)


@op("MatrixDeterminant")
def determinant(g: Graph, node: Node) -> Any:
    return g.det(node.input())


@op("Cross")
def cross(g: Graph, node: Node) -> Any:
    """The vector product along the last axis, of size 3."""

    def turned(value: Value, places: list[int]) -> Any:
        return g.gather(value, g.constant(places, "int64"), axis=rank_of(value) - 1)

    a, b = node.input(0), node.input(1)
    left = g.mul(turned(a, [1, 2, 0]), turned(b, [2, 0, 1]))
    return g.sub(left, g.mul(turned(a, [2, 0, 1]), turned(b, [1, 2, 0])))
