"""The window of a convolution or a pool, its defaults filled in and `auto_pad` resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mm_backend_cpu.lowering.lowering import outside, shape_of
from mm_core.ir import Operation, Value
from mm_core.types import Dim


@dataclass(frozen=True, slots=True)
class Window:
    """One entry for each spatial axis; `ends` are pads after. The sizes of a convolution's kernel may be symbols."""

    kernel: tuple[Dim, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def pair(self, values: Sequence[Dim], absent: int) -> tuple[Any, Any]:
        """Values for two axes; one axis is the second, the first takes `absent`."""
        return (values[0], values[1]) if len(values) == 2 else (absent, values[0])

    def four_pads(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        top, left = self.pair(self.begins, 0)
        bottom, right = self.pair(self.ends, 0)
        return top, left, bottom, right

    def part(self, first: int, last: int | None) -> Window:
        """The axes from `first` to before `last`, or to the end, alone."""
        kinds = (self.kernel, self.strides, self.dilations, self.begins, self.ends)
        return Window(*(kind[first:last] for kind in kinds))  # type: ignore[arg-type]

    def parameters(self) -> tuple[int, ...]:
        """Strides, pads before and dilations in the order of the library's kernels."""
        return (*self.strides, *self.begins, *self.dilations)


def window_of(operation: Operation, alias: Mapping[Value, Value | None] | None = None) -> Window | str:
    """The window of a convolution or pool, or the reason why it is not known while building."""
    attributes = operation.attributes
    values = [outside(value, alias) for value in operation.operands if value is not None]
    spatial = shape_of(values[0])[2:]
    kernel: Sequence[Dim] = attributes.get("kernel_shape") or shape_of(values[1])[2:]
    rank = len(spatial)
    strides = attributes["strides"] or (1,) * rank
    dilations = attributes["dilations"] or (1,) * rank
    pads = attributes["pads"] or (0,) * (2 * rank)
    mode = attributes["auto_pad"]
    begins, ends = tuple(pads[:rank]), tuple(pads[rank:])
    if mode == "valid":
        begins = ends = (0,) * rank
    elif mode.startswith("same"):
        if not all(isinstance(dim, int) for dim in (*spatial, *kernel)):
            return "auto_pad where the image's size, or the window's, is known only when running"
        before, after = [], []
        for size, extent, stride, dilation in zip(spatial, kernel, strides, dilations):
            assert isinstance(size, int)
            assert isinstance(extent, int)
            reach = (extent - 1) * dilation + 1
            total = max(0, (-(-size // stride) - 1) * stride + reach - size)
            small, large = total // 2, total - total // 2
            before.append(small if mode == "same_upper" else large)
            after.append(large if mode == "same_upper" else small)
        begins, ends = tuple(before), tuple(after)
    return Window(tuple(kernel), tuple(strides), tuple(dilations), begins, ends)

