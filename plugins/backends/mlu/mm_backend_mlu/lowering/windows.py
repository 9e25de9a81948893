"""The window of a convolution or pool over two spatial axes, its defaults filled in and `auto_pad` resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.ir import Operation

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """Sizes, steps and pads along rows and columns; images of one spatial axis have one row."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    begins: Pair
    ends: Pair

    def fields(self) -> dict[str, int]:
        """The fields of a kernel's shape."""
        names = "kh", "kw", "sy", "sx", "dy", "dx", "top", "left"
        return dict(zip(names, (*self.kernel, *self.strides, *self.dilations, *self.begins)))


def window_of(operation: Operation, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a convolution or pool with attributes as dialect `mm` defines them."""
    attributes, rank = operation.attributes, len(spatial)
    strides = attributes["strides"] or (1,) * rank
    dilations = attributes["dilations"] or (1,) * rank
    pads = attributes["pads"] or (0,) * (2 * rank)
    begins, ends = tuple(pads[:rank]), tuple(pads[rank:])
    mode = attributes["auto_pad"]
    if mode.startswith("same"):
        totals = [
            max(0, (-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size)
            for size, extent, stride, dilation in zip(spatial, kernel, strides, dilations)
        ]
        small = tuple(total // 2 for total in totals)
        large = tuple(total - half for total, half in zip(totals, small))
        begins, ends = (small, large) if mode == "same_upper" else (large, small)
    return Window(_pair(kernel, 1), _pair(strides, 1), _pair(dilations, 1), _pair(begins, 0), _pair(ends, 0))


def _pair(values: Sequence[int], absent: int) -> Pair:
    """Values for two axes; one axis is the second."""
    first, second = (absent, *values)[-2:]
    return first, second
