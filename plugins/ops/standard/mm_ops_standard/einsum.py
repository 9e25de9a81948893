"""Sums of products written as an equation, made of transposes, reshapes and matrix products."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from mm_core.ops import NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand
from mm_core.types import Array, Dim, broadcast_dims
from mm_ops_standard.checks import require, same
from mm_ops_standard.places import places
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import reshape, sizes_of, times

Labels = tuple[str, ...]
_EQUATION = re.compile(r"(?:[A-Za-z]|\.\.\.|,)*(?:->(?:[A-Za-z]|\.\.\.)*)?")


def _labels(op: str, equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """Labels of each operand's axes and of the result's. Axes under an ellipsis are called ...1, ...2 from behind."""
    text = equation.replace(" ", "")
    require(_EQUATION.fullmatch(text) is not None, f"{op}: {equation!r} is not an equation such as 'ij,jk->ik'")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    require(len(terms) == len(ranks), f"{op}: {equation!r} is for {len(terms)} operands, got {len(ranks)}")
    widest, operands = 0, []
    for term, rank in zip(terms, ranks):
        before, ellipsis, after = term.partition("...")
        hidden = rank - len(before) - len(after) if ellipsis else 0
        fits = "..." not in after and hidden >= 0 and (bool(ellipsis) or len(term) == rank)
        require(fits, f"{op}: the {len(before + after)} labels of {term!r} do not fit an operand of rank {rank}")
        widest = max(widest, hidden)
        operands.append((*before, *_hidden(hidden), *after))
    every = [label for labels in operands for label in labels]
    if arrow:
        before, ellipsis, after = right.partition("...")
        output = (*before, *_hidden(widest if ellipsis else 0), *after)
    else:
        single = sorted(label for label in every if every.count(label) == 1 and label.isalpha())
        output = (*_hidden(widest), *single)
    for label in output:
        once = label in every and output.count(label) == 1
        require(once, f"{op}: the result's label {label!r} is there twice, or no operand has it")
    return operands, output


def _hidden(count: int) -> Labels:
    return tuple(f"...{place}" for place in range(count, 0, -1))


class Einsum(OpDef):
    """Products of the operands' elements summed over all labels that the result lacks (numpy.einsum; ONNX Einsum)."""

    name = "mm.einsum"
    operands = (Operand("first"), Operand("rest", "T", Arity.VARIADIC))
    dtypes = {"T": NUMERIC}
    attributes = (Attribute("equation", str),)

    def infer(self, types: Any, values: KnownValues, *, equation: str) -> Any:
        operands, output = _labels(self.name, equation, [len(type_.shape) for type_ in types])
        sizes: dict[str, Dim] = {}
        for labels, type_ in zip(operands, types):
            for label, size in zip(labels, type_.shape):
                if label not in sizes:
                    sizes[label] = size
                elif label.isalpha():
                    sizes[label] = same(sizes[label], size, f"{self.name}: sizes of the label {label!r}")
                else:
                    sizes[label] = broadcast_dims(sizes[label], size)
        return tuple(sizes[label] for label in output)

    def reference(self, *operands: Array, equation: str) -> Array:
        _labels(self.name, equation, [operand.ndim for operand in operands])
        y = np.einsum(equation.replace(" ", ""), *map(wide, operands), optimize=True)
        return np.asarray(y).astype(operands[0].dtype)

    def decompose(self, graph: Any, *operands: Any, equation: str) -> Any:
        labels, output = _labels(self.name, equation, [len(operand.type.shape) for operand in operands])

        def build(*operands: Any) -> Any:
            terms = [_diagonal(graph, *term) for term in zip(operands, labels)]
            while len(terms) > 1:
                wanted = {*output, *(label for _, names in terms[2:] for label in names)}
                terms[:2] = [_contract(graph, *terms[0], *terms[1], wanted)]
            value, names = _sum_out(graph, *terms[0], set(output))
            return _arrange(graph, value, names, output)

        return in_float32(graph, build, *operands)


def _arrange(graph: Any, value: Any, labels: Labels, wanted: Labels) -> Any:
    if labels == wanted:
        return value
    return graph.transpose(value, permutation=tuple(labels.index(label) for label in wanted))


def _sum_out(graph: Any, value: Any, labels: Labels, wanted: set[str]) -> tuple[Any, Labels]:
    """Labels that nobody wants are summed over."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in wanted)
    if not axes:
        return value, labels
    return graph.reduce_sum(value, axes=axes, keepdims=False), tuple(label for label in labels if label in wanted)


def _diagonal(graph: Any, value: Any, labels: Labels) -> tuple[Any, Labels]:
    """A label that an operand has twice: only the diagonal counts."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size, rank = sizes_of(graph, value)[first], len(labels)
            row, column = (places(graph, size, rank - 1 - axis) for axis in (first, second))
            value = graph.select(graph.equal(row, column), value, 0)
            value = graph.reduce_sum(value, axes=(second,), keepdims=False)
            labels = labels[:second] + labels[second + 1 :]
    return value, labels


def _contract(graph: Any, a: Any, a_labels: Labels, b: Any, b_labels: Labels, wanted: set[str]) -> tuple[Any, Labels]:
    """The product of two terms, summed over what they share and nobody wants."""
    a, a_labels = _sum_out(graph, a, a_labels, wanted | set(b_labels))
    b, b_labels = _sum_out(graph, b, b_labels, wanted | set(a_labels))
    shared = [label for label in a_labels if label in b_labels]
    batch = tuple(label for label in shared if label in wanted)
    summed = tuple(label for label in shared if label not in wanted)
    a_free = tuple(label for label in a_labels if label not in shared)
    b_free = tuple(label for label in b_labels if label not in shared)
    a_sizes = dict(zip(a_labels, sizes_of(graph, a)))
    b_sizes = dict(zip(b_labels, sizes_of(graph, b)))

    def merged(sizes: dict[str, Any], labels: Labels) -> Any:
        return reduce(lambda left, right: times(graph, left, right), (sizes[label] for label in labels), 1)

    def matrix(value: Any, labels: Labels, sizes: dict[str, Any], rows: Labels, columns: Labels) -> Any:
        value = _arrange(graph, value, labels, batch + rows + columns)
        shape = [*(sizes[label] for label in batch), merged(sizes, rows), merged(sizes, columns)]
        return value if len(rows) == len(columns) == 1 else reshape(graph, value, shape)

    product = graph.matmul(matrix(a, a_labels, a_sizes, a_free, summed), matrix(b, b_labels, b_sizes, summed, b_free))
    if len(a_free) != 1 or len(b_free) != 1:
        free = [*(a_sizes[label] for label in a_free), *(b_sizes[label] for label in b_free)]
        product = reshape(graph, product, [*sizes_of(graph, product)[: len(batch)], *free])
    return product, batch + a_free + b_free


OPS: tuple[type[OpDef], ...] = (Einsum,)
