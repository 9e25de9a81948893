"""Winograd's F(m x m, 3x3) for 3x3 convolutions of stride 1 (Lavin and Gray, arXiv 1509.09308), its three stages fused.

A task is a block of m x m output tiles and a panel of outputs. With n = m + 2, the n x n inputs of each tile are
transformed once for all panels that a thread meets; then each of the n * n components is multiplied with its weights
by register tiles, and the products are transformed back, all in scratch that fits the second level of cache. Of the
9 * m * m multiplications of a tile n * n remain: a quarter for m = 4, and for m = 2 four in nine, with fewer weights
and smaller errors.

Rounding: intermediate values are larger than the result, so errors are up to some ten times those of a direct sum.
`rounding_error` says how large for given weights; `ERROR_BUDGET` is what a convolution may lose. NaN and infinities:
one in the input makes outputs NaN in all of each tile that reads it, also where the window does not cover it; a
direct sum gives NaN or an infinity only where the window covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError
from mm_core.types import Dim, ceildiv

from .blocking import Blocking, Extent, assumed_extent, choose_blocking, divide_up, equal_pieces, powers_below
from .conv import ConvSpec
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .pack import PanelLayout
from .register_tile import Steps, TileSpec, TileWriter, ahead_step

_BLOCK_BYTES = 512 << 10  # of transformed inputs
_MIN_TASKS = 8
_TAPS = 3
ERROR_BUDGET = 3e-5
"""The largest expected rounding error of a kernel that may replace a direct sum, relative to the output's size."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Winograd:
    """One algorithm: polynomials of its tiles are multiplied by their values at `points` and at infinity.

    The transforms of one dimension follow by interpolation (Toom and Cook): `weights` is G, [n, 3], `inputs` is B^T,
    [n, n], and `results` A^T, [m, n].
    """

    points: tuple[int, ...]

    def __str__(self) -> str:
        return f"F({self.tile}x{self.tile}, {_TAPS}x{_TAPS})"

    @property
    def tile(self) -> int:
        """m: output pixels in a row of a tile."""
        return len(self.points) + 2 - _TAPS

    @property
    def size(self) -> int:
        """n: inputs in a row of a tile, and products in each dimension."""
        return len(self.points) + 1

    @property
    def components(self) -> int:
        """Products of a tile for a channel and an output."""
        return self.size**2

    @cached_property
    def weights(self) -> Matrix:
        """G: values of the filter at the points, over the denominators of the interpolation."""
        rows = [
            [point**k / prod(point - other for other in self.points if other != point) for k in range(_TAPS)]
            for point in self.points
        ]
        return np.array([*rows, [0.0] * (_TAPS - 1) + [1.0]])

    @cached_property
    def inputs(self) -> Matrix:
        """B^T: numerators of the interpolation, the products of (x - other); the last one is that of all points."""
        rows = np.zeros((self.size, self.size))
        for row, point in enumerate((*self.points, None)):
            coefficients = np.poly([other for other in self.points if other != point])[::-1]
            rows[row, : len(coefficients)] = coefficients
        return rows

    @cached_property
    def results(self) -> Matrix:
        """A^T: powers of the points."""
        rows = [[float(point**power) for point in self.points] + [0.0] for power in range(self.tile)]
        rows[-1][-1] = 1.0
        return np.array(rows)


ALGORITHMS = (Winograd((0, 1, -1, 2, -2)), Winograd((0, 1, -1)))
"""F(4x4, 3x3) and F(2x2, 3x3)."""


def _transforms(algorithm: Winograd) -> str:
    """Both transforms of one dimension in C. What rows of opposite points share is computed once."""
    size, inputs, results = algorithm.size, algorithm.inputs, algorithm.results
    lines = [f"const mm_vf d{i} = in[{i} * step];" for i in range(size)]
    for first, second in _opposites(algorithm.points):
        if second is None:
            lines.append(f"out[{first} * step] = {_sum((inputs[first, i], f'd{i}') for i in range(size))};")
            continue
        same = inputs[first] == inputs[second]
        for name, kept in (("p", same), ("q", ~same)):
            terms = _sum((inputs[first, i], f"d{i}") for i in range(size) if kept[i])
            lines.append(f"const mm_vf {name}{first} = {terms};")
        lines.append(f"out[{first} * step] = p{first} + q{first}, out[{second} * step] = p{first} - q{first};")
    forward = "\n  ".join(lines)

    pairs, lines = list(_opposites(algorithm.points)), []
    for first, second in pairs:
        other = f"in[{second} * step]"
        if second is None:
            lines.append(f"const mm_vf p{first} = in[{first} * step];")
        else:
            lines.append(f"const mm_vf p{first} = in[{first} * step] + {other};")
            lines.append(f"const mm_vf q{first} = in[{first} * step] - {other};")
    for power, row in enumerate(results):
        half = "q" if power % 2 else "p"
        terms = _sum((row[first], f"{half if second else 'p'}{first}") for first, second in pairs)
        lines.append(f"out[{power} * step] = {terms};")
    backward = "\n  ".join(lines)
    return f"""
/* One dimension of B^T d B: {size} values to {size}, `in` and `out` apart by their steps. */
MM_INLINE void mm_winograd_input(const mm_vf* in, mm_vf* out, const int step) {{
  {forward}
}}
/* One dimension of A^T m A: {size} values to {algorithm.tile}. */
MM_INLINE void mm_winograd_output(const mm_vf* in, mm_vf* out, const int step) {{
  {backward}
}}
"""


