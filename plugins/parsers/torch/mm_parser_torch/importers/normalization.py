"""Normalizations. In the graph of a program they come whole or as the operators that keep statistics for gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, cast, dtype, rank
from mm_parser_torch.sizes import Size, expand, product, reshape, size_of, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_FLOAT = BY_NAME["float32"]


def _wide(g: Graph, value: Value) -> Value:
    """Halves as float32: what statistics are computed in."""
    return cast(g, value, _computed(dtype(value)))


def _computed(own: DType) -> DType:
    return own if own.bits >= 32 else _FLOAT


def _normalized(g: Graph, x: Value, axes: tuple[int, ...], epsilon: float) -> tuple[Value, Value, Value]:
    """x with mean 0 and variance 1 over the axes, which are kept; the mean; 1 / sqrt(variance + epsilon)."""
    mean = g.reduce_mean(x, axes=axes, keepdims=True)
    centred = g.sub(x, mean)
    inverse = g.rsqrt(g.add(g.reduce_mean(g.square(centred), axes=axes, keepdims=True), epsilon))
    return g.mul(centred, inverse), mean, inverse


@op("layer_norm")
def layer_norm(
    g: Graph, call: Call, x: Value, size: Sequence[Size], weight: Any, bias: Any, epsilon: float, *hints: Any
) -> Any:
    weight, bias = _affine(g, x, weight, bias)
    return g.layer_norm(x, weight, bias, axis=-len(size), epsilon=epsilon)


def _affine(g: Graph, x: Value, weight: Value | None, bias: Value | None) -> tuple[Value | None, Value | None]:
    """Scale and shift in x's type; a shift alone gets a scale of ones."""
    if weight is None and bias is not None:
        weight = expand(g, g.constant(1, dtype(bias)), sizes_of(g, bias))
    return tuple(None if value is None else cast(g, value, dtype(x)) for value in (weight, bias))  # type: ignore[return-value]


@op("native_layer_norm")
def native_layer_norm(
    g: Graph, call: Call, x: Value, size: Sequence[Size], weight: Any, bias: Any, epsilon: float
) -> Any:
    y = layer_norm(g, call, x, size, weight, bias, epsilon)
    if not (call.wants(1) or call.wants(2)):
        return y, None, None
    axes = tuple(range(rank(x) - len(size), rank(x)))
    _, mean, inverse = _normalized(g, _wide(g, x), axes, epsilon)
    return y, *(cast(g, value, call.dtype(index)) for index, value in ((1, mean), (2, inverse)))


@op("rms_norm")
def rms_norm(g: Graph, call: Call, x: Value, size: Sequence[Size], weight: Any, epsilon: float | None) -> Any:
    if epsilon is None:
        epsilon = {"float64": 2.220446049250313e-16}.get(dtype(x).name, 1.1920928955078125e-07)
    weight = None if weight is None else cast(g, weight, dtype(x))
    return g.rms_norm(x, weight, axis=-len(size), epsilon=epsilon)


@op("group_norm")
def group_norm(g: Graph, call: Call, x: Value, groups: int, weight: Any, bias: Any, epsilon: float, *hints: Any) -> Any:
    scale, shift = (
        expand(g, g.constant(default, dtype(x)), [size_of(g, x, 1)]) if given is None else cast(g, given, dtype(x))
        for given, default in ((weight, 1.0), (bias, 0.0))
    )
    if rank(x) > 2:
        return g.group_norm(x, scale, shift, num_groups=groups, epsilon=epsilon)
    return g.squeeze(
        g.group_norm(g.unsqueeze(x, axes=(2,)), scale, shift, num_groups=groups, epsilon=epsilon), axes=(2,)
    )


@op("native_group_norm")
def native_group_norm(
    g: Graph,
    call: Call,
    x: Value,
    weight: Any,
    bias: Any,
    batch: Size,
    channels: Size,
    area: Size,
    groups: int,
    epsilon: float,
) -> Any:
    y = group_norm(g, call, x, groups, weight, bias, epsilon)
    if not (call.wants(1) or call.wants(2)):
        return y, None, None
    rows = reshape(g, _wide(g, x), [batch, groups, -1])
    _, mean, inverse = _normalized(g, rows, (2,), epsilon)
    statistics = (g.squeeze(value, axes=(2,)) for value in (mean, inverse))
    return y, *(cast(g, value, call.dtype(index)) for index, value in enumerate(statistics, 1))


