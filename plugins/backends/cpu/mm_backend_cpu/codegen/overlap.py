"""Overlapping sums: the second half of a transposed convolution whose products are already computed.

The product of all pixels with all weights has, for each pixel, a block of kernel rows x kernel columns x outputs.
Blocks lie `stride` apart in the output and are added where they overlap. A row of the output is summed in scratch.
"""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim, dim_max

from .access import load_vector, store_vector
from .conv_transpose import TransposedAxis
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import C_TYPES, VECTOR_TYPES
from .register_tile import NO_EPILOGUE


@dataclass(frozen=True)
class OverlapSpec:
    """An input [images, rows, columns, kernel rows, kernel columns, outputs]; the output is NHWC.

    The kernel's inputs are the products and those of the epilogue.
    """

    images: Dim
    outputs: int
    rows: TransposedAxis
    columns: TransposedAxis
    epilogue: Epilogue = NO_EPILOGUE


def overlap(spec: OverlapSpec, isa: Isa) -> KernelSource:
    """A task is one row of the output."""
    parameters = Parameters()
    c, rows, columns, epilogue = parameters.c, spec.rows, spec.columns, spec.epilogue
    row_taps = columns.kernel * spec.outputs
    # Blocks at the border reach beyond the output, on both sides.
    reach = (columns.size - 1) * columns.stride + (columns.kernel - 1) * columns.dilation + 1
    width = dim_max(reach, columns.begin + columns.output) * spec.outputs
    names = [f"extra{i}" for i in range(len(epilogue.input_dtypes) - 1)]
    extras = [
        f"const {C_TYPES[dtype]}* {name} = call->data[{index}];"
        for index, (name, dtype) in enumerate(zip(names, epilogue.input_dtypes[1:], strict=True), 1)
    ]
    if columns.dilation == 1:
        add = f"for (int64_t k = 0; k < {row_taps}; k++) to[k] += from[k];"
    else:
        add = f"""for (int64_t k = 0; k < {columns.kernel}; k++)
          for (int64_t m = 0; m < {spec.outputs}; m++)
            to[k * {columns.dilation * spec.outputs} + m] += from[k * {spec.outputs} + m];"""
    steps = [
        f"for (int64_t m = 0; m + {isa.lanes} <= {spec.outputs}; m += {isa.lanes}) {{ {_store(epilogue, names, '')} }}"
    ]
    if tail := spec.outputs % isa.lanes:
        steps.append(f"{{ const int64_t m = {spec.outputs - tail}; {_store(epilogue, names, str(tail))} }}")
    code = f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* input = call->data[0];
  {" ".join(extras)}
  {C_TYPES[epilogue.result_dtype]}* output = call->data[call->n_inputs];
  float* restrict sums = scratch;
  const int64_t height = {c(rows.output)}, columns = {c(columns.size)}, width = {c(width)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / height, row = task % height;
    __builtin_memset(sums, 0, width * 4);
    for (int64_t tap = 0; tap < {rows.kernel}; tap++) {{
      const int64_t place = row + {rows.begin} - tap * {rows.dilation}, y = place / {rows.stride};
      if (place < 0 || place % {rows.stride} || y >= {c(rows.size)}) continue;
      const float* products = input + (image * {c(rows.size)} + y) * columns * {rows.kernel * row_taps};
      for (int64_t x = 0; x < columns; x++) {{
        const float* restrict from = products + (x * {rows.kernel} + tap) * {row_taps};
        float* restrict to = sums + x * {columns.stride * spec.outputs};
        {add}
      }}
    }}
    for (int64_t x = 0; x < {c(columns.output)}; x++) {{
      const float* from = sums + ({columns.begin} + x) * {spec.outputs};
      const int64_t pixel = (task * {c(columns.output)} + x) * {spec.outputs};
      {" ".join(steps)}
    }}
  }}
}}
"""
    return kernel_source(
        "overlap", code, tasks=spec.images * rows.output, scratch_bytes=4 * width,
        params=tuple(parameters.dims), note=f"blocks of {rows.kernel}x{columns.kernel}, {spec.outputs} outputs",
    )  # fmt: skip


def _store(epilogue: Epilogue, names: list[str], limit: str) -> str:
    """C that stores the outputs from `m` on of a pixel, through the epilogue."""
    loads = [f"const mm_vf a = {load_vector('from + m', 'f32', limit)};"]
    for index, (name, dtype) in enumerate(zip(names, epilogue.input_dtypes[1:], strict=True)):
        at = "m" if index < epilogue.channel_inputs else "pixel + m"
        loads.append(f"const {VECTOR_TYPES[dtype]} {name}_v = {load_vector(f'{name} + {at}', dtype, limit)};")
    statements, result = epilogue.emit(["a", *(f"{name}_v" for name in names)])
    return f"{' '.join(loads)} {statements} {store_vector('output + pixel + m', result, epilogue.result_dtype, limit)};"