def _opposites(points: Sequence[int]) -> Iterator[tuple[int, int | None]]:
    """Numbers of points whose signs alone differ, then those by themselves, infinity included, as (number, None)."""
    for number, point in enumerate(points):
        if point > 0 and -point in points:
            yield number, points.index(-point)
        elif -point not in points or point == 0:
            yield number, None
    yield len(points), None


def _sum(terms: Iterator[tuple[float, str]]) -> str:
    """C of a sum of multiples, those of zero left out."""
    text = ""
    for factor, name in terms:
        if factor:
            size = name if abs(factor) == 1 else f"{abs(factor)}f * {name}"
            text += (" - " if factor < 0 else " + ") + size
    return text.removeprefix(" + ").lstrip()


@dataclass(frozen=True)
class WinogradKernel:
    """A kernel and the layout of its transformed weights, [panels, components * channels, width]."""

    source: KernelSource
    layout: PanelLayout
    algorithm: Winograd

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return self.layout.elements

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transform and pack weights of shape [outputs, channels, 3, 3]."""
        g = self.algorithm.weights
        transformed = np.einsum("ij,ocjk,lk->ilco", g, weights.astype(np.float64), g, optimize=True)
        return self.layout.pack(transformed.reshape(1, -1, weights.shape[0]).astype(np.float32))


@dataclass(frozen=True)
class WinogradCut:
    """How the work is cut: most tiles of a block, and the product of one component of a block with its weights."""

    algorithm: Winograd
    block: int
    blocking: Blocking

    @property
    def note(self) -> str:
        """For example "16 tiles a task, 8 x 3 vectors"."""
        return f"{self.block} tiles a task, {self.blocking.tile_rows} x {self.blocking.vectors} vectors"


def is_winograd(spec: ConvSpec, isa: Isa) -> bool:
    """Whether `generate_winograd` takes this convolution."""
    return (
        (spec.kernel, spec.strides, spec.dilations, spec.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and (spec.input_layout, spec.depth.is_flat, spec.placement) == ("NHWC", True, None)
        and spec.channels % isa.lanes == 0
        and spec.outputs % isa.lanes == 0
    )


def tile_count(spec: ConvSpec, algorithm: Winograd) -> int:
    """Tiles of one image, as costs are estimated with them."""
    sizes = assumed_extent(spec.output_height), assumed_extent(spec.output_width)
    return divide_up(sizes[0], algorithm.tile) * divide_up(sizes[1], algorithm.tile)


def winograd_cut(
    spec: ConvSpec, isa: Isa, algorithm: Winograd, block_bytes: int = _BLOCK_BYTES
) -> WinogradCut:
    """Blocks whose transformed inputs take up to so many bytes."""
    tiles, panels = tile_count(spec, algorithm), divide_up(spec.outputs, 4 * isa.lanes)
    # Few enough for the cache, in an even number of blocks, and enough tasks for a few threads.
    input_bytes = algorithm.components * 4 * spec.channels * tiles
    blocks = max(divide_up(input_bytes, block_bytes), divide_up(_MIN_TASKS, panels), 1)
    block = max(1, divide_up(tiles, blocks + blocks % 2))
    return WinogradCut(algorithm, block, choose_blocking(component_extent(spec, block), isa))


def component_extent(spec: ConvSpec, block: int) -> Extent:
    """The product of one component of a block of tiles."""
    return Extent(
        images=1, rows=block, columns=1, groups=1, outputs=spec.outputs, runs=1, run_length=spec.channels,
        pixel_bytes=4 * spec.channels,
    )  # fmt: skip


def rounding_error(weights: NDArray[np.float32], algorithm: Winograd) -> float:
    """The expected error for weights of shape [outputs, channels, 3, 3], relative to the root mean square of an output.

    The worst output channel counts, inputs being independent and of equal size. A running sum of n such terms is
    rounded by sqrt(n / 6) units; the sums of the components are as large as the squares of the transforms say.
    """
    g, b, a = algorithm.weights**2, algorithm.inputs**2, algorithm.results**2
    exact = weights.astype(np.float64)
    transformed = np.einsum("ij,ocjk,lk->oil", g, exact**2, g, optimize=True)
    products = transformed * np.outer(b.sum(1), b.sum(1))
    outputs = np.einsum("ij,ojk,lk->oil", a, products, a, optimize=True).max(axis=(1, 2))
    direct = np.sum(exact**2, axis=(1, 2, 3))
    amplification = np.sqrt(np.divide(outputs, direct, out=np.zeros_like(outputs), where=direct > 0)).max(initial=0.0)
    return float(amplification * np.finfo(np.float32).eps / 2 * np.sqrt(weights.shape[1] / 6))


def generate_winograd(spec: ConvSpec, isa: Isa, chosen: WinogradCut | None = None) -> WinogradKernel:
    """A kernel for a 3x3 convolution of stride 1 whose channels and outputs fill whole vectors."""
    if not is_winograd(spec, isa):
        raise CompileError(f"Winograd's algorithm does not apply to {spec}")
    chosen = chosen or winograd_cut(spec, isa, ALGORITHMS[0])
    algorithm, block, blocking = chosen.algorithm, chosen.block, chosen.blocking
    channels, lanes, parameters = spec.channels, isa.lanes, Parameters()
    c, components = parameters.c, algorithm.components
    tile_columns = ceildiv(spec.output_width, algorithm.tile)
    tiles = ceildiv(spec.output_height, algorithm.tile) * tile_columns
    blocks = ceildiv(tiles, block)
    steps = Steps(row=channels, column=0, run="0")
    width = blocking.vectors * lanes
    ahead = ahead_step(width, divide_up(block, blocking.tile_rows), blocking.tile_rows)
    writer = TileWriter(TileSpec(blocking.vectors, 1, width, width, steps, ahead_step=ahead), isa, parameters)
    panels = divide_up(spec.outputs, width)
    heights: tuple[int, ...] = (blocking.tile_rows, *powers_below(blocking.tile_rows))

    def run(height: int, condition: str) -> str:
        call = writer.call(height, f"x + r * {channels}", "0", f"product + r * {width}", [])
        return f"for (; {condition}; r += {height}, ahead += {channels * ahead})\n        {call}"

    products = "\n      ".join(run(height, f"r + {height} <= count") for height in heights)
    if isinstance(tiles, int) and isinstance(blocks, int):
        # Blocks are of one size or two: each is cut into nearly equal tiles.
        counts = {(unit + 1) * tiles // blocks - unit * tiles // blocks for unit in range(blocks)}
        cuts = {count: equal_pieces(count, blocking.tile_rows) for count in sorted(counts)}
        heights = tuple(sorted({height for pieces in cuts.values() for height in pieces}, reverse=True))
        forms = []
        for count, pieces in cuts.items():
            ends = {height: sum(piece for piece in pieces if piece >= height) for height in pieces}
            lines = "\n        ".join(run(height, f"r < {end}") for height, end in ends.items())
            forms.append(f"if (count == {count}) {{\n        {lines}\n      }}")
        products = "\n      ".join(forms)
    code = f"""{LEAST}
{_transforms(algorithm)}
{_input_function(spec, algorithm, lanes, block, c)}
{_output_function(spec, algorithm, lanes, block, width, c)}
{"".join(map(writer.function, heights))}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* input = call->data[0];
  const float* weights = call->data[1];
  float* zeros = scratch;
  float* transformed = zeros + {channels};
  float* products = transformed + {components * block * channels};
  __builtin_memset(zeros, 0, {4 * channels});
  const int64_t tiles = {c(tiles)}, blocks = {c(blocks)};
  int64_t at = -1;
  for (int64_t task = begin; task < end; task++) {{
    const int64_t unit = task / {panels}, panel = task % {panels};
    const int64_t image = unit / blocks, tile = unit % blocks * tiles / blocks;
    const int64_t count = (unit % blocks + 1) * tiles / blocks - tile;
    const float* from = input + image * {c(spec.height * spec.width * channels)};
    if (unit != at) KERNEL_NAME_input(call, from, zeros, transformed, tile, count);
    at = unit;
    for (int64_t component = 0; component < {components}; component++) {{
      const int64_t run = 0, run_end = 1, start = 0, stop = {channels}, right_step = {width}, valid = {width};
      const int first = 1, last = 1;
      const float* x = transformed + component * {block * channels};
      const float* w = weights + (panel * {components} + component) * {channels * width};
      const char* ahead = (const char*)(w + {channels * width});
      float* product = products + component * {block * width};
      int64_t r = 0;
      {products}
    }}
    KERNEL_NAME_output(call, products, image, panel * {width}, tile, count);
  }}
}}
"""
    source = kernel_source(
        "winograd", code, tasks=spec.images * (blocks * panels),
        scratch_bytes=4 * (channels + components * block * (channels + width)),
        params=tuple(parameters.dims), note=f"{algorithm}, {chosen.note}",
        in_place=spec.epilogue.tensor_positions(2),
    )  # fmt: skip
    return WinogradKernel(source, PanelLayout(1, components * channels, spec.outputs, width), algorithm)


def _input_function(
    spec: ConvSpec, algorithm: Winograd, lanes: int, block: int, c: Callable[[Dim], str]
) -> str:
    """Transforms the inputs of `count` tiles into [components, block, channels]; outside the image it reads `zeros`."""
    channels, tile, n, components = spec.channels, algorithm.tile, algorithm.size, algorithm.components
    tile_columns = c(ceildiv(spec.output_width, tile))
    return f"""
