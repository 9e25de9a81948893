"""Reductions and running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, axes_of, axis_of, cast, dtype, rank, tensor_type
from mm_parser_torch.sizes import expand, product, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_BOOL, _FLOAT, _INT, _BYTE = BY_NAME["bool"], BY_NAME["float32"], BY_NAME["int64"], BY_NAME["uint8"]


def _wide(own: DType) -> DType:
    """The type in which PyTorch adds: halves as float32."""
    return _FLOAT if own.is_float and own.bits < 32 else own


def _fold(g: Graph, call: Call, name: str, x: Value, dims: Any, keepdim: bool) -> Any:
    """A reduction in the result's type, wider inside."""
    wide = cast(g, x, _wide(call.dtype()))
    y = g.op(f"mm.{name}", wide, axes=axes_of(x, dims), keepdims=keepdim) if rank(x) else g.identity(wide)
    return cast(g, y, call.dtype())


@op("sum", "sum.dim_IntList")
def sum_(g: Graph, call: Call, x: Value, *arguments: Any) -> Any:
    dims, keepdim = _dims(arguments)
    return _fold(g, call, "reduce_sum", x, dims, keepdim)


def _dims(arguments: Sequence[Any]) -> tuple[Any, bool]:
    """`dim` and `keepdim` before the argument `dtype`, where an overload has them."""
    return (arguments[0], arguments[1]) if len(arguments) == 3 else (None, False)


@op("mean", "mean.dim")
def mean(g: Graph, call: Call, x: Value, *arguments: Any) -> Any:
    dims, keepdim = _dims(arguments)
    return _fold(g, call, "reduce_mean", x, dims, keepdim)


@op("prod", "prod.dim_int")
def prod(g: Graph, call: Call, x: Value, *arguments: Any) -> Any:
    dims, keepdim = _dims(arguments)
    if call.dtype() is _BOOL:
        return _logical(g, call, "reduce_min", x, dims, keepdim)
    return _fold(g, call, "reduce_prod", x, dims, keepdim)


@op("amax")
def amax(g: Graph, call: Call, x: Value, dims: Any, keepdim: bool) -> Any:
    return _extreme(g, "reduce_max", x, dims, keepdim)


@op("amin")
def amin(g: Graph, call: Call, x: Value, dims: Any, keepdim: bool) -> Any:
    return _extreme(g, "reduce_min", x, dims, keepdim)


@op("max", "min")
def whole_extreme(g: Graph, call: Call, x: Value) -> Any:
    return _extreme(g, f"reduce_{'max' if 'max' in str(call.target) else 'min'}", x, None, False)


def _extreme(g: Graph, name: str, x: Value, dims: Any, keepdim: bool) -> Any:
    return g.op(f"mm.{name}", x, axes=axes_of(x, dims), keepdims=keepdim) if rank(x) else g.identity(x)


@op("any", "any.dim", "any.dims", "_is_any_true")
def any_(g: Graph, call: Call, x: Value, dims: Any = None, keepdim: bool = False) -> Any:
    return _logical(g, call, "reduce_max", x, dims, keepdim)


@op("all", "all.dim", "all.dims", "_is_all_true")
def all_(g: Graph, call: Call, x: Value, dims: Any = None, keepdim: bool = False) -> Any:
    return _logical(g, call, "reduce_min", x, dims, keepdim)


def _logical(g: Graph, call: Call, name: str, x: Value, dims: Any, keepdim: bool) -> Any:
    truth = cast(g, x, _BOOL)
    if dims == [] and call.overload == "dims":
        return cast(g, truth, call.dtype())  # An empty list folds no axis here.
    return cast(g, _extreme(g, name, truth, dims, keepdim), call.dtype())


# --- places of extremes -----------------------------------------------------------------------------------------------


@op("argmax")
def argmax(g: Graph, call: Call, x: Value, dim: int | None, keepdim: bool) -> Any:
    return _place(g, "argmax", x, dim, keepdim)


@op("argmin")
def argmin(g: Graph, call: Call, x: Value, dim: int | None, keepdim: bool) -> Any:
    return _place(g, "argmin", x, dim, keepdim)


def _place(g: Graph, name: str, x: Value, dim: int | None, keepdim: bool) -> Any:
    numbers = cast(g, x, _BYTE) if dtype(x) is _BOOL else x
    if not rank(x):
        return g.constant(0, "int64")
    if dim is not None:
        return g.op(f"mm.{name}", numbers, axis=axis_of(x, dim), keepdims=keepdim)
    place = g.op(f"mm.{name}", g.reshape(numbers, [-1]), axis=0, keepdims=False)
    return g.reshape(place, [1] * rank(x)) if keepdim else place


@op("max.dim")
def max_dim(g: Graph, call: Call, x: Value, dim: int, keepdim: bool) -> Any:
    return _extreme(g, "reduce_max", x, [dim], keepdim), _place(g, "argmax", x, dim, keepdim)


@op("min.dim")
def min_dim(g: Graph, call: Call, x: Value, dim: int, keepdim: bool) -> Any:
    return _extreme(g, "reduce_min", x, [dim], keepdim), _place(g, "argmin", x, dim, keepdim)


# --- spread -----------------------------------------------------------------------------------------------------------


@op("var.correction", "var.dim")
def var(g: Graph, call: Call, x: Value, dims: Any, correction: Any, keepdim: bool) -> Any:
    """The mean square distance from the mean, over count - correction; `var.dim` says `unbiased`."""
    correction = 1 if correction is None else float(correction)
    return cast(g, _variance(g, x, dims, correction, keepdim)[0], call.dtype())


