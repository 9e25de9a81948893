"""Reductions: axes folded away, or kept with size 1. `axes=None` folds all, `axes=()` none."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from mm_core.ir import Graph
from mm_core.ops import BOOL, FLOATS, INTEGERS, NUMERIC, Attribute, OpDef, Operand, Result, Tier, Trait
from mm_core.types import Dim, as_dtype
from mm_core.types.dtypes import float64, int64
from mm_ops_standard.elementwise import define
from mm_ops_standard.known import larger, partial, smaller
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import Size, axes_of, axis_of, shape_operand, sizes_of


class Reduction(OpDef):
    """Folds axes; `function(x, axes)` keeps them with size 1 and gets float16 and bfloat16 as float32."""

    tier = Tier.DEVICE
    operands = (Operand("x"),)
    attributes = (Attribute("axes", (int,), None), Attribute("keepdims", bool, True))
    traits = frozenset({Trait.REDUCTION})
    function: ClassVar[Callable[..., Any]]
    known_function: ClassVar[Callable[[Dim, Dim], Dim] | None] = None
    known_initial: ClassVar[int | None] = None

    def infer(self, types: Any, values: Any, *, axes: Any, keepdims: bool) -> Any:
        folded = axes_of(self.name, axes, len(types[0].shape))
        dims = enumerate(types[0].shape)
        return tuple(1 if axis in folded else dim for axis, dim in dims if keepdims or axis not in folded)

    def known(self, types: Any, values: Any, *, axes: Any, keepdims: bool) -> Any:
        fold = type(self).known_function
        known = None if fold is None else values[0]
        if fold is None or known is None or known.ndim != 1 or axes == () or any(item is None for item in known):
            return None
        items = ([] if self.known_initial is None else [self.known_initial]) + list(known)
        if not items:
            return None
        return partial([reduce(fold, items)], (1,) if keepdims else ())

    def reference(self, x: Any, *, axes: Any, keepdims: bool) -> Any:
        folded = axes_of(self.name, axes, x.ndim)
        operand = wide(x)
        with np.errstate(all="ignore"):
            result = self.function(operand, folded).astype(x.dtype)
        return result if keepdims else np.squeeze(result, folded)


class ReductionComposite(Reduction):
    """A reduction made of simpler ones: `expand(graph, x, axes)` builds it, in float32 for halves."""

    tier = Tier.COMPOSITE
    expand: ClassVar[Callable[..., Any]]

    def decompose(self, graph: Any, x: Any, *, axes: Any, keepdims: bool) -> Any:
        folded = axes_of(self.name, axes, len(x.type.shape))
        result = in_float32(graph, lambda x: self.expand(graph, x, {"axes": folded, "keepdims": keepdims}), x)
        return result if result.type.dtype is x.type.dtype else graph.cast(result, to=x.type.dtype)


def _lowest(dtype: Any) -> Any:
    if dtype == np.bool_:
        return False
    return -np.inf if as_dtype(dtype).is_float else np.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    if dtype == np.bool_:
        return True
    return np.inf if as_dtype(dtype).is_float else np.iinfo(dtype).max


def _sum(x: Any, axes: Any) -> Any:
    return np.sum(x, axes, keepdims=True, dtype=x.dtype)


def _prod(x: Any, axes: Any) -> Any:
    return np.prod(x, axes, keepdims=True, dtype=x.dtype)


def _max(x: Any, axes: Any) -> Any:
    return np.max(x, axes, keepdims=True, initial=_lowest(x.dtype))


def _min(x: Any, axes: Any) -> Any:
    return np.min(x, axes, keepdims=True, initial=_highest(x.dtype))


def _mean(x: Any, axes: Any) -> Any:
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    if x.dtype.kind == "f":
        return _sum(x, axes) / np.asarray(count, x.dtype)
    total = _sum(x, axes).astype(object)
    return np.where(total < 0, -(-total // max(count, 1)), total // max(count, 1))


def _in_float(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The reduction with integers taken to float64 first."""
    return lambda x, axes: function(x if x.dtype.kind == "f" else x.astype(np.float64), axes)


def _log_sum_exp(x: Any, axes: Any) -> Any:
    peak = _max(x, axes)
    peak = np.where(np.isinf(peak), 0, peak).astype(x.dtype)
    return np.log(_sum(np.exp(x - peak), axes)) + peak


