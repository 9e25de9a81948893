"""Results put together from whole rows of several tensors: concatenation and padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.types import Dim

from .indices import split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .strided_copy import ELEMENT_TYPES
from .strides import product


@dataclass(frozen=True)
class ConcatSpec:
    """Inputs seen as [outer, pieces[k]]: `pieces` are elements from the concatenated axis to the last.

    Row r of input k starts at element `offsets[k] + r * steps[k]`; by default rows follow one another from the start.
    """

    outer: Dim
    pieces: tuple[Dim, ...]
    element_bytes: int
    steps: tuple[Dim, ...] = ()
    offsets: tuple[Dim, ...] = ()


def concat(spec: ConcatSpec) -> KernelSource:
    """As many inputs as pieces, one output. A task is one piece of one row."""
    parameters, width = Parameters(), spec.element_bytes
    n = len(spec.pieces)

    def in_bytes(counts: Sequence[Dim]) -> str:
        return ", ".join(parameters.c(count * width) for count in counts)

    starts = [sum(spec.pieces[:k]) for k in range(n + 1)]
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t sizes[] = {{{in_bytes(spec.pieces)}}}, starts[] = {{{in_bytes(starts[:-1])}}};
  const int64_t steps[] = {{{in_bytes(spec.steps or spec.pieces)}}};
  const int64_t offsets[] = {{{in_bytes(spec.offsets or (0,) * n)}}};
  const int64_t width = {parameters.c(starts[-1] * width)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t row = task / {n}, k = task % {n};
    char* target = (char*)call->data[{n}] + row * width + starts[k];
    __builtin_memcpy(target, (const char*)call->data[k] + offsets[k] + row * steps[k], sizes[k]);
  }}
}}
"""
    return kernel_source("concat", text, tasks=spec.outer * n, params=tuple(parameters.dims), note=f"{n} pieces a row")


@dataclass(frozen=True)
class PadSpec:
    """Padding of a tensor of `shape` with one value: `before` and `after` count elements, none negative.

    The value is given by its bits, as an unsigned integer of `element_bytes`.
    """

    shape: tuple[Dim, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    element_bytes: int
    value_bits: int = 0


def pad(spec: PadSpec) -> KernelSource:
    """One input, one output. A task is one row of the output."""
    parameters = Parameters()
    element = {4: "uint32_t"}.get(spec.element_bytes, ELEMENT_TYPES[spec.element_bytes])
    result = [sum(extents) for extents in zip(spec.shape, spec.before, spec.after, strict=True)]
    inside = " && ".join(
        f"index{axis} >= {before} && index{axis} < {before} + {parameters.c(extent)}"
        for axis, (extent, before) in enumerate(zip(spec.shape[:-1], spec.before[:-1], strict=True))
    )
    source = "0"
    for axis, (extent, before) in enumerate(zip(spec.shape[:-1], spec.before[:-1], strict=True)):
        source = f"({source}) * {parameters.c(extent)} + index{axis} - {before}"
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t extent = {parameters.c(spec.shape[-1])}, width = {parameters.c(result[-1])};
  const {element} value = ({element})UINT64_C({spec.value_bits});
  for (int64_t row = begin; row < end; row++) {{
    {split_index("row", result[:-1], parameters)}
    {element}* y = ({element}*)call->data[1] + row * width;
    if ({inside or "1"}) {{
      const {element}* x = (const {element}*)call->data[0] + ({source}) * extent;
      for (int64_t i = 0; i < {spec.before[-1]}; i++) y[i] = value;
      __builtin_memcpy(y + {spec.before[-1]}, x, (uint64_t)extent * {spec.element_bytes});
      for (int64_t i = {spec.before[-1]} + extent; i < width; i++) y[i] = value;
    }} else {{
      for (int64_t i = 0; i < width; i++) y[i] = value;
    }}
  }}
}}
"""
    return kernel_source(
        "pad", text, tasks=product(result[:-1]), params=tuple(parameters.dims), note=f"rows of {result[-1]}"
    )
