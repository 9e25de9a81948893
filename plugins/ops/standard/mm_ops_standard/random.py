"""Random streams. Without a seed every run gives other numbers; with one, all runs give the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import BOOL, FLOATS, INDEX, NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier, Trait
from mm_core.types import BY_NAME, Array, DType, normal_stream, uniform_stream
from mm_ops_standard.checks import require, require_rank
from mm_ops_standard.known import dims
from mm_ops_standard.shapes import is_settled, shape_operand, sizes_of

_SEED = Attribute("seed", float, None)
_BOOL = BY_NAME["bool"]


class _Random(OpDef):
    tier = Tier.HOST
    traits = frozenset({Trait.RANDOM})


class _Stream(_Random):
    """Numbers of a given shape."""

    operands = (Operand("shape", "I"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"I": INDEX}

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return dims(values[0], types[0])

    def decompose(self, graph: Any, shape: Any, **attributes: Any) -> Any:
        """A shape that only running tells is read there."""
        if not isinstance(shape.type.shape[0], int) or is_settled(self, shape, **attributes):
            return None
        return graph.op(self.name, graph.sizes(shape), **attributes)


class RandomUniform(_Stream):
    """Numbers of the given shape, evenly spread over [low, high) (ONNX RandomUniform)."""

    name = "mm.random_uniform"
    attributes = (
        Attribute("low", float, 0.0),
        Attribute("high", float, 1.0),
        Attribute("dtype", DType, "float32"),
        _SEED,
    )

    def reference(self, shape: Array, *, low: float, high: float, dtype: DType, seed: float | None) -> Array:
        return uniform_stream(shape.tolist(), low, high, seed).astype(dtype.numpy)


class RandomNormal(_Stream):
    """Numbers of the given shape, normally distributed (ONNX RandomNormal); `scale` is the standard deviation."""

    name = "mm.random_normal"
    attributes = (
        Attribute("mean", float, 0.0),
        Attribute("scale", float, 1.0),
        Attribute("dtype", DType, "float32"),
        _SEED,
    )

    def reference(self, shape: Array, *, mean: float, scale: float, dtype: DType, seed: float | None) -> Array:
        return normal_stream(shape.tolist(), mean, scale, seed).astype(dtype.numpy)


class Bernoulli(_Random):
    """One with the probability that x holds, else zero, as `dtype` (ONNX Bernoulli)."""

    name = "mm.bernoulli"
    tier = Tier.COMPOSITE
    operands = (Operand("x"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("dtype", DType), _SEED)

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return types[0].shape

    def reference(self, x: Array, *, dtype: DType, seed: float | None) -> Array:
        return (uniform_stream(x.shape, 0, 1, seed) < x.astype(np.float64)).astype(dtype.numpy)

    def decompose(self, graph: Any, x: Any, *, dtype: DType, seed: float | None) -> Any:
        numbers = graph.random_uniform(_shape(graph, x), dtype="float64", seed=seed)
        return graph.cast(graph.less(numbers, graph.cast(x, to="float64")), to=dtype)


def _shape(graph: Any, x: Any) -> Any:
    return shape_operand(graph, sizes_of(graph, x))


class Multinomial(_Random):
    """`sample_size` class numbers for each row of unnormalised log-probabilities x [B, classes] (ONNX Multinomial)."""

    name = "mm.multinomial"
    tier = Tier.COMPOSITE
    operands = (Operand("x"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("sample_size", int, 1), Attribute("dtype", DType, "int32"), _SEED)

    def infer(self, types: Any, values: KnownValues, *, sample_size: int, dtype: DType, seed: float | None) -> Any:
        require_rank(self.name, "x", types[0].shape, 2)
        require(sample_size >= 0, f"{self.name}: sample_size must not be negative, it is {sample_size}")
        require(dtype in INDEX, f"{self.name}: {dtype.name} is not an index type")
        return (types[0].shape[0], sample_size)

    def reference(self, x: Array, *, sample_size: int, dtype: DType, seed: float | None) -> Any:
        scores = x.astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        steps = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)[:, None, :-1]
        numbers = uniform_stream((x.shape[0], sample_size, 1), 0, 1, seed)
        return (steps <= numbers).sum(axis=2).astype(dtype.numpy)

    def decompose(self, graph: Any, x: Any, *, sample_size: int, dtype: DType, seed: float | None) -> Any:
        """The number of steps of the cumulated distribution at or below a uniform number."""
        steps = graph.cumsum(graph.softmax(graph.cast(x, to="float64"), axis=1), axis=1)
        steps = graph.unsqueeze(graph.slice(steps, [0], [-1], [1]), axes=(1,))
        shape = shape_operand(graph, [sizes_of(graph, x)[0], sample_size, 1])
        below = graph.less_or_equal(steps, graph.random_uniform(shape, dtype="float64", seed=seed))
        return graph.reduce_sum(graph.cast(below, to=dtype), axes=(2,), keepdims=False)


class Dropout(_Random):
    """While training, elements zeroed with probability `ratio`, others grown to keep the mean; else x (ONNX Dropout).

    `ratio` (default 0.5) and `training_mode` (default false) are scalars. The second result is true where x was kept.
    """

    name = "mm.dropout"
    tier = Tier.COMPOSITE
    operands = (
        Operand("x"),
        Operand("ratio", "R", Arity.OPTIONAL),
        Operand("training_mode", "B", Arity.OPTIONAL),
    )
    results = (Result("y"), Result("mask", _BOOL))
    dtypes = {"T": NUMERIC, "R": FLOATS, "B": BOOL}
    attributes = (_SEED,)

    def infer(self, types: Any, values: KnownValues, *, seed: float | None) -> Any:
        return [types[0].shape] * 2

    def reference(
        self, x: Array, ratio: Array | None = None, training: Array | None = None, *, seed: float | None
    ) -> tuple[Array, Array]:
        if training is None or not training.item():
            return x, np.ones(x.shape, np.bool_)
        share = np.float64(0.5 if ratio is None else ratio.item())
        mask = uniform_stream(x.shape, 0, 1, seed) >= share
        with np.errstate(divide="ignore", invalid="ignore"):
            grown = x.astype(np.float64) / (1 - share)
        return np.where(mask, grown, 0).astype(x.dtype), mask

    def decompose(self, graph: Any, x: Any, ratio: Any, training: Any, *, seed: float | None) -> Any:
        if training is None:
            return x, graph.expand(graph.constant(True), _shape(graph, x))
        share = graph.cast(ratio, to="float64") if ratio is not None else graph.constant(0.5, "float64")
        numbers = graph.random_uniform(_shape(graph, x), dtype="float64", seed=seed)
        kept = graph.less_or_equal(share, numbers)
        mask = graph.logical_or(graph.logical_not(training), kept)
        grown = graph.cast(graph.div(graph.cast(x, to="float64"), graph.sub(1.0, share)), to=x.type.dtype)
        return graph.select(training, graph.select(kept, grown, 0), x), mask


OPS: tuple[type[OpDef], ...] = (RandomUniform, RandomNormal, Bernoulli, Multinomial, Dropout)
