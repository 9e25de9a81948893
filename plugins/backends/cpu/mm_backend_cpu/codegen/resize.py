"""Images, lines and volumes of another size: nearest, linear and cubic interpolation.

    for each row of the result               a task: a position along every axis but the last
      the rows of the input that it takes    1, 2 or 4 for each axis, with their weights
      for each column: the same along the last axis, read from a table in scratch
        for vectors of channels: the sum over rows and columns of weight * input

Positions and weights are computed in double precision when running, so that sizes may be known only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product as combinations

from mm_core.types import Dim

from .access import ScalarAccess, VectorAccess
from .indices import split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .strides import dense_strides, product

_FEW = 4  # channels that are not worth a vector

TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
"""How many positions of an axis one result takes."""

COORDINATES = {
    "half_pixel": "(at + 0.5) / scale - 0.5",
    "asymmetric": "at / scale",
    "align_corners": "scale * from == 1 ? 0 : at * ((from - 1) / (scale * from - 1))",
    "pytorch_half_pixel": "scale * from == 1 ? -0.5 : (at + 0.5) / scale - 0.5",
    "half_pixel_symmetric": "(at + 0.5) / scale - 0.5 + from * 0.5 * (1 - to / (scale * from))",
}
"""C of where in the input position `at` of the result lies."""

ROUNDINGS = {
    "round_prefer_floor": "__builtin_ceil(x - 0.5)",
    "round_prefer_ceil": "__builtin_floor(x + 0.5)",
    "floor": "__builtin_floor(x)",
    "ceil": "__builtin_ceil(x)",
}
"""C of the nearest position to `x`."""


@dataclass(frozen=True)
class ResizeSpec:
    """Input [batch, *before, channels], output [batch, *after, channels], one to three axes between. Planes that
    lie apart are a batch of images with one channel.

    `scales` are sizes after over sizes before, as the user gave them; None for what the sizes say. Elements of 4 bytes
    are float32; nearest moves elements of any size.
    """

    mode: str
    coordinates: str
    rounding: str
    batch: Dim
    before: tuple[Dim, ...]
    after: tuple[Dim, ...]
    channels: Dim
    scales: tuple[float | None, ...]
    cubic: float = -0.75
    element_bytes: int = 4


def resize(spec: ResizeSpec) -> KernelSource:
    """One input, one output. A task is one row of the output."""
    parameters, last = Parameters(), len(spec.before) - 1
    taps = [1 if _stays(spec, axis) else TAPS[spec.mode] for axis in range(last + 1)]
    pixel = spec.channels * spec.element_bytes
    strides = dense_strides([*spec.before, pixel])[:-1]
    sizes = [(parameters.c(before), parameters.c(after)) for before, after in zip(spec.before, spec.after)]
    steps = [parameters.c(stride) for stride in strides]

    def weigh(axis: int, at: str, target: str) -> str:
        if _stays(spec, axis):
            return f"{target}[0] = (KERNEL_NAME_tap){{{at} * {steps[axis]}, 1.0f}};"
        before, after = sizes[axis]
        scale = spec.scales[axis]
        ratio = f"(double){after} / (double){before}" if scale is None else repr(scale)
        return f"KERNEL_NAME_weigh({at}, (double){before}, (double){after}, {ratio}, {steps[axis]}, {target});"

    rows = list(combinations(*(range(count) for count in taps[:-1])))
    starts = [" + ".join(["image", *(f"taps{axis}[{k}].offset" for axis, k in enumerate(row))]) for row in rows]
    weights = [" * ".join(["1.0f", *(f"taps{axis}[{k}].weight" for axis, k in enumerate(row))]) for row in rows]
    leading = "\n    ".join(
        f"KERNEL_NAME_tap taps{axis}[{taps[axis]}]; {weigh(axis, f'index{axis + 1}', f'taps{axis}')}"
        for axis in range(last)
    )
    text = f"""{_weigh(spec)}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t count = {parameters.c(spec.channels)}, columns = {sizes[last][1]};
  if ({parameters.c(product([*spec.before, pixel]))} == 0) return;
  KERNEL_NAME_tap* table = (KERNEL_NAME_tap*)scratch;
  for (int64_t column = 0; column < columns; column++) {{ {weigh(last, "column", f"(table + column * {taps[-1]})")} }}
  for (int64_t task = begin; task < end; task++) {{
    {split_index("task", [spec.batch, *spec.after[:-1]], parameters)}
    {leading}
    const char* image = (const char*)call->data[0] + index0 * {parameters.c(product([*spec.before, pixel]))};
    const char* rows[] = {{{", ".join(starts)}}};
    const float row_weights[] = {{{", ".join(weights)}}};
    (void)row_weights;
    for (int64_t column = 0; column < columns; column++) {{
      const KERNEL_NAME_tap* tap = table + column * {taps[-1]};
      char* target = (char*)call->data[1] + (task * columns + column) * {parameters.c(pixel)};
      {_pixel(spec, len(rows), taps[-1])}
    }}
  }}
}}
"""
    return kernel_source(
        "resize",
        text,
        tasks=spec.batch * product(spec.after[:-1]),
        scratch_bytes=spec.after[-1] * (16 * taps[-1]),
        params=tuple(parameters.dims),
        note=f"{spec.mode}, {spec.channels} channels",
    )


def _stays(spec: ResizeSpec, axis: int) -> bool:
    """Whether an axis is known to keep its size and places."""
    return spec.before[axis] == spec.after[axis] and spec.scales[axis] in (None, 1.0)


def _pixel(spec: ResizeSpec, rows: int, columns: int) -> str:
    """C that computes all channels of one pixel from `rows` rows at the offsets of `columns` taps."""
    if spec.mode == "nearest":
        return f"__builtin_memcpy(target, rows[0] + tap[0].offset, (uint64_t)count * {spec.element_bytes});"
    few = isinstance(spec.channels, int) and spec.channels < _FEW
    access, c_type, splat = (ScalarAccess(), "float", "") if few else (VectorAccess(), "mm_vf", "mm_splat")
    places = list(combinations(range(rows), range(columns)))
    hoisted = " ".join(
        f"const float* x{n} = (const float*)(rows[{row}] + tap[{k}].offset); "
        f"const {c_type} w{n} = {splat}(row_weights[{row}] * tap[{k}].weight);"
        for n, (row, k) in enumerate(places)
    )

    def body(tail: bool) -> str:
        loads = " ".join(access.load(f"v{n}", f"x{n}", "f32", "1", tail) for n in range(len(places)))
        total = " + ".join(f"w{n} * v{n}" for n in range(len(places)))
        return f"{loads} {access.store('y', total, 'f32', tail)}"

    return f"""{hoisted}
      float* restrict y = (float*)target;
      {access.loops(body)}"""


def _weigh(spec: ResizeSpec) -> str:
    """C of the taps of a position: byte offsets along one axis, and weights."""
    clamped = "(int64_t)({0} < 0 ? 0 : {0} > from - 1 ? from - 1 : {0}) * step"
    if spec.mode == "nearest":
        body = f"""const double place = {ROUNDINGS[spec.rounding]};
  taps[0] = (KERNEL_NAME_tap){{{clamped.format("place")}, 1.0f}};"""
    else:
        near = "1 - d"
        if spec.mode == "cubic":
            a = repr(spec.cubic)
            near = f"d <= 1 ? (({a} + 2) * d - ({a} + 3)) * (d * d) + 1 : ((d - 5) * d + 8) * d * {a} - 4 * {a}"
        count = TAPS[spec.mode]
        body = f"""for (int k = 0; k < {count}; k++) {{
    const double place = __builtin_floor(x) + (k - {count // 2 - 1}), d = __builtin_fabs(place - x);
    taps[k] = (KERNEL_NAME_tap){{{clamped.format("place")}, (float)({near})}};
  }}"""
    return f"""typedef struct {{ int64_t offset; float weight; }} KERNEL_NAME_tap;
static inline void KERNEL_NAME_weigh(
    int64_t position, double from, double to, double scale, int64_t step, KERNEL_NAME_tap* taps) {{
  const double at = (double)position, x = {COORDINATES[spec.coordinates]};
  (void)to;
  {body}
}}"""
