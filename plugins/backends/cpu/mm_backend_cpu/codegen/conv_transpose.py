"""Transposed convolution as one convolution for each phase of its strides.

Of the outputs along an axis, those at equal places modulo the stride are sums over the same taps of the kernel, and
neighbours among them read neighbouring inputs: a convolution of stride 1 with these taps in reverse. A kernel computes
all phases, each with its own share of the weights, and puts their pixels where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError
from mm_core.types import Dim, ceildiv

from .blocking import Blocking
from .contraction import Placement
from .conv import ConvKernel, ConvSpec, generate_conv
from .conv_depthwise import DepthwiseKernel, generate_depthwise, is_depthwise
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, joined
from .register_tile import NO_EPILOGUE


@dataclass(frozen=True)
class TransposedAxis:
    """One spatial axis. `output` is its size after cutting off `begin` elements in front and what is left behind."""

    size: Dim
    output: Dim
    kernel: int
    stride: int = 1
    dilation: int = 1
    begin: int = 0


@dataclass(frozen=True)
class _Phase:
    """Outputs `start`, `start` + stride ... of an axis: a convolution with `taps`, of which the first reads furthest in
    front, `dilation` inputs apart."""

    start: int
    taps: tuple[int, ...]
    dilation: int
    pads: tuple[int, int]


def axis_phases(axis: TransposedAxis) -> tuple[_Phase, ...] | str:
    """The phases of an axis, or why there are none."""
    phases = []
    for start in range(axis.stride):
        count = ceildiv(axis.output - start, axis.stride)
        if isinstance(count, int) and count <= 0:
            continue
        # Output start + t * stride is the sum over taps of input first + t - distance.
        first, phase = divmod(start + axis.begin, axis.stride)
        distances = {
            tap: (tap * axis.dilation - phase) // axis.stride
            for tap in reversed(range(axis.kernel))
            if (tap * axis.dilation - phase) % axis.stride == 0
        }
        if not distances:
            return "outputs that no weight reaches"
        furthest, nearest = max(distances.values()), min(distances.values())
        before = furthest - first
        after = count - 1 + first - nearest - (axis.size - 1)
        if not isinstance(after, int):
            return "an output size that does not follow from the image's"
        dilation = (furthest - nearest) // max(1, len(distances) - 1) or 1
        phases.append(_Phase(start, tuple(distances), dilation, (before, after)))
    return tuple(phases)


@dataclass(frozen=True)
class ConvTransposeSpec:
    """A float32 transposed convolution over `rows` and `columns`; one dimension has rows alone.

    `channels` and `outputs` are those of all groups together. The kernel's inputs are the images, the packed weights
    and those of the epilogue; its output is NHWC.
    """

    images: Dim
    channels: int
    outputs: int
    rows: TransposedAxis
    columns: TransposedAxis
    groups: int = 1
    input_layout: Literal["NHWC", "NCHW"] = "NHWC"
    epilogue: Epilogue = NO_EPILOGUE

    @cached_property
    def phases(self) -> tuple[tuple[_Phase, _Phase], ...]:
        """The phases of rows and columns. CompileError if there are none."""
        axes = axis_phases(self.rows), axis_phases(self.columns)
        for phases in axes:
            if isinstance(phases, str):
                raise CompileError(f"a transposed convolution has {phases}: {self}")
        return tuple(product(*axes))  # type: ignore[arg-type]  # no text is left

    @cached_property
    def convolutions(self) -> tuple[ConvSpec, ...]:
        """What computes each phase."""
        return tuple(self._convolution(*phase) for phase in self.phases)

    def _convolution(self, row: _Phase, column: _Phase) -> ConvSpec:
        pixel, width = self.outputs, self.columns.output
        placement = Placement(
            self.rows.output * width * pixel, self.rows.stride * width * pixel, self.columns.stride * pixel,
            (row.start * width + column.start) * pixel,
        )  # fmt: skip
        return ConvSpec(
            self.images, self.channels, self.rows.size, self.columns.size, self.outputs,
            (len(row.taps), len(column.taps)), pads=(row.pads[0], column.pads[0], row.pads[1], column.pads[1]),
            dilations=(row.dilation, column.dilation), groups=self.groups, input_layout=self.input_layout,
            epilogue=self.epilogue, placement=placement,
        )  # fmt: skip


@dataclass(frozen=True)
class ConvTransposeKernel:
    """A kernel, its phases, and the convolutions that compute them."""

    source: KernelSource
    groups: int
    phases: tuple[tuple[_Phase, _Phase], ...]
    convolutions: tuple[ConvKernel | DepthwiseKernel, ...]

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return sum(convolution.packed_elements for convolution in self.convolutions)

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [channels, outputs / groups, kernel rows, kernel columns]."""
        groups = self.groups
        channels, outputs, *kernel = weights.shape
        turned = weights.reshape(groups, channels // groups, outputs, *kernel).swapaxes(1, 2)
        turned = turned.reshape(groups * outputs, channels // groups, *kernel)
        packed = [
            convolution.pack(turned[:, :, row.taps][:, :, :, column.taps]).reshape(-1)
            for convolution, (row, column) in zip(self.convolutions, self.phases, strict=True)
        ]
        return np.concatenate(packed)


def generate_conv_transpose(
    spec: ConvTransposeSpec, isa: Isa, blockings: Sequence[Blocking | None] | None = None, pixels: int | None = None
) -> ConvTransposeKernel:
    """A kernel for `spec`, its phases cut as `blockings` say, or in tiles of `pixels` where they are depthwise; without
    either by rule."""
    kernels: list[ConvKernel | DepthwiseKernel] = []
    first_weight = 0
    for convolution, blocking in zip(spec.convolutions, blockings or [None] * len(spec.convolutions), strict=True):
        if is_depthwise(convolution):
            kernels.append(generate_depthwise(convolution, isa, pixels, first_weight))
        else:
            kernels.append(generate_conv(convolution, isa, blocking, first_weight))
        first_weight += kernels[-1].packed_elements
    source = joined(f"conv_transpose{spec.rows.kernel}x{spec.columns.kernel}", [kernel.source for kernel in kernels])
    return ConvTransposeKernel(source, spec.groups, spec.phases, tuple(kernels))
