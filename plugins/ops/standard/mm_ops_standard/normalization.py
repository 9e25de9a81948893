"""Normalizations. All compute mean and variance in float32 or wider."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand
from mm_core.types import Array, Dim
from mm_ops_standard.checks import require, require_multiple, require_rank, same
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import axes_of, axis_of, over, reshape, sizes_of, times

_EPSILON = Attribute("epsilon", float, 1e-5)


def _check_channel_vectors(op: str, channels: Dim, types: Any, names: tuple[str, ...]) -> None:
    for name, type_ in zip(names, types):
        if type_ is not None:
            require_rank(op, name, type_.shape, 1)
            same(type_.shape[0], channels, f"{op}: length of {name} and channels")


def _column(vector: Array, rank: int) -> Array:
    """A channel vector shaped to broadcast over [N, C, *spatial]."""
    return wide(vector).reshape(-1, *[1] * (rank - 2))


def _column_value(graph: Any, vector: Any, rank: int) -> Any:
    return graph.reshape(vector, [-1] + [1] * (rank - 2)) if rank != 2 else vector


def _standardize(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.asarray(epsilon, x.dtype)))


def _standardize_values(graph: Any, x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    centred = graph.sub(x, graph.reduce_mean(x, axes=axes, keepdims=True))
    variance = graph.reduce_mean(graph.mul(centred, centred), axes=axes, keepdims=True)
    return graph.div(centred, graph.sqrt(graph.add(variance, epsilon)))


class BatchNorm(OpDef):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias by channel of x [N, C, ...] (ONNX BatchNormalization)."""

    name = "mm.batch_norm"
    operands = (Operand("x"), *(Operand(name, "P") for name in ("scale", "bias", "mean", "variance")))
    dtypes = {"T": FLOATS, "P": FLOATS}
    attributes = (_EPSILON,)

    def infer(self, types: Any, values: KnownValues, *, epsilon: float) -> Any:
        shape = types[0].shape
        require_rank(self.name, "x", shape, 1, 1000)
        channels = shape[1] if len(shape) > 1 else 1
        _check_channel_vectors(self.name, channels, types[1:], ("scale", "bias", "mean", "variance"))
        return shape

    def reference(self, x: Array, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float) -> Array:
        scale, bias, mean, variance = (_column(vector, max(x.ndim, 2)) for vector in (scale, bias, mean, variance))
        factor = scale / np.sqrt(variance + np.asarray(epsilon, variance.dtype))
        return np.asarray((wide(x) - mean) * factor + bias).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, *, epsilon: float) -> Any:
        """Scale and shift: the factors depend on constants only and fold away."""
        dtype, rank = x.type.dtype, max(len(x.type.shape), 2)
        compute = "float64" if "float64" in (dtype.name, scale.type.dtype.name) else "float32"
        scale, bias, mean, variance = (_as(graph, vector, compute) for vector in (scale, bias, mean, variance))
        factor = graph.div(scale, graph.sqrt(graph.add(variance, epsilon)))
        shift = graph.sub(bias, graph.mul(mean, factor))
        y = graph.mul(_as(graph, x, compute), _column_value(graph, factor, rank))
        return _as(graph, graph.add(y, _column_value(graph, shift, rank)), dtype.name)


def _as(graph: Any, value: Any, dtype: str) -> Any:
    return value if value.type.dtype.name == dtype else graph.cast(value, to=dtype)


