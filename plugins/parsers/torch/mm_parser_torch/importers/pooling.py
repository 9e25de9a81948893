"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, as_value, cast, dtype, rank
from mm_parser_torch.importers import windows
from mm_parser_torch.importers.convolution import each_axis
from mm_parser_torch.sizes import expand, product, reshape, size_of, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op


def _batched(g: Graph, x: Value, axes: int) -> Value:
    """An image without a batch axis gets one."""
    return x if rank(x) == axes + 2 else g.unsqueeze(x, axes=(0,))


def _unbatched(g: Graph, y: Value, x: Value) -> Value:
    return y if rank(y) == rank(x) else g.squeeze(y, axes=(0,))


def _spatial(call: Call) -> int:
    """2 of `max_pool2d`."""
    name = str(call.target)
    return next(axes for axes in (1, 2, 3) if f"{axes}d" in name)


@op("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    g: Graph,
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None = None,
) -> Any:
    axes = _spatial(call)
    window = _window(kernel, stride, padding, 1, axes)
    image = _batched(g, x, axes)
    if windows.is_whole(x):
        place = _moving(kernel, stride, padding, 1, axes)
        return _unbatched(g, windows.average_pool(g, call, image, place, count_include_pad, divisor), x)
    if divisor:
        return _unbatched(g, _sum_pool(g, call, image, window, divisor), x)
    y = g.average_pool(image, **window, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    return _unbatched(g, y, x)


def _sum_pool(g: Graph, call: Call, image: Value, window: dict[str, tuple[int, ...]], divisor: int) -> Any:
    """Sums under whole windows over a number; windows that ceil_mode cuts off are filled up with zeros."""
    kernel, strides, pads = window["kernel_shape"], window["strides"], window["pads"]
    ends = []
    sizes = call.examples[0].shape[-len(kernel) :]
    for own, new, size, stride, pad in zip(sizes_of(g, image)[2:], sizes, kernel, strides, pads):
        if not isinstance(own, int) or not isinstance(new, int):
            raise call.unsupported("divisor_override needs sizes that are known")
        ends.append((new - 1) * stride + size - own - pad)
    axes = tuple(range(2, 2 + len(kernel)))
    padded = g.pad(image, [*pads[: len(kernel)], *ends], axes=axes)
    return g.mul(g.average_pool(padded, kernel_shape=kernel, strides=strides), prod(kernel) / divisor)


def _window(
    kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any, axes: int
) -> dict[str, tuple[int, ...]]:
    pads = each_axis(padding, axes)
    return {
        "kernel_shape": each_axis(kernel, axes),
        "strides": each_axis(stride, axes) if stride else each_axis(kernel, axes),
        "pads": (*pads, *pads),
        **({} if dilation == 1 else {"dilations": each_axis(dilation, axes)}),
    }


def _moving(kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Any, axes: int) -> windows.Window:
    listed = (kernel, stride or kernel, padding, dilation)
    return windows.Window(*(each_axis(values, axes) for values in listed))


@op("max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool_with_indices(
    g: Graph,
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Any:
    """Indices count within one plane; the engine's, over the whole tensor."""
    axes = _spatial(call)
    image = _batched(g, x, axes)
    if windows.is_whole(x):
        found = windows.max_pool(g, call, image, _moving(kernel, stride, padding, dilation, axes))
        return [_unbatched(g, part, x) for part in found]
    window = _window(kernel, stride, padding, dilation, axes)
    if not call.wants(1):
        return _unbatched(g, g.max_pool(image, **window, ceil_mode=ceil_mode), x), None
    y, places = g.max_pool_with_indices(image, **window, ceil_mode=ceil_mode)
    plane = product(g, sizes_of(g, image)[2:])
    return _unbatched(g, y, x), _unbatched(g, g.mod(places, plane), x)


@op("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(
    g: Graph,
    call: Call,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Any:
    axes = _spatial(call)
    if windows.is_whole(x):
        place = _moving(kernel, stride, padding, dilation, axes)
        return _unbatched(g, windows.max_pool(g, call, _batched(g, x, axes), place)[0], x)
    window = _window(kernel, stride, padding, dilation, axes)
    return _unbatched(g, g.max_pool(_batched(g, x, axes), **window, ceil_mode=ceil_mode), x)


@op("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(g: Graph, call: Call, x: Value, sizes: Sequence[Any]) -> Any:
    """Axis by axis: the windows of an axis, as long as the longest, are gathered and folded."""
    if call.wants(1):
        raise call.unsupported("the places of the maxima are not offered")
    y = x
    for axis, size in enumerate(sizes, rank(x) - len(sizes)):
        own = size_of(g, x, axis)
        if not isinstance(own, int) or not isinstance(size, int):
            raise call.unsupported("sizes of the image and of the result must be known")
        found = g.gather(y, g.constant(_windows(own, size), "int64"), axis=axis)
        y = g.reduce_max(found, axes=(axis + 1,), keepdims=False)
    return y, None


@op("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_avg_pool(g: Graph, call: Call, x: Value, sizes: Sequence[Any]) -> Any:
    """One result for each axis is its mean; equal windows are a pooling; others, a product with their weights."""
    axes = len(sizes)
    first = rank(x) - axes
    spatial = tuple(range(first, rank(x)))
    if all(size == 1 for size in sizes):
        return g.reduce_mean(x, axes=spatial, keepdims=True)
    have = [size_of(g, x, axis) for axis in spatial]
    if not all(isinstance(size, int) for size in (*have, *sizes)):
        raise call.unsupported("sizes of the image and of the result must be known, unless the result is 1 x 1")
    if all(size and own % size == 0 for own, size in zip(have, sizes)):
        kernel = tuple(own // size for own, size in zip(have, sizes))
        return _unbatched(g, g.average_pool(_batched(g, x, axes), kernel_shape=kernel, strides=kernel), x)
    y = cast(g, x, _wide(dtype(x)))
    for axis, own, size in zip(spatial, have, sizes):
        order = [*(other for other in range(rank(x)) if other != axis), axis]
        back = sorted(range(rank(x)), key=order.__getitem__)
        assert isinstance(own, int)  # checked above, with the others
        weights = g.constant(_averages(own, size), dtype(y))
        y = g.transpose(g.matmul(g.transpose(y, permutation=order), weights), permutation=back)
    return cast(g, y, dtype(x))


def _wide(own: DType) -> DType:
    return own if own.bits >= 32 else BY_NAME["float32"]


def _windows(own: int, size: int) -> list[list[int]]:
    """Places of each result's window; shorter ones repeat their last place."""
    bounds = [(place * own // size, -(-(place + 1) * own // size)) for place in range(size)]
    longest = max((end - start for start, end in bounds), default=1)
    return [[min(start + i, end - 1) for i in range(longest)] for start, end in bounds]


def _averages(own: int, size: int) -> np.ndarray[Any, Any]:
    """[own, size]: column i averages the elements from floor(i * own / size) up to ceil((i + 1) * own / size)."""
    weights = np.zeros((own, size))
    for place in range(size):
        start, end = place * own // size, -(-(place + 1) * own // size)
        weights[start:end, place] = 1 / (end - start)
    return weights


@op("max_pool2d_with_indices_backward")
def max_pool_backward(
    g: Graph,
    call: Call,
    gradient: Value,
    x: Value,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    places: Value,
) -> Any:
    """Each gradient goes to the place that its maximum came from."""
    sizes = sizes_of(g, x)
    lead = sizes[:-2]
    target, updates, spots = (reshape(g, value, [*lead, -1]) for value in (x, gradient, places))
    zeros = expand(g, as_value(g, 0, dtype(x)), sizes_of(g, target))
    return reshape(g, g.scatter_elements(zeros, spots, updates, axis=len(lead), reduction="add"), sizes)
