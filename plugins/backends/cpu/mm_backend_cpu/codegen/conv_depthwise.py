"""Depthwise convolution of NHWC images: one filter a channel, vectors over channels, several pixels of a row at a time.

Nothing is copied for padding: a tile of pixels at the left or right border is a function of its own that leaves out the
taps that fall outside, and a row at the top or bottom border takes fewer kernel rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError

from .access import load_vector, store_vector
from .blocking import divide_up, equal_pieces
from .conv import ConvSpec
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .operations import C_TYPES, VECTOR_TYPES

_TASK_FLOP = 40_000
_MAX_TASKS = 64

Tap = tuple[int, int]
"""(pixel of the tile, kernel column)."""


@dataclass(frozen=True)
class DepthwiseLayout:
    """Packed weights of a depthwise convolution, [height * width of the window, padded channels]."""

    taps: int
    padded_channels: int

    @property
    def elements(self) -> int:
        """Elements of the packed array."""
        return self.taps * self.padded_channels

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [channels, 1, height, width]."""
        channels = weights.shape[0]
        packed = np.zeros((weights.shape[2] * weights.shape[3], self.padded_channels), weights.dtype)
        packed[:, :channels] = weights.reshape(channels, -1).T
        return packed


@dataclass(frozen=True)
class DepthwiseKernel:
    """A kernel and the layout of its weights."""

    source: KernelSource
    layout: DepthwiseLayout

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return self.layout.elements

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [channels, 1, height, width]."""
        return self.layout.pack(weights)


@dataclass(frozen=True)
class _Tile:
    """`pixels` neighbouring output pixels of a row from `column` on, with the taps that lie inside the image."""

    column: int
    pixels: int
    taps: tuple[Tap, ...]

    @property
    def shape(self) -> tuple[int, tuple[Tap, ...]]:
        """Tiles of one shape share a function."""
        return self.pixels, self.taps


def is_depthwise(spec: ConvSpec) -> bool:
    """Whether `generate_depthwise` takes this convolution."""
    return (
        spec.groups == spec.channels == spec.outputs
        and (spec.input_layout, spec.depth.is_flat, spec.placement, spec.has_known_size) == ("NHWC", True, None, True)
    )


def default_pixels(isa: Isa) -> int:
    """Pixels of a tile, so few that accumulators, inputs and weights stay in registers."""
    return max(1, isa.registers // 4)


def generate_depthwise(spec: ConvSpec, isa: Isa, pixels: int | None = None) -> DepthwiseKernel:
    """A kernel for a convolution with as many groups as input and output channels, in tiles of up to `pixels`."""
    if not is_depthwise(spec):
        raise CompileError(f"not a depthwise convolution of NHWC images: {spec}")
    writer = DepthwiseWriter(spec, isa, pixels or default_pixels(isa))
    padded, rows = writer.layout.padded_channels, spec.output_height
    flop = 2 * rows * spec.output_width * spec.channels * spec.kernel[0] * spec.kernel[1]
    tasks = max(1, min(_MAX_TASKS, flop // _TASK_FLOP))
    block_rows = max(1, rows // tasks)
    blocks = divide_up(rows, block_rows)
    slices = max(1, min(tasks // max(blocks, 1), padded // isa.lanes // 4))
    slice_channels = divide_up(padded // isa.lanes, slices) * isa.lanes
    slices = divide_up(padded, slice_channels)

    parameters = Parameters()
    epilogue = spec.epilogue
    names = [f"extra{i}" for i in range(len(epilogue.input_dtypes) - 1)]
    extra = [
        f"const {C_TYPES[dtype]}* {name} = call->data[{index}];"
        for index, (name, dtype) in enumerate(zip(names, epilogue.input_dtypes[1:], strict=True), 2)
    ]
    origin = f"(image * {rows} + row) * {spec.output_width * spec.channels}"
    element = _input_type(spec)
    code = f"""{LEAST}
{writer.functions()}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  (void)scratch;
  const {element}* input = call->data[0];
  const float* weights = call->data[1];
  {" ".join(extra)}
  {C_TYPES[epilogue.result_dtype]}* output = call->data[call->n_inputs];
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / {blocks * slices}, block = task / {slices} % {blocks};
    const int64_t channel = task % {slices} * {slice_channels};
    const int64_t channel_end = mm_least(channel + {slice_channels}, {spec.channels});
    const int64_t row_end = mm_least((block + 1) * {block_rows}, {rows});
    for (int64_t row = block * {block_rows}; row < row_end; row++) {{
{writer.row(f"input + (image * {spec.height} + y) * INT64_C({spec.width * spec.channels})", "output", origin, names)}
    }}
  }}
}}
"""
    source = kernel_source(
        f"depthwise{spec.kernel[0]}x{spec.kernel[1]}", code, tasks=spec.images * (blocks * slices),
        params=tuple(parameters.dims), note=f"{writer.pixels} pixels at a time",
    )  # fmt: skip
    return DepthwiseKernel(source, writer.layout)


class DepthwiseWriter:
    """Writes the tile functions of a depthwise convolution, and the C that computes one row with them."""

    def __init__(self, spec: ConvSpec, isa: Isa, pixels: int, name: str = "KERNEL_NAME_tile") -> None:
        self.spec, self.isa = spec, isa
        padded = divide_up(spec.channels, isa.lanes) * isa.lanes
        self.layout = DepthwiseLayout(spec.kernel[0] * spec.kernel[1], padded)
        self._tiles = list(_tiles(spec, pixels))
        shapes = dict.fromkeys(tile.shape for tile in self._tiles)
        self._names = {shape: f"{name}{index}" for index, shape in enumerate(shapes)}

    @property
    def pixels(self) -> int:
        """Pixels of the largest tile."""
        return max((tile.pixels for tile in self._tiles), default=0)

    def functions(self) -> str:
        """The tile functions."""
        return "\n".join(_tile_function(self.spec, self.isa, name, *shape) for shape, name in self._names.items())

    def row(self, source: str, output: str, origin: str, extras: Sequence[str]) -> str:
        """Computes output row `row` for channels from `channel` to `channel_end`, where `weights` are declared.

        `source` is a C expression of the address of input row `y`; `output` and `extras`, the epilogue's inputs, are
        pointers, and `origin` says where in the output the row begins.
        """
        spec, channel_inputs = self.spec, self.spec.epilogue.channel_inputs
        arguments = [*extras[:channel_inputs], *(f"{name} + at" for name in extras[channel_inputs:])]
        arguments = ["rows", "from", "weights", f"{output} + at", "first", "last", "channel", "channel_end", *arguments]
        calls = []
        for shape, run in groupby(self._tiles, key=lambda tile: tile.shape):
            same = list(run)
            calls.append(f"""\
      for (int64_t column = {same[0].column}; column < {same[-1].column + shape[0]}; column += {shape[0]}) {{
        const int64_t at = {origin} + column * {spec.channels};
        const int64_t from = (column * {spec.strides[1]} - {spec.pads[1]}) * {spec.channels};
        {self._names[shape]}({", ".join(arguments)});
      }}""")
        return f"""\
      const int64_t top = row * {spec.strides[0]} - {spec.pads[0]};
      int64_t first = 0, last = {spec.kernel[0]};
      while (first < last && top + first * {spec.dilations[0]} < 0) first++;
      while (last > first && top + (last - 1) * {spec.dilations[0]} >= {spec.height}) last--;
      const {_input_type(spec)}* rows[{spec.kernel[0]}];
      for (int64_t ky = first; ky < last; ky++) {{
        const int64_t y = top + ky * {spec.dilations[0]};
        rows[ky] = {source};
      }}
{chr(10).join(calls)}"""


def _tiles(spec: ConvSpec, pixels: int) -> Iterator[_Tile]:
    """The row in nearly equal pieces of up to so many pixels."""
    column = 0
    for size in equal_pieces(spec.output_width, pixels):
        taps = tuple(
            (pixel, tap)
            for tap in range(spec.kernel[1])
            for pixel in range(size)
            if 0 <= (column + pixel) * spec.strides[1] - spec.pads[1] + tap * spec.dilations[1] < spec.width
        )
        yield _Tile(column, size, taps)
        column += size


def _tile_function(spec: ConvSpec, isa: Isa, name: str, pixels: int, taps: tuple[Tap, ...]) -> str:
    """Computes the tile for channels from `c` to `end`, with kernel rows from `first` to `last`.

    The inputs of its first pixel lie `from` elements behind the addresses of `rows`.
    """
    epilogue = spec.epilogue
    channel_names = [f"channel{i}" for i in range(epilogue.channel_inputs)]
    tensor_names = [f"tensor{i}" for i in range(epilogue.tensor_inputs)]
    dtypes = dict(zip((*channel_names, *tensor_names), epilogue.input_dtypes[1:], strict=True))
    pointers = "".join(f", const {C_TYPES[dtype]}* {name}" for name, dtype in dtypes.items())
    padded = divide_up(spec.channels, isa.lanes) * isa.lanes

    def load(name: str, address: str, limit: str) -> str:
        return f"const {VECTOR_TYPES[dtypes[name]]} {name}_v = {load_vector(address, dtypes[name], limit)};"

    def body(limit: str) -> str:
        lines = [f"mm_vf {', '.join(f'a{p} = {{0}}' for p in range(pixels))};"]
        lines.append("for (int64_t ky = first; ky < last; ky++) {")
        lines.append(f"  const {_input_type(spec)}* row = rows[ky] + from + c;")
        lines.append(f"  const float* w = weights + ky * {spec.kernel[1] * padded} + c;")
        for pixel, tap in taps:
            offset = (pixel * spec.strides[1] + tap * spec.dilations[1]) * spec.channels
            lines.append(f"  a{pixel} += {_load_input(spec, f'row + {offset}', limit)} * mm_load(w + {tap * padded});")
        lines.append("}")
        lines += [load(name, f"{name} + c", limit) for name in channel_names]
        for pixel in range(pixels):
            at = f"{pixel * spec.channels} + c"
            loads = [load(name, f"{name} + {at}", limit) for name in tensor_names]
            inputs = [f"a{pixel}", *(f"{name}_v" for name in (*channel_names, *tensor_names))]
            statements, result = epilogue.emit(inputs)
            store = store_vector(f"output + {at}", result, epilogue.result_dtype, limit)
            lines.append(f"{{ {' '.join(loads)} {statements} {store}; }}")
        return "\n".join(f"    {line}" for line in lines)

    tail = ""
    if spec.channels % isa.lanes:
        tail = f"""  if (c < end) {{
    const int64_t count = end - c;
{body("count")}
  }}
"""
    return f"""
static __attribute__((noinline)) void {name}(
    const {_input_type(spec)}* const* rows, int64_t from, const float* weights,
    {C_TYPES[epilogue.result_dtype]}* output, int64_t first, int64_t last, int64_t c, int64_t end{pointers}) {{
  for (; c + {isa.lanes} <= end; c += {isa.lanes}) {{
{body("")}
  }}
{tail}}}
"""


def _input_type(spec: ConvSpec) -> str:
    return "float" if spec.bytes is None else "int8_t" if spec.bytes.signed else "uint8_t"


def _load_input(spec: ConvSpec, address: str, limit: str) -> str:
    """A vector of channels; of bytes, their distance from the zero point, whose products are summed exactly."""
    if spec.bytes is None:
        return load_vector(address, "f32", limit)
    load = load_vector(address, "i8" if spec.bytes.signed else "ui8", limit)
    return f"__builtin_convertvector({load} - {spec.bytes.zero_point}, mm_vf)"
