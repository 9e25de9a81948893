"""Support vector machines: kernels, and probabilities of classes from those of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ir import Graph
from mm_core.ops import Attribute, OpDef, Operand
from mm_core.types import BY_NAME, Array, TensorType
from mm_ops_ml.lookup import FLOATS

ROUNDS = 100
"""Sweeps at most over the coupled probabilities; they settle in a few, see `CoupleProbabilities`."""


class SvmKernel(OpDef):
    """k(x, v) for each row of x [N, F] and each support vector [V, F]: [N, V].

    linear: x.v; poly: (gamma x.v + offset) ** degree; rbf: exp(-gamma |x - v|**2); sigmoid: tanh(gamma x.v + offset).
    """

    name = "ml.svm_kernel"
    operands = (Operand("x"), Operand("vectors"))
    dtypes = {"T": FLOATS}
    attributes = (
        Attribute("kind", str, "linear", ("linear", "poly", "rbf", "sigmoid")),
        Attribute("gamma", float, 1.0), Attribute("offset", float, 0.0), Attribute("degree", float, 3.0),
    )  # fmt: skip

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        x, vectors = (type_.shape for type_ in types)
        if len(x) != 2 or len(vectors) != 2:
            raise UnsupportedOpError(f"{self.name} takes [N, F] and [V, F], got {types[0]} and {types[1]}")
        return (x[0], vectors[0])

    def reference(self, x: Array, vectors: Array, *, kind: str, gamma: float, offset: float, degree: float) -> Array:
        if kind == "rbf":
            return np.asarray(np.exp(-gamma * np.square(x[:, None] - vectors).sum(-1))).astype(x.dtype)
        product = x @ vectors.T
        if kind == "linear":
            return np.asarray(product)
        affine = gamma * product + offset
        return np.asarray(affine**degree if kind == "poly" else np.tanh(affine)).astype(x.dtype)

    def decompose(
        self, graph: Any, x: Any, vectors: Any, *, kind: str, gamma: float, offset: float, degree: float
    ) -> Any:
        if kind == "rbf":
            # Squares of differences, not |x|^2 - 2 x.v + |v|^2: rows close to a vector would lose all their digits.
            apart = graph.square(graph.sub(graph.unsqueeze(x, axes=(1,)), vectors))
            return graph.exp(graph.mul(graph.reduce_sum(apart, axes=(2,), keepdims=False), -gamma))
        product = graph.matmul(x, graph.transpose(vectors, permutation=(1, 0)))
        if kind == "linear":
            return product
        affine = graph.add(graph.mul(product, gamma), offset)
        return graph.pow(affine, degree) if kind == "poly" else graph.tanh(affine)


class CoupleProbabilities(OpDef):
    """Probabilities of C classes from those of their pairs, [N, C, C] to [N, C]: element [i, j] is that of i against j.

    The second method of Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling",
    2004, as libsvm has it: sweeps until each row's conditions hold to 0.005 / C. The diagonal is not read.
    """

    name = "ml.couple_probabilities"
    operands = (Operand("pairs"),)
    dtypes = {"T": FLOATS}

    def infer(self, types: Any, values: Any) -> Any:
        shape = types[0].shape
        if len(shape) != 3 or shape[1] != shape[2] or not isinstance(shape[1], int) or shape[1] < 2:
            raise UnsupportedOpError(f"{self.name} takes [N, C, C] with at least two classes, got {types[0]}")
        return shape[:2]

    def reference(self, pairs: Array) -> Array:
        count = pairs.shape[1]
        off = ~np.eye(count, dtype=bool)
        turned = pairs.swapaxes(1, 2)
        q = np.where(off, -turned * pairs, 0)
        index = np.arange(count)
        q[:, index, index] = np.where(off, turned**2, 0).sum(2)
        p = np.full(pairs.shape[:2], 1 / count, pairs.dtype)
        for row, matrix in zip(p, q):
            for _ in range(ROUNDS):
                products = matrix @ row
                if np.abs(products - row @ products).max() < 0.005 / count:
                    break
                for t in range(count):
                    products = matrix @ row
                    row[t] += (row @ products - products[t]) / matrix[t, t]
                    row /= row.sum()
        return p

    def decompose(self, graph: Any, pairs: Any) -> Any:
        count, dtype = pairs.type.shape[1], pairs.type.dtype
        turned = graph.transpose(pairs, permutation=(0, 2, 1))
        diagonal = np.eye(count, dtype=bool)
        others = graph.select(diagonal, 0, graph.square(turned))
        sums = graph.reduce_sum(others, axes=(2,), keepdims=True)
        q = graph.select(diagonal, sums, graph.neg(graph.mul(turned, pairs)))
        rows = graph.shape(pairs, end=2)
        even = graph.expand(graph.constant(1 / count, dtype), rows)
        body = _sweep(graph.graph, even.type, q.type)
        (p,) = graph.loop(graph.constant(ROUNDS), graph.constant(True), even, q, carried=1, regions=(body,))
        return p


def _sweep(graph: Graph, p_type: TensorType, q_type: TensorType) -> Graph:
    """One round for all rows: those that have settled stay as they are; it goes on while one has not."""
    body = Graph(within=graph)
    body.add_argument(TensorType(BY_NAME["int64"], ()))
    body.add_argument(TensorType(BY_NAME["bool"], ()))
    start, q = body.add_argument(p_type), body.add_argument(q_type)
    count = p_type.shape[1]  # type: ignore[index]
    assert isinstance(count, int)

    def column(values: Any, place: int) -> Any:
        return body.slice(values, [place], [place + 1], [1])

    def total(values: Any) -> Any:
        return body.reduce_sum(values, axes=(1,), keepdims=True)

    def products(values: Any) -> Any:
        return body.reduce_sum(body.mul(q, body.unsqueeze(values, axes=(1,))), axes=(2,), keepdims=False)

    found = products(start)
    error = body.reduce_max(body.abs(body.sub(found, total(body.mul(start, found)))), axes=(1,), keepdims=True)
    open_rows = body.less_or_equal(0.005 / count, error)
    p = start
    for place in range(count):
        found = products(p) if place else found
        own = body.reshape(body.slice(q, [place, place], [place + 1, place + 1], [1, 2]), [-1, 1])
        change = body.div(body.sub(total(body.mul(p, found)), column(found, place)), own)
        p = body.add(p, body.mul(np.eye(count)[place].astype(p_type.dtype.numpy), change))
        p = body.div(p, total(p))
    left = body.reduce_sum(body.cast(open_rows, to="int64"), axes=(0, 1), keepdims=False)
    body.set_outputs([body.less(0, left), body.select(open_rows, p, start)])
    return body


OPS: tuple[type[OpDef], ...] = (SvmKernel, CoupleProbabilities)
