"""Einstein summation as matrix products: operands are taken in pairs, from left to right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from string import ascii_letters

from mm_core.errors import ParseError
from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import product, reshape, size_of, sizes_of

Term = tuple[Value, str]
"""A tensor and its axes' labels, one character each, all different."""


def build_einsum(g: Graph, node: Node, equation: str, operands: Sequence[Value]) -> Value:
    """The value of an equation such as `bij,bjk->bik`; `...` stands for any number of broadcast axes."""
    inputs, output = _labels(node, equation, [node.rank(index) for index in range(len(operands))])
    terms = [_diagonal(g, value, labels) for value, labels in zip(operands, inputs)]
    kept = [set(output).union(*(labels for _, labels in terms[index + 1 :])) for index in range(len(terms))]
    steps = iter(kept[1:])
    result = reduce(lambda left, right: _multiply(g, left, right, next(steps)), terms)
    value, labels = _sum(g, result, set(output))
    if labels == output:
        return value
    return g.transpose(value, permutation=[labels.index(label) for label in output])  # type: ignore[no-any-return]


def _labels(node: Node, equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result; the axes of an ellipsis get labels that the equation does not use."""
    equation = "".join(equation.split())
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks) or not all(
        set(part.replace("...", "", 1)) <= set(ascii_letters) for part in (*parts, right)
    ):
        raise ParseError(f"the equation {equation!r} does not fit {len(ranks)} operands", where=node.where)
    spare = "".join(chr(code) for code in range(0x100, 0x120))
    widths = [rank - len(part.replace("...", "")) if "..." in part else 0 for part, rank in zip(parts, ranks)]
    ellipsis = spare[-max(widths) :] if max(widths, default=0) > 0 else ""
    inputs = [part.replace("...", ellipsis[len(ellipsis) - width :]) for part, width in zip(parts, widths)]
    if any(width < 0 or len(labels) != rank for width, labels, rank in zip(widths, inputs, ranks)):
        raise ParseError(f"the equation {equation!r} does not fit operands of ranks {ranks}", where=node.where)
    if arrow:
        output = right.replace("...", ellipsis)
    else:
        counts = Counter("".join(parts).replace(".", ""))
        output = ellipsis + "".join(sorted(label for label, count in counts.items() if count == 1))
    if len(set(output)) < len(output) or not set(output) <= set("".join(inputs)):
        raise ParseError(f"the result of the equation {equation!r} repeats a label or has a new one", where=node.where)
    return inputs, output


def _diagonal(g: Graph, value: Value, labels: str) -> Term:
    """Repeated labels take the diagonal: other places are zeroed and summed away."""
    for label in [label for label, count in Counter(labels).items() if count > 1]:
        while labels.count(label) > 1:
            first, last = labels.index(label), labels.rindex(label)
            shape = g.shape(value)
            mask = g.equal(g.iota(shape, axis=first), g.iota(shape, axis=last))
            zero = g.constant(0, value.type.dtype)  # type: ignore[union-attr]
            value = g.reduce_sum(g.select(mask, value, zero), axes=(last,), keepdims=False)
            labels = labels[:last] + labels[last + 1 :]
    return value, labels


def _sum(g: Graph, term: Term, kept: set[str]) -> Term:
    value, labels = term
    axes = [axis for axis, label in enumerate(labels) if label not in kept]
    if not axes:
        return term
    return g.reduce_sum(value, axes=axes, keepdims=False), "".join(label for label in labels if label in kept)


def _multiply(g: Graph, left: Term, right: Term, kept: set[str]) -> Term:
    """The product of two terms, summed over labels that both have and nobody needs afterwards."""
    left, right = _sum(g, left, kept | set(right[1])), _sum(g, right, kept | set(left[1]))
    (a, a_labels), (b, b_labels) = left, right
    shared = [label for label in a_labels if label in b_labels]
    if any(_differ(a, a_labels, b, b_labels, label) for label in shared) or all(label in kept for label in shared):
        labels = a_labels + "".join(label for label in b_labels if label not in a_labels)
        spread = [_spread(g, value, own, labels) for value, own in (left, right)]
        return _sum(g, (g.mul(*spread), labels), kept)
    batch = "".join(label for label in shared if label in kept)
    inner = "".join(label for label in shared if label not in kept)
    rows = "".join(label for label in a_labels if label not in b_labels)
    columns = "".join(label for label in b_labels if label not in a_labels)
    product_ = g.matmul(
        _as_matrices(g, a, a_labels, (batch, rows, inner)), _as_matrices(g, b, b_labels, (batch, inner, columns))
    )
    sizes = [
        *(size_of(g, a, a_labels.index(label)) for label in batch + rows),
        *(size_of(g, b, b_labels.index(label)) for label in columns),
    ]
    labels = batch + rows + columns
    if len(rows) == len(columns) == 1:
        return product_, labels
    return reshape(g, product_, sizes), labels


def _differ(a: Value, a_labels: str, b: Value, b_labels: str, label: str) -> bool:
    """Whether one operand is broadcast along a label: a matrix product does not do that."""
    left = a.type.shape[a_labels.index(label)]  # type: ignore[union-attr, index]
    right = b.type.shape[b_labels.index(label)]  # type: ignore[union-attr, index]
    return 1 in (left, right) and left != right


def _spread(g: Graph, value: Value, own: str, labels: str) -> Value:
    """The value with its axes in the order of `labels` and axes of size 1 for those it lacks."""
    order = [own.index(label) for label in labels if label in own]
    value = value if order == sorted(order) else g.transpose(value, permutation=order)
    missing = tuple(place for place, label in enumerate(labels) if label not in own)
    return g.unsqueeze(value, axes=missing) if missing else value


def _as_matrices(g: Graph, value: Value, own: str, groups: tuple[str, str, str]) -> Value:
    """[*batch, rows, columns]: the labels of the last two groups joined into one axis each."""
    labels = "".join(groups)
    if own != labels:
        value = g.transpose(value, permutation=[own.index(label) for label in labels])
    if len(groups[1]) == len(groups[2]) == 1:
        return value
    sizes = sizes_of(g, value)
    start, middle = len(groups[0]), len(groups[0]) + len(groups[1])
    return reshape(g, value, [*sizes[:start], product(g, sizes[start:middle]), product(g, sizes[middle:])])