@op("_native_batch_norm_legit_no_training")
def batch_norm(
    g: Graph,
    call: Call,
    x: Value,
    weight: Any,
    bias: Any,
    mean: Value,
    variance: Value,
    momentum: float,
    epsilon: float,
) -> Any:
    """The statistics given are used; those of the batch are empty."""
    empty = g.constant([], dtype(mean))
    return _batch_norm(g, x, weight, bias, mean, variance, epsilon), empty, empty


def _batch_norm(g: Graph, x: Value, weight: Any, bias: Any, mean: Value, variance: Value, epsilon: float) -> Any:
    own = dtype(mean)
    scale, shift = (
        expand(g, g.constant(default, own), sizes_of(g, mean)) if given is None else cast(g, given, own)
        for given, default in ((weight, 1.0), (bias, 0.0))
    )
    return g.batch_norm(x, scale, shift, mean, variance, epsilon=epsilon)


@op("_native_batch_norm_legit.no_stats")
def batch_norm_of_batch(
    g: Graph, call: Call, x: Value, weight: Any, bias: Any, training: bool, momentum: float, epsilon: float
) -> Any:
    y, mean, inverse, _ = _by_batch(g, x, weight, bias, epsilon)
    return y, cast(g, mean, call.dtype(1)), cast(g, inverse, call.dtype(2))


@op("_native_batch_norm_legit", "_native_batch_norm_legit_functional")
def batch_norm_training(
    g: Graph,
    call: Call,
    x: Value,
    weight: Any,
    bias: Any,
    running_mean: Value,
    running_variance: Value,
    training: bool,
    momentum: float,
    epsilon: float,
) -> Any:
    """While training, the batch's own statistics are used and mixed into the running ones."""
    if not training:
        empty = g.constant([], dtype(running_mean))
        y = _batch_norm(g, x, weight, bias, running_mean, running_variance, epsilon)
        return y, empty, empty, *(running_mean, running_variance)[: len(call.examples) - 3]
    y, mean, inverse, variance = _by_batch(g, x, weight, bias, epsilon)
    count = product(g, [size for axis, size in enumerate(sizes_of(g, x)) if axis != 1])
    total = g.constant(count, dtype(mean)) if isinstance(count, int) else g.cast(count, to=dtype(mean))
    unbiased = g.mul(variance, g.div(total, g.sub(total, 1.0)))
    mixed = [
        g.add(g.mul(old, 1 - momentum), g.mul(cast(g, new, dtype(old)), momentum))
        for old, new in ((running_mean, mean), (running_variance, unbiased))
    ]
    return y, cast(g, mean, call.dtype(1)), cast(g, inverse, call.dtype(2)), *mixed[: len(call.examples) - 3]


def _by_batch(g: Graph, x: Value, weight: Any, bias: Any, epsilon: float) -> tuple[Value, Value, Value, Value]:
    """The normalized batch; its mean, 1 / sqrt(variance + epsilon) and variance for each channel."""
    axes = tuple(axis for axis in range(rank(x)) if axis != 1)
    wide = _wide(g, x)
    y, mean, inverse = _normalized(g, wide, axes, epsilon)
    variance = g.reduce_mean(g.square(g.sub(wide, mean)), axes=axes, keepdims=False)
    sizes: list[Size] = [1, size_of(g, x, 1), *[1] * (rank(x) - 2)]
    if weight is not None:
        y = g.mul(y, reshape(g, _wide(g, weight), sizes))
    if bias is not None:
        y = g.add(y, reshape(g, _wide(g, bias), sizes))
    flat = (g.squeeze(value, axes=axes) for value in (mean, inverse))
    return cast(g, y, dtype(x)), *flat, variance
