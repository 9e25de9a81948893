"""Products with weights of few bits: streamed once for few rows, as in decoding; unpacked panel by panel for many.

A few rows are memory's affair: codes become numbers in registers, and their sums are scaled once a block. For
more rows a panel is unpacked into scratch, where the register tiles of `contraction` read it as often as they need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mm_core.types import Dim

from .blocking import Extent, choose_blocking
from .codes import READERS, CodeFormat, CodeReader
from .contraction import Contraction, Source, contraction_source
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, Parameters, kernel_source
from .register_tile import NO_EPILOGUE, Steps, TileSpec, TileWriter

FEW_ROWS = 8
"""Up to so many rows the weights are read without unpacking them first."""
_TILE_ROWS = 4  # rows that are computed side by side; a panel is still in cache for those that follow


@dataclass(frozen=True)
class CodedGemmSpec:
    """output[m, n] = epilogue(sum over k of left[m, k] * weights[k, n]), float32, `left` dense.

    The kernel's inputs are left, the packed weights and those of the epilogue.
    """

    rows: Dim
    weights: CodeFormat
    epilogue: Epilogue = NO_EPILOGUE


@dataclass(frozen=True)
class CodedGemmKernel:
    """A kernel and the width of the panels in which it reads its weights."""

    source: KernelSource
    width: int


def generate_coded_gemm(spec: CodedGemmSpec, isa: Isa) -> CodedGemmKernel:
    """A kernel for `spec`; where the rows are known only at run time it does both, and chooses when it runs."""
    layout = spec.weights
    extent = Extent(
        images=1, rows=spec.rows, columns=1, groups=1, outputs=layout.outputs, runs=1, run_length=layout.reduction,
        input_row_bytes=4 * layout.reduction, pixel_bytes=4 * layout.reduction,
    )  # fmt: skip
    # Panels outermost: each is unpacked once by each thread that needs it.
    blocking = replace(choose_blocking(extent, isa), panels_first=True)
    vectors = blocking.vectors
    few = isinstance(spec.rows, int) and spec.rows <= FEW_ROWS
    parameters = Parameters()
    reader = CodeReader(layout, isa, vectors)
    many = None
    if not few:
        words = layout.panel_words(reader.width)
        source = Source(
            inputs=f"left = input + row * {layout.reduction};",
            panel=f"KERNEL_NAME_unpack((const uint32_t*)weights + panel * {words}, packed); right = packed;",
            helpers=reader.unpack(),
        )
        steps = Steps(row=layout.reduction, column=0, run="0")
        contraction = Contraction(
            "coded_gemm", extent, blocking, steps, source, spec.epilogue,
            packed_elements=layout.reduction * reader.width,
        )  # fmt: skip
        many = contraction_source(contraction, isa, parameters)
    if isinstance(spec.rows, int) and many is not None:
        return CodedGemmKernel(many, reader.width)
    return CodedGemmKernel(_Writer(spec, reader, isa, parameters).kernel(many), reader.width)


class _Writer:
    """Text of the kernel for few rows. A task is one panel."""

    def __init__(self, spec: CodedGemmSpec, reader: CodeReader, isa: Isa, parameters: Parameters) -> None:
        self.spec, self.reader, self.parameters = spec, reader, parameters
        layout = spec.weights
        tile = TileSpec(
            vectors=reader.vectors, columns=1, outputs=layout.outputs, output_step=layout.outputs,
            steps=Steps(row=layout.reduction, column=0, run="0"), epilogue=spec.epilogue,
        )  # fmt: skip
        self.tile = TileWriter(tile, isa, parameters)

    def kernel(self, many: KernelSource | None) -> KernelSource:
        """The kernel; more rows are left to `many`, whose tasks are the panels too where the rows are few."""
        spec, layout, width = self.spec, self.spec.weights, self.reader.width
        panels = -(-layout.outputs // width)
        if isinstance(spec.rows, int):
            heights = sorted({min(_TILE_ROWS, spec.rows - row) for row in range(0, spec.rows, _TILE_ROWS)})
        else:
            heights = list(range(1, _TILE_ROWS + 1))
        epilogue = spec.epilogue
        places = ["channel"] * epilogue.channel_inputs + ["at"] * epilogue.tensor_inputs
        extra = "".join(f", (const float*)call->data[{2 + i}] + {place}" for i, place in enumerate(places))
        calls = "\n      ".join(
            f"if (height == {height}) KERNEL_NAME_rows{height}(call, left + row * {layout.reduction}, "
            f"weights + panel * {layout.panel_words(width)}, valid, output + at{extra});"
            for height in heights
        )
        code = f"""{READERS if many is None else many.code}
{"".join(map(self.function, heights))}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t rows = {self.parameters.c(spec.rows)};
  {f"if (rows > {FEW_ROWS}) {{ {many.symbol}(call, begin, end, scratch); return; }}" if many else ""}
  const float* left = call->data[0];
  const uint32_t* weights = call->data[1];
  float* output = call->data[call->n_inputs];
  for (int64_t panel = begin; panel < end; panel++) {{
    const int64_t channel = panel * {width};
    const int64_t valid = {layout.outputs} - channel < {width} ? {layout.outputs} - channel : {width};
    for (int64_t row = 0; row < rows; row += {_TILE_ROWS}) {{
      const int64_t height = rows - row < {_TILE_ROWS} ? rows - row : {_TILE_ROWS};
      const int64_t at = row * {layout.outputs} + channel;
      {calls}
    }}
  }}
}}
"""
        return kernel_source(
            "coded_gemv",
            code,
            tasks=many.tasks if many else panels if spec.rows else 0,
            scratch_bytes=many.scratch_bytes if many else 0,
            params=tuple(self.parameters.dims),
            note=f"{layout.bits}-bit weights, {width} outputs a task" + (f", or {many.note}" if many else ""),
        )

    def function(self, rows: int) -> str:
        """A function that computes `rows` rows of one panel's outputs."""
        layout, vectors = self.spec.weights, range(self.reader.vectors)
        # One row gives too few sums to hide the latency of a multiply-add.
        parts = 2 if rows == 1 else 1
        totals = [[f"a{r}_{v}" for v in vectors] for r in range(rows)]
        sums = [[[f"s{r}_{v}_{part}" for part in range(parts)] for v in vectors] for r in range(rows)]
        names = [name for row in sums for vector in row for name in vector]
        step = []
        for place in range(layout.codes_in_word):
            numbers = " ".join(f"const mm_vf n{v} = {self.reader.number(v, place)};" for v in vectors)
            products = " ".join(
                f"{sums[r][v][place % parts]} += x[{r * layout.reduction} + k + {place}] * n{v};"
                for r in range(rows)
                for v in vectors
            )
            step.append(f"{{ {numbers} {products} }}")
        finish = " ".join(
            f"{totals[r][v]} += ({' + '.join(sums[r][v])}) * scale{v};" for r in range(rows) for v in vectors
        )
        newline = "\n      "
        walk = self.reader.walk(f"mm_vf {', '.join(f'{name} = {{0}}' for name in names)};", newline.join(step), finish)
        pointers = "".join(f", const float* {name}" for name in (*self.tile.channel_names, *self.tile.tensor_names))
        return f"""
static __attribute__((noinline)) void KERNEL_NAME_rows{rows}(
    const mm_call* call, const float* x, const uint32_t* at, int64_t valid, float* output{pointers}) {{
  const int64_t output_step = {layout.outputs};
  mm_vf {", ".join(f"{name} = {{0}}" for row in totals for name in row)};
  {walk}
{self.tile.store(totals)}
}}
"""
