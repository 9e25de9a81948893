"""Depthwise convolution of NHWC images: one filter a channel, vectors of channels, some pixels of a row at a time.

Nothing is copied for padding: a tile of pixels at the left or right border is a function of its own that leaves out the
taps that fall outside, and a row at the top or bottom border takes fewer kernel rows. Where only running tells the
width, pixels at the border go one by one, with as many taps as fall inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError
from mm_core.types import ceildiv

from .access import load_vector, store_vector
from .blocking import assumed_extent, divide_up, equal_pieces, powers_below
from .conv_spec import ConvSpec, dense_placement
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .operations import C_TYPES, VECTOR_TYPES
from .window_taps import taps_inside

_TASK_FLOP = 40_000
_MAX_TASKS = 64

Tap = tuple[int, int]
"""(pixel of the tile, kernel column)."""


@dataclass(frozen=True)
class DepthwiseLayout:
    """Packed weights of a depthwise convolution, [taps of the window, padded channels]."""

    taps: int
    padded_channels: int

    @property
    def elements(self) -> int:
        """Elements of the packed array."""
        return self.taps * self.padded_channels

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [channels, 1, *kernel]."""
        channels = weights.shape[0]
        packed = np.zeros((self.taps, self.padded_channels), weights.dtype)
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
        """Pack weights of shape [channels, 1, *kernel]."""
        return self.layout.pack(weights)


@dataclass(frozen=True)
class _Shape:
    """`pixels` neighbouring output pixels of a row, and the taps that lie inside the image: those from `left` to before
    `right` where none are given. Tiles of one shape share a function."""

    pixels: int
    taps: tuple[Tap, ...] | None


_BORDER = _Shape(1, None)


@dataclass(frozen=True)
class _Run:
    """Tiles of one shape side by side while they end no later than `stop`, which is C."""

    shape: _Shape
    stop: str


def is_depthwise(spec: ConvSpec) -> bool:
    """Whether `generate_depthwise` takes this convolution."""
    return spec.groups == spec.channels == spec.outputs and spec.input_layout == "NHWC"