class InstanceNorm(OpDef):
    """Each channel of each image standardized, times scale plus bias (arXiv 1607.08022; ONNX InstanceNormalization)."""

    name = "mm.instance_norm"
    operands = (Operand("x"), Operand("scale"), Operand("bias"))
    dtypes = {"T": FLOATS}
    attributes = (_EPSILON,)

    def infer(self, types: Any, values: KnownValues, *, epsilon: float) -> Any:
        shape = types[0].shape
        require_rank(self.name, "x", shape, 3, 1000)
        _check_channel_vectors(self.name, shape[1], types[1:], ("scale", "bias"))
        return shape

    def reference(self, x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
        normal = _standardize(wide(x), tuple(range(2, x.ndim)), epsilon)
        return (normal * _column(scale, x.ndim) + _column(bias, x.ndim)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, scale: Any, bias: Any, *, epsilon: float) -> Any:
        rank = len(x.type.shape)

        def build(x: Any, scale: Any, bias: Any) -> Any:
            normal = _standardize_values(graph, x, tuple(range(2, rank)), epsilon)
            scaled = graph.mul(normal, _column_value(graph, scale, rank))
            return graph.add(scaled, _column_value(graph, bias, rank))

        return in_float32(graph, build, x, scale, bias)


class GroupNorm(OpDef):
    """Channels in `num_groups` groups, each standardized; scale and bias are [C] (arXiv 1803.08494).

    ONNX GroupNormalization since version 21; before, its scale and bias were one for a group.
    """

    name = "mm.group_norm"
    operands = (Operand("x"), Operand("scale"), Operand("bias"))
    dtypes = {"T": FLOATS}
    attributes = (Attribute("num_groups", int), _EPSILON)

    def infer(self, types: Any, values: KnownValues, *, num_groups: int, epsilon: float) -> Any:
        shape = types[0].shape
        require_rank(self.name, "x", shape, 2, 1000)
        require(num_groups >= 1, f"{self.name}: num_groups must be at least 1, not {num_groups}")
        require_multiple(shape[1], num_groups, f"{self.name}: channels in groups")
        _check_channel_vectors(self.name, shape[1], types[1:], ("scale", "bias"))
        return shape

    def reference(self, x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float) -> Array:
        grouped = wide(x).reshape(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])
        normal = _standardize(grouped, tuple(range(2, grouped.ndim)), epsilon).reshape(x.shape)
        return (normal * _column(scale, x.ndim) + _column(bias, x.ndim)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, scale: Any, bias: Any, *, num_groups: int, epsilon: float) -> Any:
        rank = len(x.type.shape)

        def build(x: Any, scale: Any, bias: Any) -> Any:
            sizes = sizes_of(graph, x)
            grouped = reshape(graph, x, [sizes[0], num_groups, over(graph, sizes[1], num_groups), *sizes[2:]])
            normal = _standardize_values(graph, grouped, tuple(range(2, rank + 1)), epsilon)
            scaled = graph.mul(reshape(graph, normal, sizes), _column_value(graph, scale, rank))
            return graph.add(scaled, _column_value(graph, bias, rank))

        return in_float32(graph, build, x, scale, bias)


class LayerNorm(OpDef):
    """Axes from `axis` on made zero mean and unit variance, times scale plus bias (arXiv 1607.06450).

    ONNX LayerNormalization, first result.
    """

    name = "mm.layer_norm"
    operands = (Operand("x"), Operand("scale", "T", Arity.OPTIONAL), Operand("bias", "T", Arity.OPTIONAL))
    dtypes = {"T": FLOATS}
    attributes = (Attribute("axis", int, -1), _EPSILON)

    def infer(self, types: Any, values: KnownValues, *, axis: int, epsilon: float) -> Any:
        shape = types[0].shape
        axis_of(self.name, axis, len(shape))
        for name, type_ in zip(("scale", "bias"), types[1:]):
            if type_ is not None:
                _check_broadcasts_to(self.name, name, type_.shape, shape)
        return shape

    def reference(
        self, x: Array, scale: Array | None = None, bias: Array | None = None, *, axis: int, epsilon: float
    ) -> Array:
        y = _standardize(wide(x), tuple(range(axis % x.ndim, x.ndim)), epsilon)
        if scale is not None:
            y = y * wide(scale)
        if bias is not None:
            y = y + wide(bias)
        return y.astype(x.dtype)

    def decompose(self, graph: Any, x: Any, scale: Any, bias: Any, *, axis: int, epsilon: float) -> Any:
        rank = len(x.type.shape)

        def build(x: Any, scale: Any, bias: Any) -> Any:
            y = _standardize_values(graph, x, tuple(range(axis % rank, rank)), epsilon)
            if scale is not None:
                y = graph.mul(y, scale)
            return y if bias is None else graph.add(y, bias)

        return in_float32(graph, build, x, scale, bias)


def _check_broadcasts_to(op: str, name: str, shape: tuple[Dim, ...], target: tuple[Dim, ...]) -> None:
    require(len(shape) <= len(target), f"{op}: {name} of shape {list(shape)} does not broadcast to {list(target)}")
    for size, wanted in zip(reversed(shape), reversed(target)):
        if size != 1:
            same(size, wanted, f"{op}: sizes of {name} and of x")


class RMSNorm(OpDef):
    """x / sqrt(mean(x^2) + epsilon) over axes from `axis` on, times scale (arXiv 1910.07467; ONNX RMSNormalization)."""

    name = "mm.rms_norm"
    operands = (Operand("x"), Operand("scale", "T", Arity.OPTIONAL))
    dtypes = {"T": FLOATS}
    attributes = (Attribute("axis", int, -1), _EPSILON)

    def infer(self, types: Any, values: KnownValues, *, axis: int, epsilon: float) -> Any:
        shape = types[0].shape
        axis_of(self.name, axis, len(shape))
        if types[1] is not None:
            _check_broadcasts_to(self.name, "scale", types[1].shape, shape)
        return shape

    def reference(self, x: Array, scale: Array | None = None, *, axis: int, epsilon: float) -> Array:
        signal = wide(x)
        axes = tuple(range(axis % x.ndim, x.ndim))
        y = signal / np.sqrt(np.square(signal).mean(axis=axes, keepdims=True) + np.asarray(epsilon, signal.dtype))
        return np.asarray(y if scale is None else y * wide(scale)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, scale: Any, *, axis: int, epsilon: float) -> Any:
        rank = len(x.type.shape)

        def build(x: Any, scale: Any) -> Any:
            square = graph.reduce_mean(graph.mul(x, x), axes=tuple(range(axis % rank, rank)), keepdims=True)
            y = graph.div(x, graph.sqrt(graph.add(square, epsilon)))
            return y if scale is None else graph.mul(y, scale)

        return in_float32(graph, build, x, scale)


