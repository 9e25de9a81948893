"""Winograd's F(4x4, 3x3) for 3x3 convolutions of stride 1 (Lavin and Gray, arXiv 1509.09308), its three stages fused.

A task is a block of 4x4 output tiles and a panel of outputs. The 6x6 inputs of the block are transformed once for all
its panels that a thread meets; then each of the 36 components is multiplied with its weights by register tiles, and the
products are transformed back, all in scratch that fits the second level of cache. A quarter of the multiplications
remain.

Rounding: intermediate values are larger than the result, so errors are some ten times those of a direct sum.
`rounding_error` says how large for given weights; `ERROR_BUDGET` is what a convolution may lose. NaN and infinities:
one in the input makes outputs NaN in all of each 4x4 tile that reads it, also where the window does not cover it; a
direct sum gives NaN or an infinity only where the window covers it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError

from .blocking import Blocking, Extent, choose_blocking, divide_up
from .conv import ConvSpec
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .pack import PanelLayout
from .register_tile import Steps, TileSpec, TileWriter

_BLOCK_BYTES = 512 << 10  # of transformed inputs
_MIN_TASKS = 8
ERROR_BUDGET = 3e-5
"""The largest expected rounding error of a kernel that may replace a direct sum, relative to the output's size."""

# Weights: G g G^T.
_WEIGHT_TRANSFORM = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
     [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
)  # fmt: skip

# Inputs: B^T d B; outputs: A^T m A. The kernel has them written out below.
_INPUT_TRANSFORM = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]]
)  # fmt: skip
_OUTPUT_TRANSFORM = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])

_TRANSFORMS = """
/* One dimension of B^T d B: 6 values to 6, `in` and `out` apart by their steps. */
MM_INLINE void mm_winograd_input(const mm_vf* in, mm_vf* out, const int step) {
  const mm_vf d0 = in[0], d1 = in[step], d2 = in[2 * step], d3 = in[3 * step], d4 = in[4 * step], d5 = in[5 * step];
  const mm_vf p = d4 - 4.0f * d2, q = d3 - 4.0f * d1, r = d4 - d2, s = 2.0f * (d3 - d1);
  out[0] = 4.0f * d0 - 5.0f * d2 + d4;
  out[step] = p + q;
  out[2 * step] = p - q;
  out[3 * step] = r + s;
  out[4 * step] = r - s;
  out[5 * step] = 4.0f * d1 - 5.0f * d3 + d5;
}
/* One dimension of A^T m A: 6 values to 4. */
MM_INLINE void mm_winograd_output(const mm_vf* in, mm_vf* out, const int step) {
  const mm_vf m0 = in[0], m5 = in[5 * step];
  const mm_vf a = in[step] + in[2 * step], b = in[step] - in[2 * step];
  const mm_vf c = in[3 * step] + in[4 * step], d = in[3 * step] - in[4 * step];
  out[0] = m0 + a + c;
  out[step] = b + 2.0f * d;
  out[2 * step] = a + 4.0f * c;
  out[3 * step] = b + 8.0f * d + m5;
}
"""


