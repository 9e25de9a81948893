"""Rows looked up in tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim

from .kernel_source import KernelSource, Parameters, kernel_source

_INDEX_TYPES = {"i32": "int32_t", "i64": "int64_t"}

# A negative index counts from the end. One outside the table is reported, and row 0 stands in for it.
_LOOK_UP = """static inline int64_t KERNEL_NAME_row(const mm_call* call, int64_t index, int64_t rows) {
  if (index < 0) index += rows;
  if (index >= 0 && index < rows) return index;
  __atomic_store_n(call->status, MM_INDEX_OUT_OF_RANGE, __ATOMIC_RELAXED);
  return 0;
}
"""


@dataclass(frozen=True)
class GatherSpec:
    """output[o, k, :] = table[o, indices[k], :], the table being [outer, rows, width] elements."""

    outer: Dim
    rows: Dim
    width: Dim
    count: Dim
    index_dtype: Literal["i32", "i64"]
    element_bytes: int


def gather(spec: GatherSpec) -> KernelSource:
    """Inputs: table, indices; one output. A task is one row of it."""
    parameters = Parameters()
    text = f"""{_LOOK_UP}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t rows = {parameters.c(spec.rows)}, count = {parameters.c(spec.count)};
  const int64_t bytes = {parameters.c(spec.width * spec.element_bytes)};
  const {_INDEX_TYPES[spec.index_dtype]}* indices = (const {_INDEX_TYPES[spec.index_dtype]}*)call->data[1];
  for (int64_t task = begin; task < end; task++) {{
    const int64_t row = KERNEL_NAME_row(call, indices[task % count], rows);
    const char* source = (const char*)call->data[0] + (task / count * rows + row) * bytes;
    if (rows > 0) __builtin_memcpy((char*)call->data[2] + task * bytes, source, bytes);
  }}
}}
"""
    return kernel_source(
        "gather", text, tasks=spec.outer * spec.count, params=tuple(parameters.dims), note=f"rows of {spec.width}"
    )
