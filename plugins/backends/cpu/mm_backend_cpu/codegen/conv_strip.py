"""The padded strip of a convolution: the input rows under some output rows, copied so that inner loops meet no borders.

A strip holds, for each row of the kernel's depth, [rows, width, channels] with zeros, or zero points, for padding.
"""

from __future__ import annotations

from mm_core.types import Dim, dim_max

from .conv_spec import ConvSpec
from .kernel_source import Parameters
from .quads import ByteInput


def strip_width(spec: ConvSpec) -> Dim:
    """Pixels of a row."""
    return dim_max(spec.output_width - 1, 0) * spec.strides[1] + spec.window[1]


def slab_elements(spec: ConvSpec, output_rows: Dim) -> Dim:
    """Elements of what so many output rows read at one place of the depth."""
    return (dim_max(output_rows - 1, 0) * spec.strides[0] + spec.window[0]) * strip_width(spec) * spec.channels


def strip_elements(spec: ConvSpec, output_rows: Dim) -> Dim:
    """Elements of what so many output rows read."""
    return slab_elements(spec, output_rows) * spec.depth.kernel


def strip_inputs(spec: ConvSpec, block_rows: int, whole: bool, parameters: Parameters) -> str:
    """C that fills the strip, with the whole image or with a block of rows, and points `left` at it."""
    c, depth = parameters.c, spec.depth
    channels = spec.channels if spec.bytes is None else spec.bytes.channels
    image = "input" if spec.bytes is None else "(const uint8_t*)input"
    size = depth.size * spec.height * spec.width * channels
    rows, row, count = (spec.output_height, "0", c(spec.output_height)) if whole else (block_rows, "row", "rows")
    if depth.is_flat:
        fill = f"KERNEL_NAME_strip(call, {image} + image * {c(size)}, strip, {row}, {count});"
    else:
        plane = spec.height * spec.width * (channels if spec.input_layout == "NHWC" else 1)
        slab = c(slab_elements(spec, rows))
        source = f"{image} + image / {c(depth.output)} * {c(size)} + z * {c(plane)}"
        fill = f"""for (int64_t tap = 0; tap < {depth.kernel}; tap++) {{
  const int64_t z = image % {c(depth.output)} * {depth.stride} - {depth.pads[0]} + tap * {depth.dilation};
  if (z < 0 || z >= {c(depth.size)})
    __builtin_memset(strip + tap * {slab}, 0, {slab} * 4);
  else
    KERNEL_NAME_strip(call, {source}, strip + tap * {slab}, {row}, {count});
}}"""
    if whole:
        pitch = c(spec.strides[0] * strip_width(spec) * spec.channels)
        return f"if (image != at_image) {{\n{fill}\n}}\nleft = strip + row * {pitch};"
    return f"{fill}\nleft = strip;"


def strip_function(spec: ConvSpec, parameters: Parameters) -> str:
    """Copies the input rows under `rows` output rows from `row` on."""
    c, channels = parameters.c, spec.channels
    element, image_element, zero = "float", "float", 0
    if spec.bytes is not None:
        element, image_element, zero = "int32_t", "uint8_t", spec.bytes.unsigned_zero
        copy = _byte_copy(spec, spec.bytes)
    elif spec.input_layout == "NHWC":
        source = f"image + (y * columns + skipped) * {channels}"
        copy = f"__builtin_memcpy(to + before * {channels}, {source}, copied * {4 * channels});"
    else:
        copy = f"""for (int64_t x = 0; x < copied; x++)
      for (int64_t c = 0; c < {channels}; c++)
        to[(before + x) * {channels} + c] = image[c * {c(_plane(spec))} + y * columns + skipped + x];"""
    left = spec.pads[1]
    return f"""
static void KERNEL_NAME_strip(
    const mm_call* call, const {image_element}* image, {element}* restrict to, int64_t row, int64_t rows) {{
  const int64_t columns = {c(spec.width)}, width = {c(strip_width(spec))};
  const int64_t before = mm_least({max(left, 0)}, width), skipped = mm_least({max(-left, 0)}, columns);
  const int64_t copied = mm_least(columns - skipped, width - before), after = width - before - copied;
  const int64_t first = row * {spec.strides[0]} - {spec.pads[0]};
  const int64_t end = first + (rows - 1) * {spec.strides[0]} + {spec.window[0]};
  for (int64_t y = first; y < end; y++, to += width * {channels}) {{
    if (y < 0 || y >= {c(spec.height)}) {{
      __builtin_memset(to, {zero}, width * {4 * channels});
      continue;
    }}
    __builtin_memset(to, {zero}, before * {4 * channels});
    {copy}
    __builtin_memset(to + (before + copied) * {channels}, {zero}, after * {4 * channels});
  }}
}}
"""


def _plane(spec: ConvSpec) -> Dim:
    """Elements from one channel of an NCHW image to the next."""
    return spec.depth.size * spec.height * spec.width


def _byte_copy(spec: ConvSpec, images: ByteInput) -> str:
    """C that copies one row of an image of bytes."""
    to = f"to + before * {spec.channels}"
    if spec.input_layout == "NCHW":
        plane = _plane(spec)
        assert isinstance(plane, int)
        return images.copy_planes(to, "image + y * columns + skipped", "copied", plane)
    return images.copy_pixels(to, f"image + (y * columns + skipped) * {images.channels}", "copied")
