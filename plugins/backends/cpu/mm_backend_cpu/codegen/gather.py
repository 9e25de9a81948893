"""Rows looked up in tables: gather along the first axis, and sums of several lookups (embeddings)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim

from .access import VectorAccess
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


@dataclass(frozen=True)
class Lookup:
    """One table of an embedding: the numbers of its input and of its indices' input. Without indices, output row r
    reads row r modulo `rows` (positions, or a tensor to be added)."""

    table: int
    rows: Dim
    indices: int | None = None
    index_dtype: Literal["i32", "i64"] = "i64"


@dataclass(frozen=True)
class EmbeddingSpec:
    """The sum of a row of each table, for each of `count` rows of `width` float32."""

    count: Dim
    width: Dim
    lookups: tuple[Lookup, ...]
    n_inputs: int


def embedding(spec: EmbeddingSpec) -> KernelSource:
    """`spec.n_inputs` inputs, one output of [count, width]. A task is one row. Tables must not be empty."""
    parameters, access = Parameters(), VectorAccess()
    pointers = []
    for k, lookup in enumerate(spec.lookups):
        rows = parameters.c(lookup.rows)
        if lookup.indices is None:
            row = f"row % {rows}"
        else:
            index_type = _INDEX_TYPES[lookup.index_dtype]
            row = f"KERNEL_NAME_row(call, ((const {index_type}*)call->data[{lookup.indices}])[row], {rows})"
        pointers.append(f"const float* x{k} = (const float*)call->data[{lookup.table}] + {row} * count;")
    names = [f"v{k}" for k in range(len(spec.lookups))]

    def body(tail: bool) -> str:
        loads = [access.load(name, f"x{k}", "f32", "1", tail) for k, name in enumerate(names)]
        return " ".join((*loads, access.store("y", " + ".join(names), "f32", tail)))

    newline = "\n    "
    text = f"""{_LOOK_UP}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t count = {parameters.c(spec.width)};
  for (int64_t row = begin; row < end; row++) {{
    {newline.join(pointers)}
    float* y = (float*)call->data[{spec.n_inputs}] + row * count;
    {access.loops(body)}
  }}
}}
"""
    return kernel_source(
        "embedding", text, tasks=spec.count, params=tuple(parameters.dims), note=f"{len(spec.lookups)} tables"
    )