static void KERNEL_NAME_input(
    const mm_call* call, const float* image, const float* zeros, float* restrict to, int64_t tile, int64_t count) {{
  const int64_t height = {c(spec.height)}, width = {c(spec.width)};
  for (int64_t t = 0; t < count; t++) {{
    const int64_t top = (tile + t) / {tile_columns} * {tile} - {spec.pads[0]};
    const int64_t left = (tile + t) % {tile_columns} * {tile} - {spec.pads[1]};
    const float* pixels[{components}];
    for (int64_t i = 0; i < {components}; i++) {{
      const int64_t y = top + i / {n}, x = left + i % {n};
      const int inside = y >= 0 && y < height && x >= 0 && x < width;
      pixels[i] = inside ? image + (y * width + x) * {channels} : zeros;
    }}
    for (int64_t c = 0; c < {channels}; c += {lanes}) {{
      mm_vf d[{components}], e[{components}];
      for (int i = 0; i < {components}; i++) d[i] = mm_load(pixels[i] + c);
      for (int i = 0; i < {n}; i++) mm_winograd_input(d + i, e + i, {n});
      for (int i = 0; i < {n}; i++) mm_winograd_input(e + {n} * i, d + {n} * i, 1);
      for (int i = 0; i < {components}; i++) mm_store(to + (i * {block} + t) * {channels} + c, d[i]);
    }}
  }}
}}"""


def _output_function(
    spec: ConvSpec, algorithm: Winograd, lanes: int, block: int, width: int, c: Callable[[Dim], str]
) -> str:
    """Transforms the products of `count` tiles back and stores the pixels that exist, through the epilogue."""
    epilogue, outputs, tile, n = spec.epilogue, spec.outputs, algorithm.tile, algorithm.size
    components, tile_columns = algorithm.components, c(ceildiv(spec.output_width, tile))
    channel_names = [f"channel{i}" for i in range(epilogue.channel_inputs)]
    tensor_names = [f"tensor{i}" for i in range(epilogue.tensor_inputs)]
    names = (*channel_names, *tensor_names)
    pointers = [f"const float* {name} = call->data[{2 + i}];" for i, name in enumerate(names)]
    channel_loads = [f"const mm_vf {name}_v = mm_load({name} + channel + c);" for name in channel_names]
    tensor_loads = [f"const mm_vf {name}_v = mm_load({name} + at);" for name in tensor_names]
    statements, result = epilogue.emit(["a", *(f"{name}_v" for name in names)])
    return f"""
