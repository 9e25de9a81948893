"""Max and average pooling of images in NHWC, global pooling included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim, ceildiv

from .access import VectorAccess
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import BYTE_RANGES, C_TYPES
from .rows import REDUCTIONS
from .window_taps import taps_inside

_CHANNELS = 256  # channels of a task, so that a global pool can be shared between threads too
_BYTES = 64  # of a block whose maxima stay in a register, or a few
_UNROLLED = 4  # vectors of channels with a running value each in registers


@dataclass(frozen=True)
class PoolSpec:
    """An input [batch, height, width, channels] and the extents of the result. Bytes have max pooling only.

    Pairs are (vertical, horizontal); `pads` are top, left, bottom, right. Max pooling never takes its value from the
    padding; average pooling counts it if `count_pads`, but not what a rounded-up result extent reaches beyond it.
    """

    kind: Literal["max", "average"]
    batch: Dim
    height: Dim
    width: Dim
    channels: Dim
    result_height: Dim
    result_width: Dim
    kernel: tuple[Dim, Dim]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    count_pads: bool = False
    dtype: str = "f32"


def pool(spec: PoolSpec) -> KernelSource:
    """One input, one output in NHWC. A task is a block of channels of one row of the result."""
    parameters, access = Parameters(), VectorAccess()
    c, c_type = parameters.c, C_TYPES[spec.dtype]
    blocks = ceildiv(spec.channels, _CHANNELS)
    reduction = REDUCTIONS["max" if spec.kind == "max" else "sum"]
    total = [f"r{k}" for k in range(_UNROLLED)]

    def window(vectors: int, tail: bool) -> str:
        """C that pools `vectors` vectors of channels from `i` on."""
        taps, stores = [], []
        for k, name in enumerate(total[:vectors]):
            load = access.load("v", f"(tap + {k} * MM_LANES)", "f32", "1", tail)
            taps.append(f"{{ {load} {name} = {reduction.combine.format(name, 'v')}; }}")
            result = name if spec.kind == "max" else f"{name} * share"
            stores.append(access.store(f"(y + {k} * MM_LANES)", result, "f32", tail))
        return f"""mm_vf {", ".join(f"{name} = mm_splat({reduction.neutral})" for name in total[:vectors])};
        for (int64_t a = top; a < bottom; a++)
          for (int64_t b = left; b < right; b++) {{
            const {c_type}* tap = x + (a * {spec.dilations[0]} * width + b * {spec.dilations[1]}) * channels;
            {" ".join(taps)}
          }}
        {" ".join(stores)}"""

    if spec.dtype in BYTE_RANGES:
        loops = _byte_maximum(spec)
    else:
        loops = f"""int64_t i = 0;
      for (; i + {_UNROLLED} * MM_LANES <= count; i += {_UNROLLED} * MM_LANES) {{
        {window(_UNROLLED, False)}
      }}
      for (; i + MM_LANES <= count; i += MM_LANES) {{
        {window(1, False)}
      }}
      if (i < count) {{
        {window(1, True)}
      }}"""
    taps_a, taps_b = _counted(spec, "a", "row_start", "height", 0), _counted(spec, "b", "column_start", "width", 1)
    share = f"""const int64_t taps = {taps_a} * {taps_b};
      const float share = 1.0f / (float)taps;"""
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t height = {c(spec.height)}, width = {c(spec.width)}, channels = {c(spec.channels)};
  const int64_t result_height = {c(spec.result_height)}, result_width = {c(spec.result_width)};
  const int64_t kernel_a = {c(spec.kernel[0])}, kernel_b = {c(spec.kernel[1])}, blocks = {c(blocks)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t first = task % blocks * {_CHANNELS}, row = task / blocks;
    const int64_t count = channels - first < {_CHANNELS} ? channels - first : {_CHANNELS};
    const int64_t row_start = row % result_height * {spec.strides[0]} - {spec.pads[0]};
    const {c_type}* image = (const {c_type}*)call->data[0] + row / result_height * height * width * channels + first;
    {taps_inside("top", "bottom", "row_start", "height", "kernel_a", spec.dilations[0])}
    for (int64_t column = 0; column < result_width; column++) {{
      const int64_t column_start = column * {spec.strides[1]} - {spec.pads[1]};
      {taps_inside("left", "right", "column_start", "width", "kernel_b", spec.dilations[1])}
      {share if spec.kind == "average" else ""}
      const {c_type}* x = image + (row_start * width + column_start) * channels;
      {c_type}* restrict y = ({c_type}*)call->data[1] + (row * result_width + column) * channels + first;
      {loops}
    }}
  }}
}}
"""
    return kernel_source(
        f"{spec.kind}_pool",
        text,
        tasks=spec.batch * spec.result_height * blocks,
        params=tuple(parameters.dims),
        note=f"{spec.kernel[0]}x{spec.kernel[1]}",
    )


def _byte_maximum(spec: PoolSpec) -> str:
    """C that pools all channels of a task; the compiler makes vectors of bytes of it, and keeps those of a block."""
    c_type = C_TYPES[spec.dtype]

    def window(result: str, start: str, count: str) -> str:
        return f"""__builtin_memset({result}, {BYTE_RANGES[spec.dtype][0]}, {count});
        for (int64_t a = top; a < bottom; a++)
          for (int64_t b = left; b < right; b++) {{
            const {c_type}* restrict tap =
              x + (a * {spec.dilations[0]} * width + b * {spec.dilations[1]}) * channels + {start};
            for (int64_t k = 0; k < {count}; k++) {result}[k] = tap[k] > {result}[k] ? tap[k] : {result}[k];
          }}"""

    return f"""int64_t i = 0;
      for (; i + {_BYTES} <= count; i += {_BYTES}) {{
        {c_type} most[{_BYTES}];
        {window("most", "i", str(_BYTES))}
        __builtin_memcpy(y + i, most, {_BYTES});
      }}
      if (i < count) {{
        {c_type}* restrict rest = y + i;
        {window("rest", "i", "(count - i)")}
      }}"""


def _counted(spec: PoolSpec, name: str, start: str, extent: str, axis: int) -> str:
    """C of how many taps along one axis an average counts."""
    if not spec.count_pads:
        return "(bottom - top)" if axis == 0 else "(right - left)"
    reach = f"(({extent} + {spec.pads[2 + axis]} - {start} + {spec.dilations[axis] - 1}) / {spec.dilations[axis]})"
    return f"({reach} < kernel_{name} ? {reach} : kernel_{name})"
