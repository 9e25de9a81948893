"""Rows looked up in tables, and elements by an index of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim, ceildiv

from .indices import dot_index, split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .strides import collapse, dense_strides, product

_BLOCK = 4096  # elements of a task: enough to hide its overhead, few enough to balance threads
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


@dataclass(frozen=True)
class GatherElementsSpec:
    """output[i, j, ...] = source[i, indices[i, j, ...], ...] with the index in the place of one axis.

    Strides are those by which source and indices are read along each axis of the output, in elements; the source's is
    0 along the gathered axis, where it has `rows` elements `step` apart. `checked` is False for indices that are known
    to be neither negative nor outside.
    """

    shape: tuple[Dim, ...]
    source_strides: tuple[Dim, ...]
    index_strides: tuple[Dim, ...]
    rows: Dim
    step: Dim
    index_dtype: Literal["i32", "i64"]
    element_bytes: int
    checked: bool


def gather_elements(spec: GatherElementsSpec) -> KernelSource:
    """Inputs: source, indices; one output. A task is a block of the innermost axis that is left after merging axes."""
    parameters = Parameters()
    own = dense_strides(spec.shape)
    extents, strides = collapse(spec.shape, [spec.source_strides, spec.index_strides, own])
    blocks = ceildiv(extents[-1], _BLOCK)
    types = (f"const uint{8 * spec.element_bytes}_t", f"const {_INDEX_TYPES[spec.index_dtype]}")
    pointers = "\n    ".join(
        f"{c_type}* {name} = ({c_type}*)call->data[{number}] + {dot_index(steps[:-1], parameters)}"
        f" + start * {parameters.c(steps[-1])};"
        for number, (name, c_type, steps) in enumerate(
            zip(("x", "indices", "y"), (*types, types[0].removeprefix("const ")), strides)
        )
    )
    source, index, result = (parameters.c(steps[-1]) for steps in strides)
    # Without a branch in the loop, the compiler makes vectors of it.
    check = """index += index < 0 ? rows : 0;
      const int64_t inside = index >= 0 && index < rows;
      outside |= !inside;
      index = inside ? index : 0;"""
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t rows = {parameters.c(spec.rows)}, step = {parameters.c(spec.step)};
  const int64_t blocks = {parameters.c(blocks)}, extent = {parameters.c(extents[-1])};
  int64_t outside = rows <= 0;
  for (int64_t task = begin; task < end && rows > 0; task++) {{
    const int64_t start = task % blocks * {_BLOCK};
    const int64_t count = extent - start < {_BLOCK} ? extent - start : {_BLOCK};
    {split_index("task / blocks", extents[:-1], parameters)}
    {pointers}
    _Pragma("GCC ivdep")
    for (int64_t i = 0; i < count; i++) {{
      int64_t index = indices[i * {index}];
      {check if spec.checked else ""}
      y[i * {result}] = x[i * {source} + index * step];
    }}
  }}
  if (outside) __atomic_store_n(call->status, MM_INDEX_OUT_OF_RANGE, __ATOMIC_RELAXED);
}}
"""
    note = "elements by known indices" if not spec.checked else "elements by indices"
    return kernel_source(
        "gather_elements", text, tasks=product(extents[:-1]) * blocks, params=tuple(parameters.dims), note=note
    )
