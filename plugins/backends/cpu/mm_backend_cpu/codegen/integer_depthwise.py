"""Depthwise convolution of NHWC bytes, exact in int32: four rows of the window make one element of 32 bits.

A column under the windows of a tile is read once: its rows are woven into one vector for each four of them, and
multiplied with the weights of every pixel whose window it lies in. Rows and columns outside the image hold the zero
point, so that sums miss their exact value by what `zero_point_share` says, at the border too.

    for each row, tile of pixels, vector of channels:
        for each four kernel rows, column under the tile: weave; for each pixel over it: multiply and add
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from .access import load_vector, store_vector
from .blocking import divide_up, equal_pieces
from .conv_depthwise import DepthwiseKernel, DepthwiseLayout
from .conv_spec import ConvSpec
from .isa import Isa
from .kernel_source import LEAST, kernel_source
from .operations import C_TYPES, VECTOR_TYPES
from .quads import QUAD, ByteInput

_TASK_PRODUCTS = 40_000
_MAX_TASKS = 64


@dataclass(frozen=True)
class _Shape:
    """Pixels of a tile, and the columns under it, each with whether it lies inside the image."""

    pixels: int
    columns: tuple[tuple[int, bool], ...]


def default_byte_pixels(isa: Isa) -> int:
    """Pixels of a tile, so few that accumulators, weights and a column stay in registers."""
    return max(1, isa.registers * 7 // 16)


def generate_byte_depthwise(spec: ConvSpec, isa: Isa, pixels: int | None = None) -> DepthwiseKernel:
    """A kernel for a depthwise convolution of `spec.bytes` of known size, in tiles of up to `pixels`.

    Weights are packed from [channels, 1, height / 4, width] words of four rows.
    """
    assert spec.bytes is not None
    writer = _Writer(spec, isa, spec.bytes)
    rows, columns, channels = spec.output_height, spec.output_width, spec.channels
    assert isinstance(rows, int)
    assert isinstance(columns, int)
    shapes = writer.shapes(columns, pixels or default_byte_pixels(isa))
    names = {shape: f"KERNEL_NAME_tile{index}" for index, shape in enumerate(dict.fromkeys(shapes))}

    products = rows * columns * channels * spec.kernel[0] * spec.kernel[1]
    tasks = max(1, min(_MAX_TASKS, products // _TASK_PRODUCTS))
    block_rows = max(1, rows // tasks)
    blocks = divide_up(rows, block_rows)
    slices = max(1, min(tasks // max(blocks, 1), writer.padded // isa.lanes // 4))
    slice_channels = divide_up(writer.padded // isa.lanes, slices) * isa.lanes
    slices = divide_up(writer.padded, slice_channels)

    calls, column = [], 0
    for shape, run in groupby(shapes):
        stop = column + shape.pixels * len(list(run))
        arguments = ["rows", "from", "weights", "output + at", "channel", "channel_end", *writer.extra_arguments()]
        calls.append(f"""\
      for (int64_t column = {column}; column < {stop}; column += {shape.pixels}) {{
        const int64_t at = ((image * {rows} + row) * {columns} + column) * {channels};
        const int64_t from = (column * {spec.strides[1]} - {spec.pads[1]}) * {channels};
        {names[shape]}({", ".join(arguments)});
      }}""")
        column = stop
    row_bytes = spec.width * channels
    functions = "\n".join(writer.function(name, shape) for shape, name in names.items())
    code = f"""{LEAST}
{functions}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const uint8_t* input = call->data[0];
  const int32_t* weights = call->data[1];
  {" ".join(writer.extra_pointers())}
  {writer.output_type}* output = call->data[call->n_inputs];
  uint8_t* outside = scratch;
  __builtin_memset(outside, {spec.bytes.zero_point & 255}, {row_bytes});
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / {blocks * slices}, block = task / {slices} % {blocks};
    const int64_t channel = task % {slices} * {slice_channels};
    const int64_t channel_end = mm_least(channel + {slice_channels}, {channels});
    const int64_t row_end = mm_least((block + 1) * {block_rows}, {rows});
    for (int64_t row = block * {block_rows}; row < row_end; row++) {{
      const uint8_t* rows[{spec.kernel[0]}];
      for (int64_t ky = 0; ky < {spec.kernel[0]}; ky++) {{
        const int64_t y = row * {spec.strides[0]} - {spec.pads[0]} + ky * {spec.dilations[0]};
        rows[ky] = y < 0 || y >= {spec.height} ? outside : input + (image * {spec.height} + y) * INT64_C({row_bytes});
      }}
{chr(10).join(calls)}
    }}
  }}
}}
"""
    source = kernel_source(
        f"byte_depthwise{spec.kernel[0]}x{spec.kernel[1]}", code, tasks=spec.images * (blocks * slices),
        scratch_bytes=row_bytes, note=f"{max((shape.pixels for shape in shapes), default=0)} pixels at a time",
    )  # fmt: skip
    return DepthwiseKernel(source, DepthwiseLayout(writer.quads * spec.kernel[1], writer.padded))


class _Writer:
    """Writes the tile functions of one kernel."""

    def __init__(self, spec: ConvSpec, isa: Isa, form: ByteInput) -> None:
        self.spec, self.isa, self.form = spec, isa, form
        self.quads = divide_up(spec.kernel[0], QUAD)
        self.padded = divide_up(spec.channels, isa.lanes) * isa.lanes
        epilogue = spec.epilogue
        self.channel_names = [f"channel{i}" for i in range(epilogue.channel_inputs)]
        self.tensor_names = [f"tensor{i}" for i in range(epilogue.tensor_inputs)]
        self.dtypes = dict(zip((*self.channel_names, *self.tensor_names), epilogue.input_dtypes[1:], strict=True))
        self.output_type = C_TYPES[epilogue.result_dtype]

    def extra_pointers(self) -> list[str]:
        """C that declares the epilogue's inputs."""
        types = [(name, C_TYPES[dtype]) for name, dtype in self.dtypes.items()]
        return [f"const {type_}* {name} = call->data[{index}];" for index, (name, type_) in enumerate(types, 2)]

    def extra_arguments(self) -> list[str]:
        """The epilogue's inputs for the tile that begins at output element `at`."""
        return [*self.channel_names, *(f"{name} + at" for name in self.tensor_names)]

    def shapes(self, columns: int, pixels: int) -> list[_Shape]:
        """The tiles of a row, in nearly equal pieces of up to so many pixels."""
        step, taps = self.spec.strides[1], [tap * self.spec.dilations[1] for tap in range(self.spec.kernel[1])]
        found, column, width = [], 0, self.spec.width
        assert isinstance(width, int)
        for size in equal_pieces(columns, pixels):
            under = sorted({pixel * step + tap for pixel in range(size) for tap in taps})
            first = column * step - self.spec.pads[1]
            found.append(_Shape(size, tuple((at, 0 <= first + at < width) for at in under)))
            column += size
        return found

    def function(self, name: str, shape: _Shape) -> str:
        """Computes a tile for channels from `c` to `end`; `from` is its first column in `rows`, in bytes."""
        pointers = "".join(f", const {C_TYPES[dtype]}* {name}" for name, dtype in self.dtypes.items())
        tail = ""
        if self.spec.channels % self.isa.lanes:
            tail = f"""  if (c < end) {{
    const int64_t count = end - c;
{self._body(shape, "count")}
  }}
"""
        return f"""
static __attribute__((noinline)) void {name}(
    const uint8_t* const* rows, int64_t from, const int32_t* weights, {self.output_type}* output, int64_t c,
    int64_t end{pointers}) {{
  for (; c + {self.isa.lanes} <= end; c += {self.isa.lanes}) {{
{self._body(shape, "")}
  }}
{tail}}}
"""

    def _body(self, shape: _Shape, limit: str) -> str:
        """One vector of channels, or its first `limit`."""
        spec, epilogue = self.spec, self.spec.epilogue
        lines = [f"mm_vi {', '.join(f'a{p} = {{0}}' for p in range(shape.pixels))};"]
        for quad in range(self.quads):
            lines.append("{")
            for tap in range(spec.kernel[1]):
                address = f"weights + {(quad * spec.kernel[1] + tap) * self.padded} + c"
                lines.append(f"  const mm_dot_right_t w{tap} = mm_dot_right({address});")
            for column, inside in shape.columns:
                woven = self._woven(quad, column, limit) if inside else self._outside()
                lines.append(f"  const mm_dot_left_t x{column} = mm_dot_lanes({woven});")
                for pixel in range(shape.pixels):
                    tap, between = divmod(column - pixel * spec.strides[1], spec.dilations[1])
                    if 0 <= tap < spec.kernel[1] and not between:
                        lines.append(f"  a{pixel} = mm_dot(a{pixel}, x{column}, w{tap});")
            lines.append("}")
        lines += [self._load(name, f"{name} + c", limit) for name in self.channel_names]
        for pixel in range(shape.pixels):
            at = f"{pixel * spec.channels} + c"
            loads = [self._load(name, f"{name} + {at}", limit) for name in self.tensor_names]
            inputs = [f"a{pixel}", *(f"{name}_v" for name in (*self.channel_names, *self.tensor_names))]
            statements, result = epilogue.emit(inputs)
            store = store_vector(f"output + {at}", result, epilogue.result_dtype, limit)
            lines.append(f"{{ {' '.join(loads)} {statements} {store}; }}")
        return "\n".join(f"    {line}" for line in lines)

    def _woven(self, quad: int, column: int, limit: str) -> str:
        """Four rows of a column, unsigned: those that the window lacks meet weights of zero."""
        parts = []
        for place, row in enumerate(range(quad * QUAD, min((quad + 1) * QUAD, self.spec.kernel[0]))):
            load = load_vector(f"rows[{row}] + from + {column * self.spec.channels} + c", "ui8", limit)
            parts.append(f"(mm_vi)((mm_vu){load} << {8 * place})")
        return f"({' | '.join(parts)}){' ^ (int32_t)0x80808080' if self.form.signed else ''}"

    def _outside(self) -> str:
        """A column of zero points."""
        return f"mm_splat_i((int32_t)UINT32_C({self.form.unsigned_zero * 0x01010101}))"

    def _load(self, name: str, address: str, limit: str) -> str:
        dtype = self.dtypes[name]
        return f"const {VECTOR_TYPES[dtype]} {name}_v = {load_vector(address, dtype, limit)};"
