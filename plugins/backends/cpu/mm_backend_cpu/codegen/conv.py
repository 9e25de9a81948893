"""Convolution of NHWC images with constant weights, packed from OIHW, and an epilogue: a sum of GEMMs over kernel rows.

Where padding or the input's layout asks for it, the input rows of a block are first copied into a padded strip in
scratch, so that the inner loops meet no borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError
from mm_core.types import Dim

from .blocking import Blocking, Extent, choose_blocking
from .contraction import Contraction, Source, contraction_source
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, Parameters
from .pack import PanelLayout
from .quads import ByteInput
from .register_tile import BYTES, FLOATS, NO_EPILOGUE, Steps

_WHOLE_STRIP_BYTES = 512 << 10


@dataclass(frozen=True)
class ConvSpec:
    """A float32 convolution in two spatial dimensions; one dimension is height 1.

    `channels` and `outputs` are those of all groups together; `pads` are top, left, bottom, right. The kernel's inputs
    are the images, the packed weights and those of the epilogue; its output is NHWC. If the images are of `bytes`,
    each of their channels is a quad of them.
    """

    images: Dim
    channels: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    input_layout: Literal["NHWC", "NCHW"] = "NHWC"
    epilogue: Epilogue = NO_EPILOGUE
    bytes: ByteInput | None = None

    def __post_init__(self) -> None:
        sizes = (self.channels, self.outputs, self.groups, *self.kernel, *self.strides, *self.dilations)
        if min(sizes) < 1 or min(self.pads) < 0:
            raise CompileError(f"a convolution has a size that is not positive or a pad that is negative: {self}")
        if self.channels % self.groups or self.outputs % self.groups:
            raise CompileError(
                f"{self.channels} input and {self.outputs} output channels do not divide into {self.groups} groups"
            )
        if self.output_height < 0 or self.output_width < 0:
            raise CompileError(f"the window of a convolution is larger than its padded input: {self}")

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that the dilated kernel covers."""
        return (self.kernel[0] - 1) * self.dilations[0] + 1, (self.kernel[1] - 1) * self.dilations[1] + 1

    @property
    def output_height(self) -> int:
        """Rows of the output."""
        return (self.height + self.pads[0] + self.pads[2] - self.window[0]) // self.strides[0] + 1

    @property
    def output_width(self) -> int:
        """Columns of the output."""
        return (self.width + self.pads[1] + self.pads[3] - self.window[1]) // self.strides[1] + 1

    @property
    def is_pointwise(self) -> bool:
        """Whether it is one matrix product over all pixels."""
        return self.kernel == self.strides == (1, 1) and not self.needs_strip

    @property
    def needs_strip(self) -> bool:
        """Whether the input is copied before it is read."""
        return any(self.pads) or self.input_layout == "NCHW" or (self.bytes is not None and self.bytes.copied)


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
        """Pack weights of shape [outputs, channels / groups, kernel height, kernel width]."""
        outputs, channels, height, width = weights.shape
        groups = self.layout.groups
        grouped = weights.reshape(groups, outputs // groups, channels, height, width).transpose(0, 3, 4, 2, 1)
        return self.layout.pack(grouped.reshape(groups, height * width * channels, outputs // groups))


def conv_extent(spec: ConvSpec) -> Extent:
    """What the blocking of a convolution depends on."""
    return _pointwise_extent(spec) if spec.is_pointwise else _extent(spec)


def generate_conv(spec: ConvSpec, isa: Isa, blocking: Blocking | None = None) -> ConvKernel:
    """A kernel for `spec`, cut as `blocking` says or else by rule."""
    extent = conv_extent(spec)
    blocking = blocking or choose_blocking(extent, isa)
    reduction = spec.kernel[0] * spec.kernel[1] * (spec.channels // spec.groups)
    layout = PanelLayout(spec.groups, reduction, spec.outputs // spec.groups, blocking.vectors * isa.lanes)
    panel = f"right = weights + panel * {reduction * layout.width};"
    steps = _steps(spec)
    strip_elements = 0
    if spec.needs_strip:
        whole = blocking.panels_first and 4 * _strip_elements(spec, spec.output_height) <= _WHOLE_STRIP_BYTES
        strip_elements = _strip_elements(spec, spec.output_height if whole else blocking.block_rows)
        source = Source(_strip_inputs(spec, whole), panel, _strip_function(spec))
    else:
        image = 0 if spec.is_pointwise else spec.height * spec.width * spec.channels
        source = Source(f"left = input + image * INT64_C({image}) + row * {steps.row};", panel)
    kind = f"conv{spec.kernel[0]}x{spec.kernel[1]}"
    arithmetic = FLOATS if spec.bytes is None else BYTES
    contraction = Contraction(
        kind, extent, blocking, steps, source, spec.epilogue, strip_elements, arithmetic=arithmetic
    )
    return ConvKernel(contraction_source(contraction, isa, Parameters()), layout)


def _pointwise_extent(spec: ConvSpec) -> Extent:
    """All pixels of all images are the rows of one matrix."""
    return Extent(
        images=1, rows=spec.images * (spec.height * spec.width), columns=1, groups=spec.groups,
        outputs=spec.outputs // spec.groups, runs=1, run_length=spec.channels // spec.groups,
        input_row_bytes=4 * spec.channels, pixel_bytes=4 * spec.channels,
    )  # fmt: skip


def _extent(spec: ConvSpec) -> Extent:
    runs, run_length = _runs(spec)
    return Extent(
        images=spec.images, rows=spec.output_height, columns=spec.output_width, groups=spec.groups,
        outputs=spec.outputs // spec.groups, runs=runs, run_length=run_length,
        input_row_bytes=4 * spec.strides[0] * _pitch(spec), pixel_bytes=4 * spec.strides[1] * spec.channels,
        halo_rows=max(0, spec.window[0] - spec.strides[0]) if spec.needs_strip else 0, copies=spec.needs_strip,
    )  # fmt: skip


def _runs(spec: ConvSpec) -> tuple[int, int]:
    """(count, length) of contiguous runs of inputs under the window: kernel rows, or pixels where those are not."""
    if spec.groups == 1 and (spec.dilations[1] == 1 or spec.kernel[1] == 1):
        return spec.kernel[0], spec.kernel[1] * spec.channels
    return spec.kernel[0] * spec.kernel[1], spec.channels // spec.groups


def _pitch(spec: ConvSpec) -> int:
    """Elements from one input row to the next, in the strip or in the image."""
    if spec.needs_strip:
        return _strip_width(spec) * spec.channels
    return spec.width * spec.channels


def _steps(spec: ConvSpec) -> Steps:
    group = spec.channels // spec.groups
    if spec.is_pointwise:
        return Steps(row=spec.channels, column=0, run="0", group=group)
    pitch, (down, right) = _pitch(spec), spec.dilations
    if _runs(spec)[0] == spec.kernel[0]:
        run = f"run * {down * pitch}"
    else:
        run = f"run / {spec.kernel[1]} * {down * pitch} + run % {spec.kernel[1]} * {right * spec.channels}"
    return Steps(spec.strides[0] * pitch, spec.strides[1] * spec.channels, run, group=group)


# ---- the padded strip -------------------------------------------------------------------------------------------


def _strip_width(spec: ConvSpec) -> int:
    return max(0, spec.output_width - 1) * spec.strides[1] + spec.window[1]


def _strip_elements(spec: ConvSpec, output_rows: int) -> int:
    return (max(0, output_rows - 1) * spec.strides[0] + spec.window[0]) * _pitch(spec)


def _strip_inputs(spec: ConvSpec, whole: bool) -> str:
    if spec.bytes is None:
        start = f"input + image * INT64_C({spec.channels * spec.height * spec.width})"
    else:
        size = spec.bytes.channels * spec.height * spec.width
        start = f"(const uint8_t*)input + image * INT64_C({size})"
    if whole:
        return (
            f"if (image != at_image)\n"
            f"  KERNEL_NAME_strip({start}, strip, 0, {spec.output_height});\n"
            f"left = strip + row * {spec.strides[0] * _pitch(spec)};"
        )
    return f"KERNEL_NAME_strip({start}, strip, row, rows);\nleft = strip;"


def _strip_function(spec: ConvSpec) -> str:
    """Copies the input rows under `rows` output rows from `row` on, with zeros, or zero points, for padding."""
    channels, width = spec.channels, _strip_width(spec)
    before = min(spec.pads[1], width)
    copied = max(0, min(spec.width, width - before))
    after = width - before - copied
    element, image_element, zero = "float", "float", 0
    if spec.bytes is not None:
        element, image_element, zero = "int32_t", "uint8_t", spec.bytes.unsigned_zero
        copy = _byte_copy(spec, spec.bytes, f"to + {before * channels}", copied)
    elif spec.input_layout == "NHWC":
        row = spec.width * channels
        copy = f"__builtin_memcpy(to + {before * channels}, image + y * {row}, {copied * channels * 4});"
    else:
        copy = f"""for (int64_t x = 0; x < {copied}; x++)
      for (int64_t c = 0; c < {channels}; c++)
        to[({before} + x) * {channels} + c] = image[c * {spec.height * spec.width} + y * {spec.width} + x];"""
    return f"""
static void KERNEL_NAME_strip(const {image_element}* image, {element}* restrict to, int64_t row, int64_t rows) {{
  const int64_t first = row * {spec.strides[0]} - {spec.pads[0]};
  const int64_t end = first + (rows - 1) * {spec.strides[0]} + {spec.window[0]};
  for (int64_t y = first; y < end; y++, to += {width * channels}) {{
    if (y < 0 || y >= {spec.height}) {{
      __builtin_memset(to, {zero}, {width * channels * 4});
      continue;
    }}
    __builtin_memset(to, {zero}, {before * channels * 4});
    {copy}
    __builtin_memset(to + {(before + copied) * channels}, {zero}, {after * channels * 4});
  }}
}}
"""


def _byte_copy(spec: ConvSpec, images: ByteInput, to: str, copied: int) -> str:
    """C that copies one row of an image of bytes."""
    if spec.input_layout == "NCHW":
        return images.copy_planes(to, f"image + y * {spec.width}", copied, spec.height * spec.width)
    return images.copy_pixels(to, f"image + y * {spec.width * images.channels}", str(copied))
