"""Pooling over windows of [N, C, *spatial], and over all of the spatial axes at once."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mm_core.ops import FLOATS, INTEGERS, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier, Trait
from mm_core.types import BY_NAME, Array
from mm_ops_standard.checks import checked_indices, require, require_rank
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import reshape, shape_operand, sizes_of, times
from mm_ops_standard.windows import (
    WINDOW_ATTRIBUTES,
    Window,
    is_padded_while_running,
    make_window,
    pad_same,
    static,
    windows_of,
)

_BYTES = frozenset({BY_NAME["int8"], BY_NAME["uint8"]})
_INT64 = BY_NAME["int64"]
POOL_ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("kernel_shape", (int,)),
    *WINDOW_ATTRIBUTES,
    Attribute("ceil_mode", bool, False),
)


class _Pool(OpDef):
    """What windowed pools share: shapes, and the view of all windows."""

    tier = Tier.DEVICE
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    attributes = POOL_ATTRIBUTES

    def geometry(self, shape: Any, kernel_shape: Any, ceil_mode: bool, **window: Any) -> tuple[Window, tuple[Any, ...]]:
        """The window, and the whole result's shape."""
        require_rank(self.name, "x", shape, 3, 1000)
        made = make_window(self.name, shape[2:], kernel_shape, **window)
        return made, (*shape[:2], *made.output(self.name, shape[2:], ceil_mode))

    def infer(self, types: Any, values: KnownValues, *, kernel_shape: Any, ceil_mode: bool, **window: Any) -> Any:
        names = ("strides", "pads", "dilations", "auto_pad")
        return self.geometry(types[0].shape, kernel_shape, ceil_mode, **{name: window[name] for name in names})[1]

    def pool_padded(self, graph: Any, x: Any, fill: Any, **attributes: Any) -> Any:
        """The pool of x after the automatic padding has been put around it."""
        kernel = attributes["kernel_shape"]
        steps = {name: attributes[name] for name in ("strides", "pads", "dilations", "auto_pad")}
        window = make_window(self.name, x.type.shape[2:], kernel, **steps)
        padded = pad_same(graph, x, fill, window, graph.constant(list(kernel)), attributes["auto_pad"])
        return graph.op(self.name, padded, **{**attributes, "auto_pad": "valid"})


class MaxPool(_Pool):
    """The largest element under each window; padding never wins (ONNX MaxPool, first result)."""

    name = "mm.max_pool"
    dtypes = {"T": FLOATS | _BYTES}

    def reference(self, x: Array, **geometry: Any) -> Array:
        window, shape = self.geometry(x.shape, **geometry)
        view = windows_of(wide(x), window, shape[2:], _lowest(x.dtype))
        return np.asarray(view.max(axis=tuple(range(len(shape), view.ndim)))).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, **attributes: Any) -> Any:
        if not is_padded_while_running(x, attributes["auto_pad"]):
            return None
        return self.pool_padded(graph, x, _lowest(x.type.dtype.numpy), **attributes)


class MaxPoolWithIndices(_Pool):
    """Max pooling that also tells where in x each maximum is, as a flat index into the whole of x (ONNX MaxPool).

    `storage_order` 1 counts the spatial axes column-major. Of equal maxima the first counts.
    """

    name = "mm.max_pool_with_indices"
    dtypes = {"T": FLOATS | _BYTES}
    results = (Result("y"), Result("indices", _INT64))
    attributes = (*POOL_ATTRIBUTES, Attribute("storage_order", int, 0, (0, 1)))

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        return [super().infer(types, values, **attributes)] * 2

    def reference(self, x: Array, *, storage_order: int, **geometry: Any) -> tuple[Array, Array]:
        window, shape = self.geometry(x.shape, **geometry)
        rank = len(window.kernel)
        view = windows_of(wide(x), window, shape[2:], _lowest(x.dtype)).reshape(*shape, prod(geometry["kernel_shape"]))
        inside = windows_of(np.ones(x.shape, bool), window, shape[2:], False).reshape(view.shape)
        largest = (view == view.max(-1, keepdims=True)) | (view != view)
        best = (inside & largest).argmax(axis=-1)  # never a place in the padding, though it may be as large
        spatial = x.shape[2:]
        flat = np.arange(prod(x.shape[:2]), dtype=np.int64).reshape(*x.shape[:2], *[1] * rank) * prod(spatial)
        weights = [prod(spatial[axis + 1 :]) if storage_order == 0 else prod(spatial[:axis]) for axis in range(rank)]
        begins = static(window.begins)
        for axis, offset in enumerate(np.unravel_index(best, geometry["kernel_shape"])):
            start = np.arange(shape[2 + axis]) * window.strides[axis] - begins[axis]
            place = start.reshape(-1, *[1] * (rank - 1 - axis)) + offset * window.dilations[axis]
            flat = flat + place * weights[axis]
        return np.take_along_axis(view, best[..., None], -1)[..., 0].astype(x.dtype), flat