def _count(graph: Any, x: Any, axes: Any) -> Size:
    """The number of elements folded into one, of x's element type: a scalar, or a value of shape []."""
    dims = [x.type.shape[axis] for axis in axes]
    if all(isinstance(dim, int) for dim in dims):
        return int(np.prod(dims, dtype=np.int64))
    sizes = [size for axis, size in enumerate(sizes_of(graph, x)) if axis in axes]
    product = graph.reduce_prod(shape_operand(graph, sizes), axes=(0,), keepdims=False)
    return graph.cast(product, to=x.type.dtype)


def _floating(graph: Any, x: Any) -> Any:
    return x if x.type.dtype.is_float else graph.cast(x, to=float64)


def _expand_mean(graph: Any, x: Any, fold: Any) -> Any:
    return graph.div(graph.reduce_sum(x, **fold), _count(graph, x, fold["axes"]))


def _expand_l2(graph: Any, x: Any, fold: Any) -> Any:
    x = _floating(graph, x)
    return graph.sqrt(graph.reduce_sum(graph.mul(x, x), **fold))


def _expand_log_sum(graph: Any, x: Any, fold: Any) -> Any:
    return graph.log(graph.reduce_sum(_floating(graph, x), **fold))


def _expand_log_sum_exp(graph: Any, x: Any, fold: Any) -> Any:
    """The maximum is taken out so that nothing overflows; an infinite one stays in."""
    x = _floating(graph, x)
    peak = graph.reduce_max(x, axes=fold["axes"], keepdims=True)
    peak = graph.select(graph.is_inf(peak), graph.constant(0, x.type.dtype), peak)
    total = graph.log(graph.reduce_sum(graph.exp(graph.sub(x, peak)), **fold))
    return graph.add(total, peak if fold["keepdims"] else graph.squeeze(peak, axes=fold["axes"]))


_COMPOSITES: tuple[tuple[str, Callable[..., Any], str, Callable[..., Any]], ...] = (
    ("reduce_mean", _mean, "The average; integers truncate.", _expand_mean),
    (
        "reduce_l1", lambda x, axes: _sum(np.abs(x), axes), "The sum of magnitudes.",
        lambda g, x, fold: g.reduce_sum(g.abs(x), **fold),
    ),
    (
        "reduce_l2", _in_float(lambda x, axes: np.sqrt(_sum(x * x, axes))),
        "The square root of the sum of squares.", _expand_l2,
    ),
    (
        "reduce_sum_square", lambda x, axes: _sum(x * x, axes), "The sum of squares.",
        lambda g, x, fold: g.reduce_sum(g.mul(x, x), **fold),
    ),
    ("reduce_log_sum", _in_float(lambda x, axes: np.log(_sum(x, axes))), "The logarithm of the sum.", _expand_log_sum),
    ("reduce_log_sum_exp", _in_float(_log_sum_exp), "The logarithm of the sum of exponentials.", _expand_log_sum_exp),
)  # fmt: skip


class _Extreme(OpDef):
    """The position along `axis` of the extreme element: the first one, or the last with `select_last_index`."""

    tier = Tier.DEVICE
    operands = (Operand("x"),)
    results = (Result("indices", int64),)
    dtypes = {"T": NUMERIC}
    attributes = (
        Attribute("axis", int, 0),
        Attribute("keepdims", bool, True),
        Attribute("select_last_index", bool, False),
    )
    traits = frozenset({Trait.REDUCTION})
    function: ClassVar[Callable[..., Any]]

    def infer(self, types: Any, values: Any, *, axis: int, keepdims: bool, select_last_index: bool) -> Any:
        shape = types[0].shape
        axis = axis_of(self.name, axis, len(shape))
        return shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1 :]

    def reference(self, x: Any, *, axis: int, keepdims: bool, select_last_index: bool) -> Any:
        if not select_last_index:
            return self.function(x, axis, keepdims=keepdims).astype(np.int64)
        backward = self.function(np.flip(x, axis), axis, keepdims=keepdims)
        return (x.shape[axis] - 1 - backward).astype(np.int64)


