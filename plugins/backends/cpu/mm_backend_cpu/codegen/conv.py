"""Convolution of NHWC images with constant weights, packed from OIHW, and an epilogue: a sum of GEMMs over kernel rows.

Where padding or the input's layout asks for it, the input rows of a block are first copied into a padded strip in
scratch. Volumes are images whose kernel rows lie in several planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_core.types import Dim

from .blocking import Blocking, Extent, choose_blocking
from .contraction import Contraction, Source, contraction_source
from .conv_spec import ConvSpec, Depth
from .conv_strip import slab_elements, strip_elements, strip_function, strip_inputs, strip_width
from .isa import Isa
from .kernel_source import KernelSource, Parameters
from .pack import PanelLayout
from .register_tile import BYTES, FLOATS, Steps

__all__ = ["ConvKernel", "ConvSpec", "Depth", "conv_extent", "generate_conv"]

_WHOLE_STRIP_BYTES = 512 << 10


@dataclass(frozen=True)
class ConvKernel:
    """A kernel and the layout of its weights."""

    source: KernelSource
    layout: PanelLayout

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return self.layout.elements

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [outputs, channels / groups, *kernel]."""
        outputs, channels, *kernel = weights.shape
        groups = self.layout.groups
        grouped = np.moveaxis(weights.reshape(groups, outputs // groups, channels, *kernel), (2, 1), (-2, -1))
        return self.layout.pack(grouped.reshape(groups, -1, outputs // groups))


def conv_extent(spec: ConvSpec) -> Extent:
    """What the blocking of a convolution depends on."""
    return _pointwise_extent(spec) if spec.is_pointwise else _extent(spec)


def generate_conv(spec: ConvSpec, isa: Isa, blocking: Blocking | None = None, first_weight: int = 0) -> ConvKernel:
    """A kernel for `spec`, cut as `blocking` says or else by rule; the packed weights begin at `first_weight`."""
    extent, parameters = conv_extent(spec), Parameters()
    blocking = blocking or choose_blocking(extent, isa)
    reduction = spec.taps * (spec.channels // spec.groups)
    layout = PanelLayout(spec.groups, reduction, spec.outputs // spec.groups, blocking.vectors * isa.lanes)
    panel = f"right = weights + {first_weight} + panel * {reduction * layout.width};"
    strip: Dim = 0
    if spec.needs_strip:
        rows: Dim = blocking.block_rows
        if whole := blocking.panels_first and _is_small(strip_elements(spec, spec.output_height)):
            rows = spec.output_height
        strip, slab = strip_elements(spec, rows), slab_elements(spec, rows)
        inputs = strip_inputs(spec, blocking.block_rows, whole, parameters)
        source = Source(inputs, panel, strip_function(spec, parameters), panels_follow=True)
    else:
        slab = spec.depth.dilation * spec.height * spec.width * spec.channels
        source = Source(_inputs(spec, parameters), panel, panels_follow=True)
    steps = _steps(spec, slab, parameters)
    kernel = spec.kernel if spec.depth.is_flat else (spec.depth.kernel, *spec.kernel)
    contraction = Contraction(
        f"conv{'x'.join(map(str, kernel))}", extent, blocking, steps, source, spec.epilogue, strip,
        arithmetic=FLOATS if spec.bytes is None else BYTES, placement=spec.placement,
    )  # fmt: skip
    return ConvKernel(contraction_source(contraction, isa, parameters), layout)


def _is_small(elements: Dim) -> bool:
    return isinstance(elements, int) and 4 * elements <= _WHOLE_STRIP_BYTES


def _pointwise_extent(spec: ConvSpec) -> Extent:
    """All pixels of all images are the rows of one matrix."""
    return Extent(
        images=1, rows=spec.output_pixels, columns=1, groups=spec.groups,
        outputs=spec.outputs // spec.groups, runs=1, run_length=spec.channels // spec.groups,
        input_row_bytes=4 * spec.channels, pixel_bytes=4 * spec.channels,
    )  # fmt: skip


def _extent(spec: ConvSpec) -> Extent:
    runs, run_length = _runs(spec)
    row_bytes = 4 * spec.strides[0] * _pitch(spec)
    return Extent(
        images=spec.images * spec.depth.output, rows=spec.output_height, columns=spec.output_width, groups=spec.groups,
        outputs=spec.outputs // spec.groups, runs=runs * spec.depth.kernel, run_length=run_length,
        input_row_bytes=row_bytes * spec.depth.kernel,
        pixel_bytes=row_bytes if spec.output_width == 1 else 4 * spec.strides[1] * spec.channels,
        halo_rows=max(0, spec.window[0] - spec.strides[0]) if spec.needs_strip else 0, copies=spec.needs_strip,
    )  # fmt: skip


def _runs(spec: ConvSpec) -> tuple[int, int]:
    """(count, length) of contiguous runs of inputs under the window in a plane: all of it where it covers whole rows,
    else kernel rows, or pixels where those are not."""
    if spec.groups > 1 or (spec.dilations[1] > 1 and spec.kernel[1] > 1):
        return spec.kernel[0] * spec.kernel[1], spec.channels // spec.groups
    length = spec.kernel[1] * spec.channels
    if _pitch(spec) == length and (spec.dilations[0] == 1 or spec.kernel[0] == 1):
        return 1, spec.kernel[0] * length
    return spec.kernel[0], length


def _pitch(spec: ConvSpec) -> Dim:
    """Elements from one input row to the next, in the strip or in the image."""
    return (strip_width(spec) if spec.needs_strip else spec.width) * spec.channels


def _steps(spec: ConvSpec, slab: Dim, parameters: Parameters) -> Steps:
    """Steps through inputs whose planes are `slab` elements apart."""
    c, group = parameters.c, spec.channels // spec.groups
    if spec.is_pointwise:
        return Steps(row=spec.channels, column=0, run="0", group=group)
    pitch, (down, right) = _pitch(spec), spec.dilations
    runs, length = _runs(spec)
    tap = "run" if spec.depth.kernel == 1 else f"run % {runs}"
    if runs == 1:
        run = "0"
    elif length == group:
        across = spec.kernel[1]
        run = f"{tap} / {across} * {c(down * pitch)} + {tap} % {across} * {right * spec.channels}"
    else:
        run = f"{tap} * {c(down * pitch)}"
    if spec.depth.kernel > 1:
        run = f"run / {runs} * {c(slab)} + {run}"
    return Steps(spec.strides[0] * pitch, spec.strides[1] * spec.channels, run, group=group)


def _inputs(spec: ConvSpec, parameters: Parameters) -> str:
    """C that points `left` at the inputs of a task, which are read where they lie."""
    c, depth = parameters.c, spec.depth
    if spec.is_pointwise:
        return f"left = input + row * {spec.channels};"
    plane = spec.height * spec.width * spec.channels
    first = f"image * {c(plane)}"
    if not depth.is_flat:
        volume, output = c(depth.size * plane), c(depth.output)
        first = f"image / {output} * {volume} + image % {output} * {c(depth.stride * plane)}"
    return f"left = input + {first} + row * {c(spec.strides[0] * _pitch(spec))};"