def default_pixels(isa: Isa) -> int:
    """Pixels of a tile, so few that accumulators, inputs and weights stay in registers."""
    return max(1, isa.registers // 4)


def generate_depthwise(
    spec: ConvSpec, isa: Isa, pixels: int | None = None, first_weight: int = 0
) -> DepthwiseKernel:
    """A kernel for a convolution with as many groups as input and output channels, in tiles of up to `pixels`.

    The packed weights begin at `first_weight`.
    """
    if not is_depthwise(spec) or spec.bytes is not None:
        raise CompileError(f"not a depthwise convolution of NHWC images of float32: {spec}")
    parameters = Parameters()
    writer = DepthwiseWriter(spec, isa, pixels or default_pixels(isa), parameters=parameters)
    padded, rows = writer.layout.padded_channels, assumed_extent(spec.output_height)
    flop = 2 * rows * assumed_extent(spec.output_width) * spec.channels * spec.taps
    tasks = max(1, min(_MAX_TASKS, flop // _TASK_FLOP))
    block_rows = max(1, rows // tasks)
    slices = max(1, min(tasks // max(divide_up(rows, block_rows), 1), padded // isa.lanes // 4))
    slice_channels = divide_up(padded // isa.lanes, slices) * isa.lanes
    slices = divide_up(padded, slice_channels)

    c, depth, epilogue = parameters.c, spec.depth, spec.epilogue
    place = spec.placement or dense_placement(spec)
    blocks = ceildiv(spec.output_height, block_rows)
    names = [f"extra{i}" for i in range(len(epilogue.input_dtypes) - 1)]
    extra = [
        f"const {C_TYPES[dtype]}* {name} = call->data[{index}];"
        for index, (name, dtype) in enumerate(zip(names, epilogue.input_dtypes[1:], strict=True), 2)
    ]
    origin = f"({c(place.start)} + image * {c(place.image)} + row * {c(place.row)})"
    pitch = c(spec.width * spec.channels)
    plane = "image" if depth.is_flat else f"(image / {c(depth.output)} * {c(depth.size)} + z)"
    code = f"""{LEAST}
{writer.functions()}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  (void)scratch;
  const float* input = call->data[0];
  const float* weights = (const float*)call->data[1] + {first_weight};
  {" ".join(extra)}
  {C_TYPES[epilogue.result_dtype]}* output = call->data[call->n_inputs];
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / {c(blocks * slices)}, block = task / {slices} % {c(blocks)};
    const int64_t channel = task % {slices} * {slice_channels};
    const int64_t channel_end = mm_least(channel + {slice_channels}, {spec.channels});
    const int64_t row_end = mm_least((block + 1) * {block_rows}, {c(spec.output_height)});
    for (int64_t row = block * {block_rows}; row < row_end; row++) {{
{writer.row(f"input + ({plane} * {c(spec.height)} + y) * {pitch}", "output", origin, names)}
    }}
  }}
}}
"""
    source = kernel_source(
        f"depthwise{spec.kernel[0]}x{spec.kernel[1]}", code, tasks=spec.images * depth.output * (blocks * slices),
        params=tuple(parameters.dims), note=f"{writer.pixels} pixels at a time",
    )  # fmt: skip
    return DepthwiseKernel(source, writer.layout)


class DepthwiseWriter:
    """Writes the tile functions of a depthwise convolution, and the C that computes one row with them."""

    def __init__(
        self,
        spec: ConvSpec,
        isa: Isa,
        pixels: int,
        name: str = "KERNEL_NAME_tile",
        parameters: Parameters | None = None,
    ) -> None:
        self.spec, self.isa, self.c = spec, isa, (parameters or Parameters()).c
        padded = divide_up(spec.channels, isa.lanes) * isa.lanes
        self.layout = DepthwiseLayout(spec.taps, padded)
        self.place = spec.placement or dense_placement(spec)
        self._runs = list(self._known_runs(pixels) if isinstance(spec.width, int) else self._unknown_runs(pixels))
        shapes = dict.fromkeys(run.shape for run in self._runs)
        self._names = {shape: f"{name}{index}" for index, shape in enumerate(shapes)}

    @property
    def pixels(self) -> int:
        """Pixels of the largest tile."""
        return max((run.shape.pixels for run in self._runs), default=0)

    def functions(self) -> str:
        """The tile functions."""
        return "\n".join(self._function(name, shape) for shape, name in self._names.items())

    def row(self, source: str, output: str, origin: str, extras: Sequence[str]) -> str:
        """Computes output row `row` for channels from `channel` to `channel_end`, where `weights` are declared.

        `source` is a C expression of the address of input row `y`, and in a volume of plane `z` of image `image`;
        `output` and `extras`, the epilogue's inputs, are pointers, and `origin` says where in the output a row begins.
        """
        spec, channel_inputs = self.spec, self.spec.epilogue.channel_inputs
        arguments = [*extras[:channel_inputs], *(f"{name} + at" for name in extras[channel_inputs:])]
        arguments = ["from", "weights", f"{output} + at", "channel", "channel_end", *arguments]
        lines = ["int64_t column = 0;"] + ([] if isinstance(spec.width, int) else [self._inner_columns()])
        for run in self._runs:
            bounds = ""
            called = ["rows", "taps", "count", *arguments]
            if run.shape.taps is None:
                width, kernel = self.c(spec.width), str(spec.kernel[1])
                bounds = taps_inside("left", "right", "start", width, kernel, spec.dilations[1])
                called += ["left", "right"]
            lines.append(f"""\
for (; column + {run.shape.pixels} <= {run.stop}; column += {run.shape.pixels}) {{
        const int64_t at = {origin} + column * {self.c(self.place.column)};
        const int64_t start = column * {spec.strides[1]} - {spec.pads[1]}, from = start * {spec.channels};
        {bounds}
        {self._names[run.shape]}({", ".join(called)});
      }}""")
        return f"""\
      {self._kernel_rows(source)}
      {f"{chr(10)}      ".join(lines)}"""

    def _kernel_rows(self, source: str) -> str:
        """C that lists the input rows under an output row and the first taps of their kernel rows."""
        spec, depth = self.spec, self.spec.depth
        code = f"""for (int64_t ky = 0; ky < {spec.kernel[0]}; ky++) {{
        const int64_t y = row * {spec.strides[0]} - {spec.pads[0]} + ky * {spec.dilations[0]};
        if (y < 0 || y >= {self.c(spec.height)}) continue;
        rows[count] = {source};
        taps[count++] = {"ky" if depth.is_flat else f"kz * {spec.kernel[0]} + ky"};
      }}"""
        if not depth.is_flat:
            code = f"""for (int64_t kz = 0; kz < {depth.kernel}; kz++) {{
        const int64_t z = image % {self.c(depth.output)} * {depth.stride} - {depth.pads[0]} + kz * {depth.dilation};
        if (z < 0 || z >= {self.c(depth.size)}) continue;
        {code}
      }}"""
        size = depth.kernel * spec.kernel[0]
        return f"const float* rows[{size}]; int64_t taps[{size}], count = 0;\n      {code}"

    def _known_runs(self, pixels: int) -> Iterator[_Run]:
        """The row in nearly equal pieces of up to so many pixels."""
        spec, column = self.spec, 0
        tiles = []
        assert isinstance(spec.width, int)
        assert isinstance(spec.output_width, int)
        for size in equal_pieces(spec.output_width, pixels):
            taps = tuple(
                (pixel, tap)
                for pixel, tap in self._all_taps(size)
                if 0 <= (column + pixel) * spec.strides[1] - spec.pads[1] + tap * spec.dilations[1] < spec.width
            )
            column += size
            tiles.append((_Shape(size, taps), column))
        for shape, run in groupby(tiles, key=lambda tile: tile[0]):
            *_, (_, stop) = run
            yield _Run(shape, str(stop))

    def _unknown_runs(self, pixels: int) -> Iterator[_Run]:
        """Pixels at the left border, large tiles and then smaller ones inside, and pixels at the right border."""
        yield _Run(_BORDER, "inner")
        for size in (pixels, *powers_below(pixels)):
            yield _Run(_Shape(size, tuple(self._all_taps(size))), "outer")
        yield _Run(_BORDER, self.c(self.spec.output_width))

    def _inner_columns(self) -> str:
        """C of the columns from `inner` to before `outer`, whose windows lie inside the image."""
        spec, columns = self.spec, self.c(self.spec.output_width)
        before = max(0, divide_up(spec.pads[1], spec.strides[1]))
        room = self.c(spec.width + spec.pads[1] - spec.window[1])
        return f"""const int64_t inner = mm_least({before}, {columns});
      const int64_t inside = {room} < 0 ? 0 : mm_least({room} / {spec.strides[1]} + 1, {columns});
      const int64_t outer = inside < inner ? inner : inside;"""

    def _by_column(self, taps: Sequence[Tap]) -> Iterator[tuple[int, Iterator[Tap]]]:
        """Taps by the column of the row that they read, counted from the first pixel's."""
        strides, dilations = self.spec.strides[1], self.spec.dilations[1]

        def column(tap: Tap) -> int:
            return tap[0] * strides + tap[1] * dilations

        return groupby(sorted(taps, key=column), key=column)

    def _all_taps(self, pixels: int) -> Iterator[Tap]:
        return ((pixel, tap) for tap in range(self.spec.kernel[1]) for pixel in range(pixels))

    def _function(self, name: str, shape: _Shape) -> str:
        """Computes the tile for channels from `c` to `end`, with `count` kernel rows that begin at `taps`.

        The inputs of its first pixel lie `from` elements behind the addresses of `rows`.
        """
        spec, isa, epilogue, padded = self.spec, self.isa, self.spec.epilogue, self.layout.padded_channels
        channel_names = [f"channel{i}" for i in range(epilogue.channel_inputs)]
        tensor_names = [f"tensor{i}" for i in range(epilogue.tensor_inputs)]
        dtypes = dict(zip((*channel_names, *tensor_names), epilogue.input_dtypes[1:], strict=True))
        pointers = "".join(f", const {C_TYPES[dtype]}* {name}" for name, dtype in dtypes.items())

        def load(name: str, address: str, limit: str) -> str:
            return f"const {VECTOR_TYPES[dtypes[name]]} {name}_v = {load_vector(address, dtypes[name], limit)};"

        def body(limit: str) -> str:
            lines = [f"mm_vf {', '.join(f'a{p} = {{0}}' for p in range(shape.pixels))};"]
            lines.append("for (int64_t k = 0; k < count; k++) {")
            lines.append("  const float* row = rows[k] + from + c;")
            lines.append(f"  const float* w = weights + taps[k] * {spec.kernel[1] * padded} + c;")
            if shape.taps is None:
                x = load_vector(f"row + tap * {spec.dilations[1] * spec.channels}", "f32", limit)
                lines.append(f"  for (int64_t tap = left; tap < right; tap++) a0 += {x} * mm_load(w + tap * {padded});")
            for column, taps in self._by_column(shape.taps or ()):
                x = load_vector(f"row + {column * spec.channels}", "f32", limit)
                lines.append(f"  {{ mm_vf x = {x}; MM_KEEP(x);")
                lines += [f"    a{pixel} += x * mm_load(w + {tap * padded});" for pixel, tap in taps]
                lines.append("  }")
            lines.append("}")
            lines += [load(name, f"{name} + c", limit) for name in channel_names]
            for pixel in range(shape.pixels):
                at = f"{pixel} * step + c"
                loads = [load(name, f"{name} + {at}", limit) for name in tensor_names]
                inputs = [f"a{pixel}", *(f"{name}_v" for name in (*channel_names, *tensor_names))]
                statements, result = epilogue.emit(inputs)
                store = store_vector(f"output + {at}", result, epilogue.result_dtype, limit)
                lines.append(f"{{ {' '.join(loads)} {statements} {store}; }}")
            return "\n".join(f"    {line}" for line in lines)

        tail = ""
        if spec.channels % isa.lanes:
            tail = f"""  if (c < end) {{
    const int64_t limit = end - c;
{body("limit")}
  }}
"""
        bounds = ", int64_t left, int64_t right" if shape.taps is None else ""
        return f"""
static __attribute__((noinline)) void {name}(
    const float* const* rows, const int64_t* taps, int64_t count, int64_t from, const float* weights,
    {C_TYPES[epilogue.result_dtype]}* output, int64_t c, int64_t end{pointers}{bounds}) {{
  const int64_t step = {self.place.column};
  for (; c + {isa.lanes} <= end; c += {isa.lanes}) {{
{body("")}
  }}
{tail}}}
"""