static void KERNEL_NAME_output(
    const mm_call* call, const float* products, int64_t image, int64_t channel, int64_t tile, int64_t count) {{
  {" ".join(pointers)}
  float* output = call->data[call->n_inputs];
  const int64_t height = {c(spec.output_height)}, width = {c(spec.output_width)};
  for (int64_t t = 0; t < count; t++) {{
    const int64_t top = (tile + t) / {tile_columns} * {tile}, left = (tile + t) % {tile_columns} * {tile};
    const int64_t rows = mm_least({tile}, height - top);
    const int64_t columns = mm_least({tile}, width - left);
    for (int64_t c = 0; c < {width} && channel + c < {outputs}; c += {lanes}) {{
      mm_vf m[{components}], e[{tile * n}];
      for (int i = 0; i < {components}; i++) m[i] = mm_load(products + (i * {block} + t) * {width} + c);
      for (int i = 0; i < {n}; i++) mm_winograd_output(m + i, e + i, {n});
      for (int i = 0; i < {tile}; i++) mm_winograd_output(e + {n} * i, m + {tile} * i, 1);
      {" ".join(channel_loads)}
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {{
          const int64_t pixel = (image * height + top + i) * width + left + j;
          const int64_t at = pixel * {outputs} + channel + c;
          const mm_vf a = m[{tile} * i + j];
          {" ".join(tensor_loads)}
          {statements}
          mm_store(output + at, {result});
        }}
    }}
  }}
}}"""