@dataclass(frozen=True)
class WinogradKernel:
    """A kernel and the layout of its transformed weights, [panels, 36 * channels, width]."""

    source: KernelSource
    layout: PanelLayout

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return self.layout.elements

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transform and pack weights of shape [outputs, channels, 3, 3]."""
        g = _WEIGHT_TRANSFORM
        transformed = np.einsum("ij,ocjk,lk->ilco", g, weights.astype(np.float64), g, optimize=True)
        return self.layout.pack(transformed.reshape(1, -1, weights.shape[0]).astype(np.float32))


@dataclass(frozen=True)
class WinogradCut:
    """How the work is cut: tiles of a block, and the product of one component of a block with its weights."""

    block: int
    blocking: Blocking

    @property
    def note(self) -> str:
        """For example "16 tiles a task, tile 8 rows x 3 vectors"."""
        return f"F(4x4, 3x3), {self.block} tiles a task, {self.blocking.tile_rows} x {self.blocking.vectors} vectors"


def is_winograd(spec: ConvSpec, isa: Isa) -> bool:
    """Whether `generate_winograd` takes this convolution."""
    return (
        (spec.kernel, spec.strides, spec.dilations, spec.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and (spec.input_layout, spec.depth.is_flat, spec.placement, spec.has_known_size) == ("NHWC", True, None, True)
        and spec.channels % isa.lanes == 0
        and spec.outputs % isa.lanes == 0
    )


def tile_count(spec: ConvSpec) -> int:
    """Tiles of 4x4 outputs of one image."""
    return divide_up(spec.output_height, 4) * divide_up(spec.output_width, 4)


def winograd_cut(spec: ConvSpec, isa: Isa, block_bytes: int = _BLOCK_BYTES) -> WinogradCut:
    """Blocks whose transformed inputs take up to so many bytes."""
    block = _block(tile_count(spec), spec.channels, divide_up(spec.outputs, 4 * isa.lanes), block_bytes)
    return WinogradCut(block, choose_blocking(component_extent(spec, block), isa))


def component_extent(spec: ConvSpec, block: int) -> Extent:
    """The product of one of the 36 components of a block of tiles."""
    return Extent(
        images=1, rows=block, columns=1, groups=1, outputs=spec.outputs, runs=1, run_length=spec.channels,
        pixel_bytes=4 * spec.channels,
    )  # fmt: skip


def rounding_error(weights: NDArray[np.float32]) -> float:
    """The expected error for weights of shape [outputs, channels, 3, 3], relative to the root mean square of an output.

    The worst output channel counts, inputs being independent and of equal size. A running sum of n such terms is
    rounded by sqrt(n / 6) units; the 36 sums are as large as the squares of the transforms say.
    """
    g, b, a = _WEIGHT_TRANSFORM**2, _INPUT_TRANSFORM**2, _OUTPUT_TRANSFORM**2
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
    chosen = chosen or winograd_cut(spec, isa)
    channels, lanes, parameters = spec.channels, isa.lanes, Parameters()
    tile_columns = divide_up(spec.output_width, 4)
    tiles, block, blocking = tile_count(spec), chosen.block, chosen.blocking
    blocks = divide_up(tiles, block)
    steps = Steps(row=channels, column=0, run="0")
    width = blocking.vectors * lanes
    writer = TileWriter(TileSpec(blocking.vectors, 1, width, width, steps), isa, parameters)
    heights = (blocking.tile_rows, *(1 << bit for bit in reversed(range(4)) if 1 << bit < blocking.tile_rows))
    panels = divide_up(spec.outputs, width)
    products = "\n      ".join(
        f"for (; r + {height} <= count; r += {height})\n        "
        + writer.call(height, f"x + r * {channels}", "0", f"product + r * {width}", [])
        for height in heights
    )
    code = f"""{LEAST}
{_TRANSFORMS}
{_input_function(spec, lanes, tile_columns, block)}
{_output_function(spec, lanes, tile_columns, block, width)}
{"".join(map(writer.function, heights))}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* input = call->data[0];
  const float* weights = call->data[1];
  float* zeros = scratch;
  float* transformed = zeros + {channels};
  float* products = transformed + {36 * block * channels};
  __builtin_memset(zeros, 0, {4 * channels});
  int64_t at = -1;
  for (int64_t task = begin; task < end; task++) {{
    const int64_t unit = task / {panels}, panel = task % {panels};
    const int64_t image = unit / {max(blocks, 1)}, tile = unit % {max(blocks, 1)} * {block};
    const int64_t count = mm_least({block}, {tiles} - tile);
    const float* from = input + image * INT64_C({spec.height * spec.width * channels});
    if (unit != at) KERNEL_NAME_input(from, zeros, transformed, tile, count);
    at = unit;
    for (int64_t component = 0; component < 36; component++) {{
      const int64_t run = 0, run_end = 1, start = 0, stop = {channels}, right_step = {width}, valid = {width};
      const int first = 1, last = 1;
      const float* x = transformed + component * {block * channels};
      const float* w = weights + (panel * 36 + component) * {channels * width};
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
        scratch_bytes=4 * (channels + 36 * block * (channels + width)),
        params=tuple(parameters.dims), note=chosen.note,
    )  # fmt: skip
    return WinogradKernel(source, PanelLayout(1, 36 * channels, spec.outputs, width))


def _block(tiles: int, channels: int, panels: int, block_bytes: int) -> int:
    """Tiles of a block: few enough for the cache, in an even number of blocks, and enough tasks for a few threads."""
    blocks = max(divide_up(36 * 4 * channels * tiles, block_bytes), divide_up(_MIN_TASKS, panels), 1)
    return max(1, divide_up(tiles, blocks + blocks % 2))


def _input_function(spec: ConvSpec, lanes: int, tile_columns: int, block: int) -> str:
    """Transforms the inputs of `count` tiles into [36, block, channels]; outside the image it reads `zeros`."""
    channels = spec.channels
    return f"""
static void KERNEL_NAME_input(
    const float* image, const float* zeros, float* restrict to, int64_t tile, int64_t count) {{
  for (int64_t t = 0; t < count; t++) {{
    const int64_t top = (tile + t) / {tile_columns} * 4 - {spec.pads[0]};
    const int64_t left = (tile + t) % {tile_columns} * 4 - {spec.pads[1]};
    const float* pixels[36];
    for (int64_t i = 0; i < 36; i++) {{
      const int64_t y = top + i / 6, x = left + i % 6;
      const int inside = y >= 0 && y < {spec.height} && x >= 0 && x < {spec.width};
      pixels[i] = inside ? image + (y * {spec.width} + x) * {channels} : zeros;
    }}
    for (int64_t c = 0; c < {channels}; c += {lanes}) {{
      mm_vf d[36], e[36];
      for (int i = 0; i < 36; i++) d[i] = mm_load(pixels[i] + c);
      for (int i = 0; i < 6; i++) mm_winograd_input(d + i, e + i, 6);
      for (int i = 0; i < 6; i++) mm_winograd_input(e + 6 * i, d + 6 * i, 1);
      for (int i = 0; i < 36; i++) mm_store(to + (i * {block} + t) * {channels} + c, d[i]);
    }}
  }}
}}"""


def _output_function(spec: ConvSpec, lanes: int, tile_columns: int, block: int, width: int) -> str:
    """Transforms the products of `count` tiles back and stores the pixels that exist, through the epilogue."""
    epilogue, outputs = spec.epilogue, spec.outputs
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
  for (int64_t t = 0; t < count; t++) {{
    const int64_t top = (tile + t) / {tile_columns} * 4, left = (tile + t) % {tile_columns} * 4;
    const int64_t rows = mm_least(4, {spec.output_height} - top), columns = mm_least(4, {spec.output_width} - left);
    for (int64_t c = 0; c < {width} && channel + c < {outputs}; c += {lanes}) {{
      mm_vf m[36], e[24];
      for (int i = 0; i < 36; i++) m[i] = mm_load(products + (i * {block} + t) * {width} + c);
      for (int i = 0; i < 6; i++) mm_winograd_output(m + i, e + i, 6);
      for (int i = 0; i < 4; i++) mm_winograd_output(e + 6 * i, m + 4 * i, 1);
      {" ".join(channel_loads)}
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {{
          const int64_t pixel = (image * {spec.output_height} + top + i) * {spec.output_width} + left + j;
          const int64_t at = pixel * {outputs} + channel + c;
          const mm_vf a = m[4 * i + j];
          {" ".join(tensor_loads)}
          {statements}
          mm_store(output + at, {result});
        }}
    }}
  }}
}}"""