def _lowest(dtype: Any) -> Any:
    return np.iinfo(dtype).min if np.issubdtype(dtype, np.integer) else -np.inf


class AveragePool(_Pool):
    """The mean of the elements under each window; padding counts as zeros with `count_include_pad` (ONNX AveragePool).

    What overhangs the padded tensor because of `ceil_mode` never counts.
    """

    name = "mm.average_pool"
    attributes = (*POOL_ATTRIBUTES, Attribute("count_include_pad", bool, False))

    def reference(self, x: Array, *, count_include_pad: bool, **geometry: Any) -> Array:
        window, shape = self.geometry(x.shape, **geometry)
        view = windows_of(wide(x), window, shape[2:], 0)
        total = view.sum(axis=tuple(range(len(shape), view.ndim)))
        counts = np.ones((), total.dtype)
        begins, ends, kernel = static(window.begins), static(window.ends), static(window.kernel)
        for axis, size in enumerate(x.shape[2:]):
            begin, end = (begins[axis], ends[axis]) if count_include_pad else (0, 0)
            starts = np.arange(shape[2 + axis])[:, None] * window.strides[axis] - begins[axis]
            places = starts + np.arange(kernel[axis]) * window.dilations[axis]
            counts = counts[..., None] * ((places >= -begin) & (places < size + end)).sum(1)
        return np.asarray(total / counts).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, count_include_pad: bool, **geometry: Any) -> Any:
        """The mean over elements and padding; divided, if padding does not count, by the share of the elements."""
        if not is_padded_while_running(x, geometry["auto_pad"]):
            return None
        means = self.pool_padded(graph, x, 0, count_include_pad=True, **geometry)
        if count_include_pad:
            return means
        ones = graph.expand(graph.constant(1, x.type.dtype), shape_operand(graph, [1, 1, *sizes_of(graph, x)[2:]]))
        return graph.div(means, self.pool_padded(graph, ones, 0, count_include_pad=True, **geometry))


def _check_power(op: str, p: int) -> None:
    require(p >= 1, f"{op}: p must be at least 1, not {p}")


class LpPool(_Pool):
    """(sum |x|^p)^(1/p) under each window (ONNX LpPool)."""

    name = "mm.lp_pool"
    tier = Tier.COMPOSITE
    attributes = (*POOL_ATTRIBUTES, Attribute("p", int, 2))

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        _check_power(self.name, attributes["p"])
        return super().infer(types, values, **attributes)

    def reference(self, x: Array, *, p: int, **geometry: Any) -> Array:
        window, shape = self.geometry(x.shape, **geometry)
        view = np.abs(windows_of(wide(x), window, shape[2:], 0)) ** p
        return np.asarray(view.sum(axis=tuple(range(len(shape), view.ndim))) ** (1 / p)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, p: int, **geometry: Any) -> Any:
        """Sums are a convolution with ones, each channel taken as an image of its own."""
        if is_padded_while_running(x, geometry["auto_pad"]):
            return self.pool_padded(graph, x, 0, p=p, **geometry)
        window, shape = self.geometry(x.type.shape, **geometry)
        ends = [
            (count - 1) * stride + extent - size - begin
            for count, stride, extent, size, begin in zip(
                shape[2:], window.strides, window.extents, x.type.shape[2:], window.begins
            )
        ]
        pads = (*window.begins, *ends)
        if not geometry["ceil_mode"]:
            pads = (*window.begins, *window.ends)
        if not all(isinstance(pad, int) and pad >= 0 for pad in pads):
            return None

        def build(x: Any) -> Any:
            powers, sizes = graph.pow(graph.abs(x), float(p)), sizes_of(graph, x)
            images = reshape(graph, powers, [times(graph, *sizes[:2]), 1, *sizes[2:]])
            kernel = graph.constant(np.ones((1, 1, *static(window.kernel))), x.type.dtype)
            sums = graph.conv(images, kernel, strides=window.strides, dilations=window.dilations, pads=pads)
            sums = reshape(graph, sums, [*sizes[:2], *sizes_of(graph, sums)[2:]])
            return graph.pow(sums, 1.0 / p)

        return in_float32(graph, build, x)


