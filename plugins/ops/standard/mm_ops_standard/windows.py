"""Windows that slide over spatial axes: the geometry that convolutions and pools share, and its numpy form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mm_core.ops import Attribute
from mm_core.types import Array, Dim, ceildiv, dim_max, dim_min, evaluate_int, floordiv
from mm_ops_standard.checks import require

AUTO_PAD = ("notset", "valid", "same_upper", "same_lower")
WINDOW_ATTRIBUTES = (
    Attribute("strides", (int,), ()),
    Attribute("pads", (int,), ()),
    Attribute("dilations", (int,), ()),
    Attribute("auto_pad", str, "notset", AUTO_PAD),
)
"""Empty strides and dilations mean ones, empty pads zeros. `pads` lists all begins, then all ends."""


@dataclass(frozen=True, slots=True)
class Window:
    """Kernel extents, steps and padding of each axis. Pads are symbolic where `auto_pad` meets symbolic sizes."""

    kernel: tuple[Dim, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[Dim, ...]
    ends: tuple[Dim, ...]

    @property
    def extents(self) -> tuple[Dim, ...]:
        """How far a dilated kernel reaches along each axis."""
        return tuple((size - 1) * dilation + 1 for size, dilation in zip(self.kernel, self.dilations))

    def output(self, op: str, spatial: Sequence[Dim], ceil_mode: bool = False) -> tuple[Dim, ...]:
        """Number of window positions along each axis.

        With `ceil_mode` the last window may overhang the end, but must begin inside the tensor or its front padding.
        """
        sizes: list[Dim] = []
        for size, extent, stride, begin, end in zip(spatial, self.extents, self.strides, self.begins, self.ends):
            room = size + begin + end - extent
            require(
                not isinstance(room, int) or room > (-stride if ceil_mode else -1),
                f"{op}: the window reaches {extent} elements but an axis has {size} and padding {begin} and {end}",
            )
            if ceil_mode:
                sizes.append(dim_min(ceildiv(room, stride) + 1, ceildiv(size + begin, stride)))
            else:
                sizes.append(floordiv(room, stride) + 1)
        return tuple(sizes)


def make_window(
    op: str,
    spatial: Sequence[Dim],
    kernel: Sequence[Dim],
    *,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    auto_pad: str,
) -> Window:
    """The checked window, defaults filled in and `auto_pad` resolved. VerifyError for what cannot be a window."""
    rank = len(spatial)
    strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * (2 * rank)
    for name, given, wanted in (
        ("kernel", kernel, rank),
        ("strides", strides, rank),
        ("dilations", dilations, rank),
        ("pads", pads, 2 * rank),
    ):
        require(len(given) == wanted, f"{op}: {name} {list(given)} must have {wanted} entries for {rank} spatial axes")
        least = 0 if name == "pads" else 1
        require(
            all(not isinstance(item, int) or item >= least for item in given),
            f"{op}: {name} {list(given)} must be at least {least}",
        )
    window = Window(tuple(kernel), strides, dilations, pads[:rank], pads[rank:])
    if auto_pad == "notset":
        return window
    require(not any(pads), f"{op}: pads {list(pads)} and auto_pad '{auto_pad}' exclude each other")
    if auto_pad == "valid":
        return window
    totals = [
        dim_max((ceildiv(size, stride) - 1) * stride + extent - size, 0)
        for size, stride, extent in zip(spatial, strides, window.extents)
    ]
    small = tuple(floordiv(total, 2) for total in totals)
    large = tuple(total - half for total, half in zip(totals, small))
    begins, ends = (small, large) if auto_pad == "same_upper" else (large, small)
    return Window(window.kernel, strides, dilations, begins, ends)


def is_padded_while_running(x: Any, auto_pad: str) -> bool:
    """Whether the padding follows from sizes that are symbols."""
    return auto_pad.startswith("same") and not all(isinstance(size, int) for size in x.type.shape[2:])


def pad_same(graph: Any, x: Any, value: Any, window: Window, kernel: Any, auto_pad: str) -> Any:
    """x padded by `value` as `auto_pad` asks, so that windows need no padding more. All sizes may be symbols.

    `kernel` holds the window's sizes, one for each spatial axis.
    """
    strides, sizes = np.array(window.strides), graph.shape(x, start=2)
    steps = graph.div(graph.add(sizes, strides - 1), strides)
    extents = graph.add(graph.mul(graph.sub(kernel, 1), np.array(window.dilations)), 1)
    reach = graph.add(graph.mul(graph.sub(steps, 1), strides), extents)
    total = graph.maximum(graph.sub(reach, sizes), 0)
    small = graph.div(total, 2)
    large = graph.sub(total, small)
    both = (small, large) if auto_pad == "same_upper" else (large, small)
    axes = range(2, len(x.type.shape))
    return graph.pad(x, graph.concat(*both, axis=0), graph.constant(value, x.type.dtype), axes=axes)


def static(sizes: Sequence[Dim]) -> list[int]:
    """Sizes of which none is a symbol any more, as where arrays are computed; InputError for one that is."""
    return [evaluate_int(size, {}) for size in sizes]


def windows_of(x: Array, window: Window, output: Sequence[int], fill: Any) -> Array:
    """The elements under every window of x [N, C, *spatial] padded with `fill`: a view [N, C, *output, *kernel]."""
    margins = [(0, 0), (0, 0)]
    extents, begins = static(window.extents), static(window.begins)
    for size, stride, extent, begin, count in zip(x.shape[2:], window.strides, extents, begins, output):
        margins.append((begin, max(0, (count - 1) * stride + extent - size - begin)))
    padded = np.pad(x, margins, constant_values=fill) if any(map(any, margins)) else x
    rank = len(window.kernel)
    view = np.lib.stride_tricks.sliding_window_view(padded, extents, tuple(range(2, 2 + rank)))
    steps = [
        slice(0, (count - 1) * stride + 1 if count else 0, stride) for count, stride in zip(output, window.strides)
    ]
    return view[(slice(None), slice(None), *steps, *(slice(None, None, step) for step in window.dilations))]


def blocks_added(
    blocks: Array, block: Sequence[int], strides: Sequence[int], dilations: Sequence[int], reach: Sequence[int]
) -> Array:
    """Blocks [N, C, *block, *counts] added up where windows sliding over zeros [N, C, *reach] have their elements."""
    canvas = np.zeros((*blocks.shape[:2], *reach), blocks.dtype)
    counts = blocks.shape[2 + len(block) :]
    for offsets in product(*map(range, block)):
        places: list[Any] = [
            slice(offset * dilation, offset * dilation + (count - 1) * stride + 1, stride)
            for offset, dilation, count, stride in zip(offsets, dilations, counts, strides)
        ]
        element: list[Any] = [slice(None), slice(None), *offsets]
        canvas[(..., *places)] += blocks[tuple(element)]
    return canvas
