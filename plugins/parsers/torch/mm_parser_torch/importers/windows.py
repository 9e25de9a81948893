"""Pooling and convolution of whole numbers: windows are gathered by a table of places, so that every bit counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, dtype, rank, shape
from mm_parser_torch.sizes import reshape, size_of, sizes_of

Places = np.ndarray[Any, np.dtype[np.int64]]
OUTSIDE = -1


@dataclass(frozen=True)
class Window:
    """How a window lies on an image and moves over it, for each axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    def places(self, sizes: Sequence[int], results: Sequence[int], *, transposed: bool = False) -> Places:
        """[results, elements of the window]: where each element lies in an image of these sizes, as one number.

        `transposed`: for each result, the places whose windows would cover it.
        """
        found: Places = np.zeros((1, 1), np.int64)
        axes = zip(sizes, results, self.kernel, self.strides, self.pads, self.dilations)
        for size, count, kernel, stride, pad, dilation in axes:
            here = _along(size, count, kernel, stride, pad, dilation, transposed)
            both = found[:, None, :, None] * size + here[None, :, None, :]
            both[np.broadcast_to((found < 0)[:, None, :, None] | (here < 0)[None, :, None, :], both.shape)] = OUTSIDE
            found = both.reshape(both.shape[0] * both.shape[1], -1)
        return found


def _along(size: int, count: int, kernel: int, stride: int, pad: int, dilation: int, transposed: bool) -> Places:
    """[count, kernel]: places along one axis."""
    results, elements = np.arange(count)[:, None], np.arange(kernel)[None, :]
    if transposed:
        steps = results + pad - elements * dilation
        places = np.where(steps % stride == 0, steps // stride, OUTSIDE)
    else:
        places = results * stride - pad + elements * dilation
    return np.where((places >= 0) & (places < size), places, OUTSIDE)


def is_whole(x: Value) -> bool:
    """Whether the elements are wider integers: the engine's own operators take floats and bytes."""
    return dtype(x).is_integer and dtype(x).bits > 8


def max_pool(g: Graph, call: Call, image: Value, window: Window) -> tuple[Value, Value]:
    """The largest element of each window, and its place in the plane: the first one of several."""
    sizes, results = _known_sizes(call, image, len(window.kernel))
    table = window.places(sizes, results)
    # What lies outside repeats the first element inside.
    first = np.take_along_axis(table, np.argmax(table >= 0, axis=1)[:, None], axis=1)
    table = np.where(table < 0, first, table)
    windows = _gathered(g, _flat(g, image, sizes), table)
    count, width = table.shape
    picked = g.add(g.argmax(windows, axis=3, keepdims=False), g.constant(np.arange(count) * width, "int64"))
    places = g.gather(g.constant(table.reshape(-1), "int64"), picked, axis=0)
    shape_ = [*sizes_of(g, image)[:2], *results]
    return reshape(g, g.reduce_max(windows, axes=(3,), keepdims=False), shape_), reshape(g, places, shape_)


def average_pool(
    g: Graph, call: Call, image: Value, window: Window, count_include_pad: bool, divisor: int | None
) -> Value:
    """Sums over windows, divided without a rest."""
    sizes, results = _known_sizes(call, image, len(window.kernel))
    table = window.places(sizes, results)
    if divisor:
        counts = np.full(len(table), divisor, np.int64)
    elif count_include_pad:
        padded = Window(window.kernel, window.strides, (0,) * len(sizes), window.dilations)
        whole = [size + 2 * pad for size, pad in zip(sizes, window.pads)]
        counts = (padded.places(whole, results) >= 0).sum(axis=1)
    else:
        counts = (table >= 0).sum(axis=1)
    total = g.reduce_sum(_windows(g, image, sizes, table), axes=(3,), keepdims=False)
    mean = g.div(total, g.constant(counts.astype(dtype(image).numpy), dtype(image)))
    return reshape(g, mean, [*sizes_of(g, image)[:2], *results])


def convolution(
    g: Graph, call: Call, x: Value, weight: Value, bias: Value | None, window: Window, groups: int, transposed: bool
) -> Any:
    """A product of windows, laid out as rows, with the weights."""
    sizes, results = _known_sizes(call, x, len(window.kernel))
    batch, channels = size_of(g, x, 0), size_of(g, x, 1)
    assert isinstance(channels, int)  # so are those of every convolution
    inner, elements = channels // groups, prod(window.kernel)
    table = window.places(sizes, results, transposed=transposed)
    rows = reshape(g, _windows(g, x, sizes, table), [batch, groups, inner, *table.shape])
    rows = g.transpose(rows, permutation=(0, 1, 3, 2, 4))
    rows = reshape(g, rows, [batch, groups, len(table), inner * elements])
    if transposed:
        stacked = g.transpose(g.reshape(weight, [groups, inner, -1, elements]), permutation=(0, 1, 3, 2))
        columns = g.reshape(stacked, [groups, inner * elements, -1])
    else:
        columns = g.transpose(g.reshape(weight, [groups, -1, inner * elements]), permutation=(0, 2, 1))
    y = g.transpose(g.matmul(rows, columns), permutation=(0, 1, 3, 2))
    y = reshape(g, y, [batch, call.examples[0].shape[1], *results])
    return y if bias is None else g.add(y, g.reshape(bias, [-1, *[1] * len(results)]))


def _known_sizes(call: Call, image: Value, axes: int) -> tuple[list[int], list[int]]:
    """Sizes of the image's and of the result's plane."""
    before, after = shape(image)[rank(image) - axes :], call.examples[0].shape[-axes:]
    if not all(isinstance(size, int) for size in (*before, *after)):
        raise call.unsupported(f"for {dtype(image).name}, sizes of the image must be known", remedy="cast to float32")
    return list(before), list(after)  # type: ignore[arg-type]  # all of them are int


def _flat(g: Graph, image: Value, sizes: Sequence[int]) -> Value:
    """[batch, channels, elements of the plane]."""
    return reshape(g, image, [*sizes_of(g, image)[:2], prod(sizes)])


def _gathered(g: Graph, flat: Value, table: Places) -> Any:
    """[batch, channels, results, elements of the window]."""
    return g.gather(flat, g.constant(table, "int64"), axis=2)


def _windows(g: Graph, image: Value, sizes: Sequence[int], table: Places) -> Any:
    """The same, with zeros for what lies outside."""
    flat = g.pad(_flat(g, image, sizes), [0, 1], axes=(2,))
    return _gathered(g, flat, np.where(table < 0, prod(sizes), table))
