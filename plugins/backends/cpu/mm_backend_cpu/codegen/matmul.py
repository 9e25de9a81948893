"""Batched matrix product of two operands that are known only at run time; the right one is packed panel by panel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mm_core.types import Dim

from .blocking import Blocking, Extent, choose_blocking
from .contraction import Contraction, Source, contraction_source
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, Parameters
from .register_tile import NO_EPILOGUE, Steps
from .strides import product

_DIRECT_ROWS = 14  # up to here packing the right operand would cost more than it saves


@dataclass(frozen=True)
class Strides:
    """Distances between elements of an operand: one a batch dimension (0 broadcasts), then those of its matrix."""

    batch: tuple[Dim, ...]
    row: Dim
    column: Dim


@dataclass(frozen=True)
class MatmulSpec:
    """output[b, m, n] = epilogue(sum over k of left[b, m, k] * right[b, k, n]), float32, output dense.

    `batch` are the output's batch dimensions. A transposed operand has its strides exchanged. The kernel's inputs are
    left, right and those of the epilogue.
    """

    batch: tuple[Dim, ...]
    rows: Dim
    outputs: Dim
    reduction: Dim
    left: Strides
    right: Strides
    epilogue: Epilogue = NO_EPILOGUE


def matrix_strides(batch: tuple[Dim, ...], rows: Dim, columns: Dim, *, transposed: bool = False) -> Strides:
    """Strides of a dense operand that reads as [batch..., rows, columns]; in memory columns come first if `transposed`.

    A batch dimension of 1 broadcasts.
    """
    steps: list[Dim] = []
    step: Dim = rows * columns
    for dim in reversed(batch):
        steps.append(0 if dim == 1 else step)
        step = step * dim
    row, column = (1, rows) if transposed else (columns, 1)
    return Strides(tuple(reversed(steps)), row, column)


def matmul_extent(spec: MatmulSpec) -> Extent:
    """What the blocking of a matrix product depends on."""
    return Extent(
        images=product(spec.batch), rows=spec.rows, columns=1, groups=1, outputs=spec.outputs, runs=1,
        run_length=spec.reduction, pixel_bytes=4 * spec.left.row,
    )  # fmt: skip


def generate_matmul(spec: MatmulSpec, isa: Isa, blocking: Blocking | None = None) -> KernelSource:
    """A kernel for `spec`, cut as `blocking` says or else by rule."""
    extent = matmul_extent(spec)
    # Panels outermost: then each panel of each matrix is packed once by each thread that needs it.
    blocking = replace(blocking or choose_blocking(extent, isa), panels_first=True)
    parameters = Parameters()
    c, width = parameters.c, blocking.vectors * isa.lanes
    direct = isinstance(spec.rows, int) and spec.rows <= _DIRECT_ROWS and spec.right.column == 1
    source = Source(
        inputs=f"""left = input + row * {c(spec.left.row)};
{{
  int64_t rest = image;
{batch_offset(spec.batch, spec.left.batch, "left", parameters)}
}}""",
        panel=f"""right = weights + channel * {c(spec.right.column)};
{{
  int64_t rest = image;
{batch_offset(spec.batch, spec.right.batch, "right", parameters)}
}}
{f"right_step = {c(spec.right.row)};" if direct else ""}
if ({f"valid < {width}" if direct else "1"}) {{
  KERNEL_NAME_pack(right, packed, {c(spec.reduction)}, valid, {c(spec.right.row)}, {c(spec.right.column)});
  right = packed, right_step = {width};
}}""",
        helpers=_pack_function(spec, width),
        strided=direct,
    )
    steps = Steps(row=spec.left.row, column=0, run="0", element=spec.left.column)
    contraction = Contraction(
        "matmul", extent, blocking, steps, source, spec.epilogue, packed_elements=spec.reduction * width
    )
    return contraction_source(contraction, isa, parameters)


def batch_offset(batch: tuple[Dim, ...], strides: tuple[Dim, ...], pointer: str, parameters: Parameters) -> str:
    """Advances `pointer` to matrix `rest` of the batch."""
    lines = []
    for dim, stride in zip(reversed(batch), reversed(strides), strict=True):
        extent = parameters.c(dim)
        lines.append(f"  {pointer} += rest % {extent} * {parameters.c(stride)}, rest /= {extent};")
    return "\n".join(lines)


def _pack_function(spec: MatmulSpec, width: int) -> str:
    """Copies `columns` columns of a matrix into rows of one panel width, zeros behind them."""
    if spec.right.column == 1:
        body = f"""
  for (int64_t k = 0; k < reduction; k++, to += {width}, from += row_step) {{
    if (columns == {width}) {{
      for (int64_t j = 0; j < {width}; j += MM_LANES) mm_store(to + j, mm_load(from + j));
    }} else {{
      for (int64_t j = 0; j < {width}; j++) to[j] = j < columns ? from[j] : 0;
    }}
  }}"""
    else:
        body = f"""
  for (int64_t j = 0; j < {width}; j++)
    for (int64_t k = 0; k < reduction; k++)
      to[k * {width} + j] = j < columns ? from[j * column_step + k * row_step] : 0;"""
    return f"""
static void KERNEL_NAME_pack(const float* from, float* restrict to, int64_t reduction, int64_t columns,
                             int64_t row_step, int64_t column_step) {{{body}
}}
"""