class LpNorm(OpDef):
    """x divided by its p-norm along `axis`; a zero norm gives zeros (ONNX LpNormalization)."""

    name = "mm.lp_norm"
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("axis", int, -1), Attribute("p", int, 2, (1, 2)))

    def infer(self, types: Any, values: KnownValues, *, axis: int, p: int) -> Any:
        axis_of(self.name, axis, len(types[0].shape))
        return types[0].shape

    def reference(self, x: Array, *, axis: int, p: int) -> Array:
        signal = wide(x)
        norm = np.linalg.norm(signal, p, axis=axis, keepdims=True)
        return np.where(norm == 0, 0, signal / np.where(norm == 0, 1, norm)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, axis: int, p: int) -> Any:
        axes = (axis % len(x.type.shape),)

        def build(x: Any) -> Any:
            if p == 1:
                norm = graph.reduce_sum(graph.abs(x), axes=axes, keepdims=True)
            else:
                norm = graph.sqrt(graph.reduce_sum(graph.mul(x, x), axes=axes, keepdims=True))
            is_zero = graph.equal(norm, 0.0)
            return graph.select(is_zero, 0.0, graph.div(x, graph.select(is_zero, 1.0, norm)))

        return in_float32(graph, build, x)


class MeanVarianceNorm(OpDef):
    """Zero mean and unit variance over `axes` (ONNX MeanVarianceNormalization: 1e-9 is added to the deviation)."""

    name = "mm.mean_variance_norm"
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("axes", (int,), (0, 2, 3)),)

    def infer(self, types: Any, values: KnownValues, *, axes: tuple[int, ...]) -> Any:
        axes_of(self.name, axes, len(types[0].shape))
        return types[0].shape

    def reference(self, x: Array, *, axes: tuple[int, ...]) -> Array:
        signal = wide(x)
        centred = signal - signal.mean(axis=axes, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=axes, keepdims=True))
        return np.asarray(centred / (deviation + np.asarray(1e-9, signal.dtype))).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        normal = axes_of(self.name, axes, len(x.type.shape))

        def build(x: Any) -> Any:
            centred = graph.sub(x, graph.reduce_mean(x, axes=normal, keepdims=True))
            deviation = graph.sqrt(graph.reduce_mean(graph.mul(centred, centred), axes=normal, keepdims=True))
            return graph.div(centred, graph.add(deviation, 1e-9))

        return in_float32(graph, build, x)


class LocalResponseNorm(OpDef):
    """x / (bias + alpha / size * sum of squares over `size` neighbouring channels) ^ beta (ONNX LRN)."""

    name = "mm.local_response_norm"
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    attributes = (
        Attribute("size", int),
        Attribute("alpha", float, 1e-4),
        Attribute("beta", float, 0.75),
        Attribute("bias", float, 1.0),
    )

    def infer(self, types: Any, values: KnownValues, *, size: int, **factors: float) -> Any:
        require_rank(self.name, "x", types[0].shape, 2, 1000)
        require(size >= 1, f"{self.name}: size must be at least 1, not {size}")
        return types[0].shape

    def reference(self, x: Array, *, size: int, alpha: float, beta: float, bias: float) -> Array:
        signal = wide(x)
        before = (size - 1) // 2
        margins = [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2)
        squares = np.lib.stride_tricks.sliding_window_view(np.pad(np.square(signal), margins), size, 1).sum(-1)
        return np.asarray(signal / (bias + alpha / size * squares) ** beta).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, size: int, alpha: float, beta: float, bias: float) -> Any:
        before = (size - 1) // 2

        def build(x: Any) -> Any:
            """The neighbours' mean is average pooling over the channels, taken as an image's rows."""
            sizes = sizes_of(graph, x)
            squares = reshape(graph, graph.mul(x, x), [sizes[0], 1, sizes[1], times(graph, *sizes[2:])])
            means = graph.average_pool(
                squares, kernel_shape=(size, 1), pads=(before, 0, size - 1 - before, 0), count_include_pad=True
            )
            means = reshape(graph, means, sizes)
            return graph.div(x, graph.pow(graph.add(graph.mul(means, alpha), bias), beta))

        return in_float32(graph, build, x)


OPS: tuple[type[OpDef], ...] = (
    BatchNorm, InstanceNorm, GroupNorm, LayerNorm, RMSNorm, LpNorm, MeanVarianceNorm, LocalResponseNorm,
)  # fmt: skip
