"""Random streams. Without a seed every run gives other numbers; with one, all runs give the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import BOOL, FLOATS, INDEX, NUMERIC, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier, Trait
from mm_core.types import BY_NAME, Array, DType
from mm_ops_standard.checks import require, require_rank
from mm_ops_standard.known import dims
from mm_ops_standard.precision import in_float32
from mm_ops_standard.shapes import shape_operand, sizes_of

_SEED = Attribute("seed", float, None)
_BOOL = BY_NAME["bool"]


def _generator(seed: float | None) -> np.random.Generator:
    return np.random.default_rng(None if seed is None else np.frombuffer(np.float64(seed).tobytes(), np.uint64))


class _Random(OpDef):
    tier = Tier.HOST
    traits = frozenset({Trait.RANDOM})


class RandomUniform(_Random):
    """Numbers of the given shape, evenly spread over [low, high) (ONNX RandomUniform)."""

    name = "mm.random_uniform"
    operands = (Operand("shape", "I"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"I": INDEX}
    attributes = (
        Attribute("low", float, 0.0),
        Attribute("high", float, 1.0),
        Attribute("dtype", DType, "float32"),
        _SEED,
    )

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return dims(values[0], types[0])

    def reference(self, shape: Array, *, low: float, high: float, dtype: DType, seed: float | None) -> Array:
        numbers = _generator(seed).random(tuple(map(int, shape)), np.float32 if dtype.bits < 64 else np.float64)
        return (low + numbers * numbers.dtype.type(high - low)).astype(dtype.numpy)


class RandomNormal(_Random):
    """Numbers of the given shape, normally distributed (ONNX RandomNormal); `scale` is the standard deviation."""

    name = "mm.random_normal"
    operands = (Operand("shape", "I"),)
    results = (Result("y", "@dtype"),)
    dtypes = {"I": INDEX}
    attributes = (
        Attribute("mean", float, 0.0),
        Attribute("scale", float, 1.0),
        Attribute("dtype", DType, "float32"),
        _SEED,
    )

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return dims(values[0], types[0])

    def reference(self, shape: Array, *, mean: float, scale: float, dtype: DType, seed: float | None) -> Array:
        return _generator(seed).normal(mean, scale, tuple(map(int, shape))).astype(dtype.numpy)


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
        numbers = _generator(seed).random(x.shape, np.float32)
        return (numbers < x.astype(np.float32)).astype(dtype.numpy)

    def decompose(self, graph: Any, x: Any, *, dtype: DType, seed: float | None) -> Any:
        numbers = graph.random_uniform(_shape(graph, x), dtype="float32", seed=seed)
        return graph.cast(graph.less(numbers, graph.cast(x, to="float32")), to=dtype)


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

    def reference(self, x: Array, *, sample_size: int, dtype: DType, seed: float | None) -> Array:
        scores = x.astype(np.float32)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        steps = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)[:, None, :-1]
        numbers = _generator(seed).random((x.shape[0], sample_size), np.float32)[:, :, None]
        return (steps <= numbers).sum(axis=2).astype(dtype.numpy)

    def decompose(self, graph: Any, x: Any, *, sample_size: int, dtype: DType, seed: float | None) -> Any:
        """The number of steps of the cumulated distribution at or below a uniform number."""
        steps = graph.cumsum(graph.softmax(graph.cast(x, to="float32"), axis=1), axis=1)
        steps = graph.unsqueeze(graph.slice(steps, [0], [-1], [1]), axes=(1,))
        shape = shape_operand(graph, [sizes_of(graph, x)[0], sample_size, 1])
        below = graph.less_or_equal(steps, graph.random_uniform(shape, dtype="float32", seed=seed))
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
        share = np.float32(0.5 if ratio is None else ratio.item())
        mask = _generator(seed).random(x.shape, np.float32) >= share
        return np.where(mask, x.astype(np.float32) / (1 - share), 0).astype(x.dtype), mask

    def decompose(self, graph: Any, x: Any, ratio: Any, training: Any, *, seed: float | None) -> Any:
        if training is None:
            return x, graph.expand(graph.constant(True), _shape(graph, x))
        share = graph.cast(ratio, to="float32") if ratio is not None else graph.constant(0.5)
        numbers = graph.random_uniform(_shape(graph, x), dtype="float32", seed=seed)
        kept = graph.less_or_equal(share, numbers)
        mask = graph.logical_or(graph.logical_not(training), kept)
        grown = in_float32(graph, lambda value: graph.div(value, graph.sub(1.0, share)), x)
        return graph.select(training, graph.select(kept, grown, 0), x), mask


OPS: tuple[type[OpDef], ...] = (RandomUniform, RandomNormal, Bernoulli, Multinomial, Dropout)
