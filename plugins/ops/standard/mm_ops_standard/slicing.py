"""Parts of tensors, and tensors extended: slice, split, pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ir import known_value
from mm_core.ops import Arity, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import Dim, agree, ceildiv, is_non_negative
from mm_ops_standard.checks import require
from mm_ops_standard.known import dims, integers, larger, smaller
from mm_ops_standard.movement import Movement
from mm_ops_standard.places import places
from mm_ops_standard.shapes import axes_of, axis_of, int64_vector, is_settled, read_sizes

_FAR = 2**31 - 1
"""Bounds from here on mean "to the end", as exporters write them."""


_MOST_PADDED = 2**60
"""Elements, beyond what any memory holds."""


class Slice(Movement):
    """Elements from `starts` up to `ends` (left out) in steps, along `axes` (default: the first ones).

    Negative bounds count from the end; bounds outside are drawn to the nearest place. Steps may be negative.
    """

    name = "mm.slice"
    tier = Tier.DEVICE
    operands = (
        Operand("x"),
        Operand("starts", "I"),
        Operand("ends", "I"),
        Operand("axes", "I", Arity.OPTIONAL),
        Operand("steps", "I", Arity.OPTIONAL),
    )

    def infer(self, types: Any, values: Any) -> Any:
        shape = list(types[0].shape)
        for type_ in types[1:]:
            require(type_ is None or type_.rank in (None, 1), f"{self.name}: bounds, axes and steps must be vectors")
        starts, ends = dims(values[1], types[1]), dims(values[2], types[2])
        if starts is None or ends is None:
            return (None,) * len(shape)
        count = len(starts)
        axes: Any = tuple(range(count)) if types[3] is None else integers(values[3])
        if axes is None:
            return (None,) * len(shape)
        steps = (1,) * count if types[4] is None else dims(values[4], types[4])
        if not len(ends) == len(axes) == len(steps or axes) == count:
            raise UnsupportedOpError(f"{self.name}: starts, ends, axes and steps differ in length")
        for index, axis in enumerate(axes_of(self.name, axes, len(shape))):
            step = None if steps is None else steps[index]
            shape[axis] = _slice_length(shape[axis], starts[index], ends[index], step)
        return tuple(shape)

    def known(self, types: Any, values: Any) -> Any:
        known, starts, ends = values[0], integers(values[1]), integers(values[2])
        axes, steps = (None if types[i] is None else integers(values[i]) for i in (3, 4))
        lost = [i for i, given in ((3, axes), (4, steps)) if types[i] is not None and given is None]
        if known is None or starts is None or ends is None or lost:
            return None
        return self.reference(known, starts, ends, axes, steps)

    def reference(self, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        window = [slice(None)] * x.ndim
        axes = range(len(starts)) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        for axis, start, end, step in zip(axes, starts, ends, steps):
            window[int(axis)] = slice(int(start), int(end), int(step))
        return x[tuple(window)]

    def decompose(self, graph: Any, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        """Where only running tells how much is kept, the places kept are counted there and gathered, axis by axis."""
        if is_settled(self, x, starts, ends, axes, steps):
            return None
        starts, ends = int64_vector(graph, starts), int64_vector(graph, ends)
        steps = graph.expand(1, graph.shape(starts)) if steps is None else int64_vector(graph, steps)
        picked, bounds = self._by_axis(graph, x, starts, ends, axes, steps)
        firsts, counts, steps = _places_kept(graph, graph.gather(graph.shape(x), np.array(picked, np.int64)), *bounds)
        for number, (axis, count) in enumerate(zip(picked, read_sizes(graph, counts, len(picked)))):
            first, step = (graph.gather(vector, np.array(number)) for vector in (firsts, steps))
            x = graph.gather(x, graph.add(graph.mul(places(graph, count), step), first), axis=axis)
        return x

    def _by_axis(self, graph: Any, x: Any, starts: Any, ends: Any, axes: Any, steps: Any) -> tuple[list[int], Any]:
        """Axes, and starts, ends and steps for each of them. All axes where only running tells which are meant."""
        rank, count = len(x.type.shape), starts.type.shape[0]
        known = tuple(range(count)) if axes is None and isinstance(count, int) else integers(known_value(axes))
        if known is not None:
            return list(axes_of(self.name, known, rank)), (starts, ends, steps)
        if axes is None:
            axes = graph.range(0, graph.reshape(graph.shape(starts), []), 1)
        axes = graph.gather(np.arange(rank), axes)  # Counted from the front.
        whole = (np.zeros(rank, np.int64), graph.shape(x), np.ones(rank, np.int64))
        given = (starts, ends, steps)
        return list(range(rank)), [
            graph.scatter_elements(default, axes, values, axis=0) for default, values in zip(whole, given)
        ]


def _places_kept(graph: Any, size: Any, starts: Any, ends: Any, steps: Any) -> tuple[Any, Any, Any]:
    """First place, number of places and step of range(size)[start:end:step], of vectors with an entry for each axis.

    Nothing overflows: bounds move towards zero only, and a step longer than the axis is made as long as it.
    """
    forward = graph.less(0, steps)
    low, high = graph.select(forward, 0, -1), graph.select(forward, size, graph.sub(size, 1))
    first, last = (
        graph.minimum(graph.maximum(graph.select(graph.less(bound, 0), graph.add(bound, size), bound), low), high)
        for bound in (starts, ends)
    )
    far = graph.add(size, 1)
    steps = graph.minimum(graph.maximum(steps, graph.neg(far)), far)
    span = graph.add(graph.sub(last, first), graph.sub(steps, graph.sign(steps)))
    stands = graph.equal(steps, 0)
    counts = graph.maximum(graph.div(span, graph.select(stands, 1, steps)), 0)
    return first, graph.select(stands, -1, counts), steps  # -1 is no size: where it is read, it is refused


def _slice_length(size: Dim, start: Any, end: Any, step: Any) -> Dim | None:
    """The length of range(size)[start:end:step], None where signs are unknown."""
    if start is None or end is None or not isinstance(step, int):
        return None
    if step == 0:
        raise UnsupportedOpError("mm.slice: a step is 0")
    if step > 0:
        first, last = _bound(start, size, 0, size), _bound(end, size, 0, size)
        span = None if first is None or last is None else last - first
    else:
        first, last = _bound(start, size, -1, size - 1), _bound(end, size, -1, size - 1)
        span = None if first is None or last is None else first - last
    return None if span is None else larger(ceildiv(span, abs(step)), 0)


def _bound(place: Dim, size: Dim, low: int, high: Dim) -> Dim | None:
    if isinstance(place, int):
        if place >= _FAR:
            return high
        if place <= -_FAR:
            return low
        return larger(place + size, low) if place < 0 else smaller(place, high)
    return smaller(place, high) if is_non_negative(place) else None


class Split(Movement):
    """x cut along `axis` into `parts` results: of the sizes given, else of equal size, the last one smaller."""

    name = "mm.split"
    operands = (Operand("x"), Operand("sizes", "I", Arity.OPTIONAL))
    results = (Result("parts", "T", variadic=True),)
    attributes = (Attribute("axis", int, 0), Attribute("parts", int, None))
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, axis: int, parts: int | None) -> Any:
        shape = types[0].shape
        if shape is None:
            given = None if types[1] is None else dims(values[1], types[1])
            require(bool(parts or given), f"{self.name} needs sizes, or a positive number of parts")
            return [None] * (parts or len(given or ()))
        axis = axis_of(self.name, axis, len(shape))
        lengths = self._lengths(shape[axis], types, values, parts)
        return [shape[:axis] + (length,) + shape[axis + 1 :] for length in lengths]

    def _lengths(self, size: Dim, types: Any, values: Any, parts: int | None) -> tuple[Dim | None, ...]:
        if types[1] is None:
            if not parts or parts < 1:
                raise UnsupportedOpError(f"{self.name} needs sizes, or a positive number of parts")
            chunk = ceildiv(size, parts)
            lengths = [smaller(chunk, larger(size - chunk * index, 0)) for index in range(1, parts)]
            return (chunk, *lengths) if parts > 1 else (size,)
        given = dims(values[1], types[1])
        if given is None:
            given = (None,) * parts if parts else None
        if given is None or parts not in (None, len(given)):
            raise UnsupportedOpError(f"{self.name}: the number of parts is {parts}, sizes are {given}")
        if None not in given:
            total: Dim = 0
            for length in given:
                total = total + length  # type: ignore[operator]
            agree(total, size, f"{self.name}: the sum of the sizes and the size of the axis")
        return given

    def known(self, types: Any, values: Any, *, axis: int, parts: int | None) -> Any:
        known, sizes = values[0], integers(values[1])
        if known is None or (types[1] is not None and sizes is None):
            return [None] * len(self._lengths(types[0].shape[axis], types, values, parts))
        return list(self.reference(known, sizes, axis=axis, parts=parts))

    def reference(self, x: Any, sizes: Any = None, *, axis: int, parts: int | None) -> Any:
        if sizes is None:
            chunk = -(-x.shape[axis] // parts)
            places = [chunk * index for index in range(1, parts)]  # type: ignore[arg-type]
        else:
            places = np.cumsum(sizes)[:-1].tolist()
        return tuple(np.split(x, places, axis))

    def decompose(self, graph: Any, x: Any, sizes: Any = None, *, axis: int, parts: int | None) -> Any:
        axis = axis_of(self.name, axis, len(x.type.shape))
        if not is_settled(self, x, sizes, axis=axis, parts=parts):
            return graph.split(x, graph.sizes(int64_vector(graph, sizes, parts)), axis=axis, parts=parts)
        size = x.type.shape[axis]
        if sizes is None and isinstance(size, int):
            chunk = -(-size // parts)  # type: ignore[operator]
            ends: list[Any] = [[min(chunk * (index + 1), size)] for index in range(parts)]  # type: ignore[arg-type]
        elif sizes is None:
            length = graph.shape(x, start=axis, end=axis + 1)
            chunk = graph.div(graph.add(length, [parts - 1]), [parts])  # type: ignore[operator]
            ends = [graph.mul(chunk, [index + 1]) for index in range(parts)]  # type: ignore[arg-type]
        else:
            total = graph.cumsum(sizes, axis=0)
            count = parts or total.type.shape[0]
            ends = [graph.slice(total, [index], [index + 1], [0]) for index in range(count)]
        starts = [[0] if sizes is None else graph.constant([0], sizes.type.dtype), *ends[:-1]]
        return tuple(graph.slice(x, start, end, [axis]) for start, end in zip(starts, ends))


class Pad(Movement):
    """x with `pads` (all beginnings, then all ends; negative ones crop) elements added along `axes`, default all.

    They are `value` (default 0), or by `mode` the mirrored inside, the border, or the other side.
    """

    name = "mm.pad"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("pads", "I"), Operand("value", "T", Arity.OPTIONAL))
    attributes = (
        Attribute("mode", str, "constant", ("constant", "reflect", "edge", "wrap")),
        Attribute("axes", (int,), None),
    )

    def infer(self, types: Any, values: Any, *, mode: str, axes: Any) -> Any:
        shape = list(types[0].shape)
        padded, pads = axes_of(self.name, axes, len(shape)), dims(values[1], types[1])
        if pads is None:
            return (None,) * len(shape)
        if len(pads) != 2 * len(padded):
            raise UnsupportedOpError(
                f"{self.name}: {len(pads)} pads for {len(padded)} axes", remedy="give a beginning and an end for each"
            )
        for axis, begin, end in zip(padded, pads, pads[len(padded) :]):
            shape[axis] = None if begin is None or end is None else shape[axis] + begin + end
            if isinstance(shape[axis], int) and shape[axis] < 0:
                raise UnsupportedOpError(f"{self.name}: the pads {list(map(str, pads))} crop more than axis {axis} has")
        return tuple(shape)

    def reference(self, x: Any, pads: Any, value: Any = None, *, mode: str, axes: Any) -> Any:
        padded = axes_of(self.name, axes, x.ndim)
        widths, window = [(0, 0)] * x.ndim, [slice(None)] * x.ndim
        for axis, begin, end in zip(padded, map(int, pads), map(int, pads[len(padded) :])):
            widths[axis] = (max(begin, 0), max(end, 0))
            window[axis] = slice(max(-begin, 0), x.shape[axis] - max(-end, 0))
        cropped = x[tuple(window)]
        if mode != "constant":
            return np.pad(cropped, widths, mode)  # type: ignore[call-overload]
        fill = ("" if x.dtype == object else 0) if value is None else np.asarray(value).reshape(-1)[0]
        result = np.full([sum(w) + s for w, s in zip(widths, cropped.shape)], fill, x.dtype)
        result[tuple(slice(begin, begin + size) for (begin, _), size in zip(widths, cropped.shape))] = cropped
        return result

    def decompose(self, graph: Any, x: Any, pads: Any, value: Any = None, *, mode: str, axes: Any) -> Any:
        """Pads that only running tells are read there. What is to be mirrored or repeated is cropped before."""
        padded, known = axes_of(self.name, axes, len(x.type.shape)), dims(known_value(pads), pads.type) or (None,)
        mirrors = mode in ("reflect", "wrap")
        crops = mirrors and any(pad is None or not is_non_negative(pad) for pad in known)
        if is_settled(self, x, pads, value, mode=mode, axes=axes) and not crops:
            return None
        count = len(padded)
        pads = int64_vector(graph, pads, 2 * count)
        size = graph.gather(graph.shape(x), np.array(padded, np.int64))
        # Numbers that can be added: what is drawn in here crops more than there is, or fills any memory, still.
        pads = graph.minimum(graph.maximum(pads, -_MOST_PADDED), _MOST_PADDED)
        begins, ends = graph.slice(pads, [0], [count]), graph.slice(pads, [count], [2 * count])
        added, cropped = graph.maximum(begins, 0), graph.maximum(graph.neg(begins), 0)
        if mirrors:
            left = graph.sizes(graph.sub(graph.sub(size, cropped), graph.maximum(graph.neg(ends), 0)))
            x = graph.slice(x, cropped, graph.add(cropped, left), np.array(padded, np.int64))
            pads = graph.sizes(graph.concat(added, graph.maximum(ends, 0), axis=0))
        else:
            # The result's size is one symbol of its own: sums of several multiply to long expressions.
            read = graph.sizes(graph.concat(added, cropped, graph.add(size, graph.add(begins, ends)), axis=0))
            added, cropped, after = (graph.slice(read, [part * count], [(part + 1) * count]) for part in range(3))
            begins = graph.sub(added, cropped)
            pads = graph.concat(begins, graph.sub(graph.sub(after, size), begins), axis=0)
        return graph.pad(x, pads, value, mode=mode, axes=axes)


OPS: tuple[type[OpDef], ...] = (Slice, Split, Pad)