@op("var_mean.correction")
def var_mean(g: Graph, call: Call, x: Value, dims: Any, correction: Any, keepdim: bool) -> Any:
    spread, middle = _variance(g, x, dims, 1 if correction is None else float(correction), keepdim)
    return cast(g, spread, call.dtype()), cast(g, middle, call.dtype(1))


def _variance(g: Graph, x: Value, dims: Any, correction: float, keepdim: bool) -> tuple[Value, Value]:
    axes = axes_of(x, dims)
    wide = cast(g, x, _wide(dtype(x)))
    sizes = sizes_of(g, x)
    count = product(g, [sizes[axis] for axis in axes]) if axes else 1
    if isinstance(count, int):
        divisor: Any = g.constant(max(count - correction, 0), dtype(wide))
    else:
        divisor = g.maximum(g.sub(g.cast(count, to=dtype(wide)), correction), 0.0)
    mean = g.reduce_mean(wide, axes=axes, keepdims=True) if axes else wide
    squares = g.square(g.sub(wide, mean))
    total = g.reduce_sum(squares, axes=axes, keepdims=True) if axes else squares
    found = g.div(total, divisor), mean
    return found if keepdim or not axes else tuple(g.squeeze(value, axes=axes) for value in found)


# --- running ----------------------------------------------------------------------------------------------------------


def _running(name: str) -> Callable[..., Any]:
    def build(g: Graph, call: Call, x: Value, dim: int, *ignored: Any) -> Any:
        wide = cast(g, x, _wide(call.dtype()))
        y = g.op(f"mm.{name}", wide, axis=axis_of(x, dim)) if rank(x) else g.identity(wide)
        return cast(g, y, call.dtype())

    return build


op("cumsum")(_running("cumsum"))
op("cumprod")(_running("cumprod"))


def _running_extreme(name: str) -> Callable[..., Any]:
    def build(g: Graph, call: Call, x: Value, dim: int) -> Any:
        """Row by row: the extreme so far and the last place that has it; a NaN stays."""
        if not rank(x):
            return g.identity(x), g.constant(0, _INT)
        order = [axis_of(x, dim), *(axis for axis in range(rank(x)) if axis != axis_of(x, dim))]
        rows = g.transpose(x, permutation=order)
        first = g.gather(rows, g.constant(0, _INT), axis=0)
        numbers = g.sub(g.cumsum(expand(g, g.constant(1, _INT), sizes_of(g, rows)[:1]), axis=0), 1)
        region = Graph(within=g)
        start = expand(g, g.constant(0, _INT), sizes_of(g, first))
        arguments = (first, start, first, g.constant(0, _INT))
        best, place, row, number = (region.add_argument(tensor_type(value)) for value in arguments)
        better = region.op(f"mm.{name}", row, best)
        if dtype(x).is_float:
            better = region.logical_or(better, region.is_nan(row))
        best, place = region.select(better, row, best), region.select(better, number, place)
        region.set_outputs([best, place, region.identity(best), region.identity(place)])
        _, _, values, places = g.scan(first, start, rows, numbers, states=2, scans=2, regions=(region,))
        back = [order.index(axis) for axis in range(rank(x))]
        return g.transpose(values, permutation=back), g.transpose(places, permutation=back)

    return build


op("cummax")(_running_extreme("greater_or_equal"))
op("cummin")(_running_extreme("less_or_equal"))


@op("logsumexp")
def logsumexp(g: Graph, call: Call, x: Value, dims: Any, keepdim: bool) -> Any:
    """log(sum(exp(x))), with the largest element taken out first; infinite ones are left in."""
    wide = cast(g, x, _wide(call.dtype()))
    axes = axes_of(x, dims)
    if not axes:
        return cast(g, g.identity(wide), call.dtype())
    top = g.reduce_max(wide, axes=axes, keepdims=True)
    finite = g.select(g.is_inf(top), 0.0, top)
    y = g.add(g.log(g.reduce_sum(g.exp(g.sub(wide, finite)), axes=axes, keepdims=True)), finite)
    return cast(g, y if keepdim else g.squeeze(y, axes=axes), call.dtype())


@op("count_nonzero.dim_IntList")
def count_nonzero(g: Graph, call: Call, x: Value, dims: Any) -> Any:
    ones = g.cast(cast(g, x, _BOOL), to=_INT)
    return g.reduce_sum(ones, axes=axes_of(x, dims), keepdims=False) if rank(x) else ones


@op("histc")
def histc(g: Graph, call: Call, x: Value, bins: int, low: Any, high: Any) -> Any:
    """How many elements lie in each of equal intervals; those outside of all count nowhere."""
    if low == high:
        raise call.unsupported("limits that follow from the data (min equal to max) are not offered")
    flat = g.reshape(cast(g, x, _FLOAT if dtype(x).bits <= 32 else BY_NAME["float64"]), [-1])
    place = g.floor(g.mul(g.sub(flat, float(low)), bins / (high - low)))
    inside = g.logical_and(g.greater_or_equal(flat, float(low)), g.less_or_equal(flat, float(high)))
    index = g.cast(g.clip(place, 0.0, float(bins - 1)), to=_INT)
    zeros = g.expand(g.constant(0, dtype(flat)), [bins])
    counted = g.cast(inside, to=dtype(flat))
    return cast(g, g.scatter_elements(zeros, index, counted, axis=0, reduction="add"), call.dtype())