class ArgMax(_Extreme):
    """The position of the largest element along `axis`; a NaN counts as the largest."""

    name = "mm.argmax"
    function = staticmethod(np.argmax)


class ArgMin(_Extreme):
    """The position of the smallest element along `axis`; a NaN counts as the smallest."""

    name = "mm.argmin"
    function = staticmethod(np.argmin)


class CumSum(OpDef):
    """Running sums along `axis`; `exclusive` leaves each element's own value out, `reverse` runs from the end."""

    name = "mm.cumsum"
    tier = Tier.DEVICE
    operands = (Operand("x"),)
    dtypes = {"T": NUMERIC}
    attributes = (Attribute("axis", int), Attribute("exclusive", bool, False), Attribute("reverse", bool, False))

    def infer(self, types: Any, values: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        axis_of(self.name, axis, len(types[0].shape))
        return types[0].shape

    def known(self, types: Any, values: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        x = values[0]
        if x is None or any(item is None for item in x.flat):
            return None
        return self.reference(x, axis=axis, exclusive=exclusive, reverse=reverse)

    def reference(self, x: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        return _running(np.cumsum, 0, x, axis, exclusive, reverse)


def _running(fold: Callable[..., Any], start: int, x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
    """`fold` along an axis; exclusive folds begin with `start` and drop the last."""
    terms = np.flip(wide(x), axis) if reverse else wide(x)
    total = fold(terms, axis, dtype=terms.dtype)
    if exclusive:
        total = np.roll(total, 1, axis)
        first = [slice(None)] * x.ndim
        first[axis] = slice(0, 1)
        total[tuple(first)] = start
    return (np.flip(total, axis) if reverse else total).astype(x.dtype)


class CumProd(OpDef):
    """Running products along `axis`; `exclusive` leaves each element's own value out, `reverse` runs from the end."""

    name = "mm.cumprod"
    operands = CumSum.operands
    dtypes = CumSum.dtypes
    attributes = CumSum.attributes

    def infer(self, types: Any, values: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        axis_of(self.name, axis, len(types[0].shape))
        return types[0].shape

    def reference(self, x: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        return _running(np.cumprod, 1, x, axis, exclusive, reverse)

    def decompose(self, graph: Any, x: Any, *, axis: int, exclusive: bool, reverse: bool) -> Any:
        """A scan whose state is the product so far."""
        return in_float32(graph, lambda x: self._scan(graph, x, axis, exclusive, reverse), x)

    def _scan(self, graph: Any, x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
        axis = axis_of(self.name, axis, len(x.type.shape))
        sizes = sizes_of(graph, x)
        body, part = Graph(within=graph.graph), x.type.with_shape(x.type.shape[:axis] + x.type.shape[axis + 1 :])
        before, item = body.add_argument(part), body.add_argument(part)
        after = body.mul(before, item)
        body.set_outputs([after, before if exclusive else after])
        ones = graph.expand(graph.constant(1, x.type.dtype), shape_operand(graph, sizes[:axis] + sizes[axis + 1 :]))
        where, direction = (axis,), (reverse,)
        return graph.scan(
            ones, x, states=1, scans=1, input_axes=where, output_axes=where, input_reverse=direction,
            output_reverse=direction, regions=(body,),
        )[1]  # fmt: skip


OPS: tuple[type[OpDef], ...] = (
    define(
        Reduction, "reduce_sum", "The sum; 0 of nothing.", _sum, NUMERIC,
        known_function=lambda a, b: a + b, known_initial=0,
    ),
    define(
        Reduction, "reduce_prod", "The product; 1 of nothing.", _prod, NUMERIC,
        known_function=lambda a, b: a * b, known_initial=1,
    ),
    define(
        Reduction, "reduce_max", "The largest element; NaN if one is. The type's lowest value of nothing.",
        _max, FLOATS | INTEGERS | BOOL, known_function=larger,
    ),
    define(
        Reduction, "reduce_min", "The smallest element; NaN if one is. The type's highest value of nothing.",
        _min, FLOATS | INTEGERS | BOOL, known_function=smaller,
    ),
    *(
        define(ReductionComposite, name, summary, function, NUMERIC, expand=expand)
        for name, function, summary, expand in _COMPOSITES
    ),
    ArgMax,
    ArgMin,
    CumSum,
    CumProd,
)  # fmt: skip