class MaxUnpool(OpDef):
    """Elements of x put at the flat places `indices` of zeros: the partial inverse of max pooling (ONNX MaxUnpool).

    Without `output_shape` an axis has (size - 1) * stride + kernel - pads elements.
    """

    name = "mm.max_unpool"
    operands = (Operand("x"), Operand("indices", "I"), Operand("output_shape", "I", Arity.OPTIONAL))
    dtypes = {"T": FLOATS, "I": frozenset({_INT64})}
    attributes = (
        Attribute("kernel_shape", (int,)),
        Attribute("strides", (int,), ()),
        Attribute("pads", (int,), ()),
    )

    def infer(self, types: Any, values: KnownValues, **geometry: Any) -> Any:
        shape = types[0].shape
        if types[2] is None:
            return self._natural(shape, **geometry)
        known = values[2]
        return (None,) * len(shape) if known is None else tuple(known)

    def _natural(self, shape: Any, **geometry: Any) -> Any:
        scaled = zip(shape[2:], *self._scaling(shape, **geometry))
        return (*shape[:2], *((size - 1) * stride + rest for size, stride, rest in scaled))

    def _scaling(self, shape: Any, kernel_shape: Any, strides: Any, pads: Any) -> tuple[Any, Any]:
        """For each spatial axis the stride, and what it has beside (size - 1) * stride."""
        require_rank(self.name, "x", shape, 3, 1000)
        window = make_window(
            self.name, shape[2:], (1,) * len(kernel_shape), strides=strides, pads=pads, dilations=(), auto_pad="notset"
        )
        require(min(kernel_shape) >= 1, f"{self.name}: kernel {list(kernel_shape)} must be at least 1")
        rests = (kernel - begin - end for kernel, begin, end in zip(kernel_shape, window.begins, window.ends))
        return window.strides, tuple(rests)

    def reference(self, x: Array, indices: Array, output_shape: Array | None = None, **geometry: Any) -> Array:
        natural = self._natural(x.shape, **geometry)
        y = np.zeros(natural, x.dtype)
        y.reshape(-1)[checked_indices(self.name, indices, y.size)] = x
        if output_shape is None:
            return y
        place = np.zeros(tuple(output_shape), x.dtype)
        place[tuple(slice(0, size) for size in natural)] = y
        return place

    def decompose(self, graph: Any, x: Any, indices: Any, output_shape: Any, **geometry: Any) -> Any:
        sizes = sizes_of(graph, x)
        for axis, (stride, rest) in enumerate(zip(*self._scaling(x.type.shape, **geometry)), 2):
            size = sizes[axis]
            static = isinstance(size, int)
            sizes[axis] = size * stride + rest - stride if static else graph.add(graph.mul(size, stride), rest - stride)
        zeros = graph.expand(graph.constant(0, x.type.dtype), shape_operand(graph, [times(graph, *sizes)]))
        y = graph.scatter_elements(zeros, graph.reshape(indices, [-1]), graph.reshape(x, [-1]), axis=0)
        natural = shape_operand(graph, sizes)
        y = graph.reshape(y, natural)
        if output_shape is None:
            return y
        ends = graph.sub(graph.sizes(graph.reshape(output_shape, [len(sizes)])), natural)
        return graph.pad(y, graph.concat(np.zeros(len(sizes), np.int64), ends, axis=0))


class _GlobalPool(OpDef):
    operands = (Operand("x"),)
    dtypes = {"T": FLOATS}
    traits = frozenset({Trait.REDUCTION})

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        shape = types[0].shape
        require_rank(self.name, "x", shape, 3, 1000)
        return (*shape[:2], *[1] * (len(shape) - 2))


def _spatial(rank: int) -> tuple[int, ...]:
    return tuple(range(2, rank))


class GlobalAveragePool(_GlobalPool):
    """The mean over all spatial axes, kept as ones (ONNX GlobalAveragePool)."""

    name = "mm.global_average_pool"

    def reference(self, x: Array) -> Array:
        return np.asarray(wide(x).mean(axis=_spatial(x.ndim), keepdims=True)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any) -> Any:
        return graph.reduce_mean(x, axes=_spatial(len(x.type.shape)), keepdims=True)


class GlobalMaxPool(_GlobalPool):
    """The maximum over all spatial axes, kept as ones (ONNX GlobalMaxPool)."""

    name = "mm.global_max_pool"
    dtypes = {"T": FLOATS | INTEGERS}

    def reference(self, x: Array) -> Array:
        return np.asarray(x.max(axis=_spatial(x.ndim), keepdims=True))

    def decompose(self, graph: Any, x: Any) -> Any:
        return graph.reduce_max(x, axes=_spatial(len(x.type.shape)), keepdims=True)


class GlobalLpPool(_GlobalPool):
    """(sum |x|^p)^(1/p) over all spatial axes, kept as ones (ONNX GlobalLpPool)."""

    name = "mm.global_lp_pool"
    attributes = (Attribute("p", int, 2),)

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        _check_power(self.name, attributes["p"])
        return super().infer(types, values)

    def reference(self, x: Array, *, p: int) -> Array:
        powers = np.abs(wide(x)) ** p
        return np.asarray(powers.sum(axis=_spatial(x.ndim), keepdims=True) ** (1 / p)).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, *, p: int) -> Any:
        def build(x: Any) -> Any:
            powers = graph.pow(graph.abs(x), float(p))
            return graph.pow(graph.reduce_sum(powers, axes=_spatial(len(x.type.shape)), keepdims=True), 1.0 / p)

        return in_float32(graph, build, x)


OPS: tuple[type[OpDef], ...] = (
    MaxPool, MaxPoolWithIndices, AveragePool, LpPool, MaxUnpool, GlobalAveragePool, GlobalMaxPool, GlobalLpPool,
)  # fmt: skip
