"""Numbers as unsigned bytes, with the scale and zero point that their own range asks for, in two kernels.

`block_ranges` finds the range of each block, `dynamic_quantize` joins them and quantizes by the whole. A range is the
same in whatever order it is found, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from mm_core.types import Dim, ceildiv, dim_max

from .access import VectorAccess
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source

_BLOCK = 4096  # elements of a task: enough to hide its overhead, few enough to balance two threads
_BLOCK_OF_TASK = f"""const int64_t start = task * {_BLOCK}, count = mm_least(extent - start, {_BLOCK});
    const float* x = (const float*)call->data[0] + start;"""
_PARTS = 4  # independent accumulators: enough to hide the latency of a comparison


def block_count(count: Dim) -> Dim:
    """Ranges of `count` numbers: each is a greatest and a least number, float32."""
    return ceildiv(count, _BLOCK)


def block_ranges(count: Dim) -> KernelSource:
    """float32 numbers, dense, to the ranges of their blocks and zero. A NaN makes both ends of a range NaN."""
    parameters = Parameters()

    def take(load: str, part: str) -> str:
        return f"""const mm_vf value = {load};
        high[{part}] = mm_greater_or_second(value, high[{part}]);
        low[{part}] = mm_less_or_second(value, low[{part}]);
        odd[{part}] += value - value;"""

    text = f"""{LEAST}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t extent = {parameters.c(count)};
  for (int64_t task = begin; task < end; task++) {{
    {_BLOCK_OF_TASK}
    /* Comparisons pass over NaN, so `odd` notes them: it stays 0 while all numbers are finite. */
    mm_vf high[{_PARTS}] = {{{{0}}}}, low[{_PARTS}] = {{{{0}}}}, odd[{_PARTS}] = {{{{0}}}};
    int64_t i = 0;
    for (; i + {_PARTS} * MM_LANES <= count; i += {_PARTS} * MM_LANES) {{
      for (int part = 0; part < {_PARTS}; part++) {{
        {take("mm_load(x + i + part * MM_LANES)", "part")}
      }}
    }}
    for (; i < count; i += MM_LANES) {{
      {take("i + MM_LANES <= count ? mm_load(x + i) : mm_load_tail(x + i, count - i)", "0")}
    }}
    for (int part = 1; part < {_PARTS}; part++) {{
      high[0] = mm_max(high[0], high[part]), low[0] = mm_min(low[0], low[part]), odd[0] += odd[part];
    }}
    float greatest = mm_lanes_max(high[0]), least = mm_lanes_min(low[0]);
    if (mm_lanes_sum(odd[0]) != 0.0f) {{
      for (i = 0; i < count; i++) greatest = mm_max_1(greatest, x[i]), least = mm_min_1(least, x[i]);
    }}
    float* range = (float*)call->data[1] + 2 * task;
    range[0] = greatest, range[1] = least;
  }}
}}
"""
    return kernel_source(
        "block_ranges", text, tasks=block_count(count), params=tuple(parameters.dims), note=f"blocks of {_BLOCK}"
    )


def dynamic_quantize(count: Dim) -> KernelSource:
    """The numbers and the ranges of their blocks to bytes, the scale and the zero point: `mm.dynamic_quantize`."""
    parameters, access = Parameters(), VectorAccess()

    def step(tail: bool) -> str:
        byte = "mm_quantize(value / scale, zero_point, 0, 255)"
        return access.load("value", "x", "f32", "1", tail) + access.store("y", byte, "ui8", tail)

    text = f"""{LEAST}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t extent = {parameters.c(count)}, blocks = {parameters.c(block_count(count))};
  const float* ranges = (const float*)call->data[1];
  float high = 0.0f, low = 0.0f;
  for (int64_t block = 0; block < blocks; block++) {{
    high = mm_max_1(high, ranges[2 * block]), low = mm_min_1(low, ranges[2 * block + 1]);
  }}
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const mm_vf steps = mm_at_most(mm_at_least(mm_splat(-low / scale), mm_splat(0.0f)), mm_splat(255.0f));
  const int32_t zero_point = mm_to_int(mm_round(steps))[0];
  if (begin == 0) *(float*)call->data[3] = scale, *(uint8_t*)call->data[4] = (uint8_t)zero_point;
  for (int64_t task = begin; task < end; task++) {{
    {_BLOCK_OF_TASK}
    uint8_t* y = (uint8_t*)call->data[2] + start;
    {access.loops(step)}
  }}
}}
"""
    tasks = dim_max(1, block_count(count))  # The scale of no number is 1.
    return kernel_source("dynamic_quantize", text, tasks=tasks, params=tuple(parameters.dims), note="by its own range")
