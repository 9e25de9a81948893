"""Products by equation. Two operands whose axes are shared, summed or free become one matrix product."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.importers.convolution import moved_weight
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import rank_of, shape_of

FAMILY = Family()
op = FAMILY.op


@op("Einsum")
def einsum(g: Graph, node: Node) -> Any:
    equation = node.text("equation").replace(" ", "")
    values = node.inputs()
    terms, _, result = equation.partition("->")
    found = None
    if len(values) == 2 and "." not in equation:
        left, right = terms.split(",")
        first, second = (left, values[0]), (right, values[1])
        if not _comes_first(left, right, result):
            first, second = second, first
        found = _product(g, node, first, second, result)
    return g.einsum(*values, equation=equation) if found is None else found


Term = tuple[str, Value]


def _comes_first(left: str, right: str, result: str) -> bool:
    """Whether the result has the left's own axes before the right's."""
    own = [[result.index(axis) for axis in term if axis in result and axis not in other]
           for term, other in ((left, right), (right, left))]  # fmt: skip
    return not own[1] or (bool(own[0]) and own[0][0] < own[1][0])


def _product(g: Graph, node: Node, left: Term, right: Term, result: str) -> Value | None:
    """`left` times `right` as one matrix product, the left's own axes before the right's, then ordered as `result`.

    None where an axis is repeated or summed over one operand alone, and where sizes that are not known would be joined.
    """
    (a, x), (b, y) = left, right
    shared = [axis for axis in result if axis in a and axis in b]
    rows = [axis for axis in result if axis in a and axis not in b]
    columns = [axis for axis in result if axis in b and axis not in a]
    summed = [axis for axis in a if axis in b and axis not in result]
    if not summed or any(len(set(term)) != len(term) for term in (a, b, result)):
        return None
    if set(a) != {*shared, *rows, *summed} or set(b) != {*shared, *columns, *summed}:
        return None
    order = [*shared, *rows, *columns]
    if [len(rows), len(columns), len(summed)] == [1, 1, 1] or (not shared and len(summed) == len(columns) == 1):
        first = _ordered(g, node, x, a, [*shared, *rows, *summed])
        made = g.matmul(first, _ordered(g, node, y, b, [*shared, *summed, *columns]))
    elif shared or not _is_static(y):
        return None
    else:
        made = _by_matrix(g, node, _ordered(g, node, x, a, [*rows, *summed]), len(rows), right, summed, columns)
    return _ordered(g, node, made, "".join(order), list(result))


def _by_matrix(
    g: Graph, node: Node, first: Value, rows: int, right: Term, summed: list[str], columns: list[str]
) -> Value:
    """The last axes of `first` summed with those of a tensor of known sizes, which is seen as a matrix."""
    term, y = right
    sizes = dict(zip(term, shape_of(y)))
    if len(summed) > 1:
        first = g.reshape(first, _joined(g, first, rows))
    made = g.matmul(first, _matrix(g, node, y, term, summed, columns))
    if len(columns) == 1:
        return made  # type: ignore[no-any-return]
    front = g.shape(made, end=rank_of(made) - 1)
    wide = g.concat(front, g.constant([sizes[axis] for axis in columns], "int64"), axis=0)
    return g.reshape(made, wide)  # type: ignore[no-any-return]


def _is_static(value: Value) -> bool:
    return all(isinstance(size, int) for size in shape_of(value))


def _ordered(g: Graph, node: Node, value: Value, term: str, axes: list[str]) -> Value:
    order = tuple(term.index(axis) for axis in axes)
    return value if list(order) == sorted(order) else moved_weight(node, g, value, order)


def _joined(g: Graph, value: Value, kept: int) -> Value:
    """The first axes as they are, the others as one."""
    total = 1
    for size in shape_of(value)[kept:]:
        total *= size if isinstance(size, int) else 0
    return g.concat(g.shape(value, end=kept), g.constant([total or -1], "int64"), axis=0)  # type: ignore[no-any-return]


def _matrix(g: Graph, node: Node, value: Value, term: str, summed: list[str], columns: list[str]) -> Value:
    """A matrix of the summed axes, joined, and the columns, joined. Weights stay handles."""
    sizes = dict(zip(term, shape_of(value)))
    order = tuple(term.index(axis) for axis in (*summed, *columns))
    shape = [1, 1]
    for place, axes in enumerate((summed, columns)):
        for axis in axes:
            size = sizes[axis]
            assert isinstance(size, int)
            shape[place] *= size
    return moved_weight(node, g, value, order, shape)
