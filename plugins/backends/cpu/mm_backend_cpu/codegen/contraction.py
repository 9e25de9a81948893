"""C of a contraction with packed weights: register tiles, and the loops that walk a task's panels, pieces and tiles."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim, ceildiv

from .blocking import Blocking, Extent
from .expression import Epilogue
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source

# Epilogues of up to so many of these operations are written out for every vector of a tile.
_UNROLLED_NODES = 4
_SHORT = frozenset({"add", "sub", "mul", "neg", "abs", "relu", "clip", "leaky_relu", "maximum", "minimum", "identity"})

NO_EPILOGUE = Epilogue()
"""Stores the sums as they are."""


@dataclass(frozen=True)
class Source:
    """C that finds the operand of a task. Both run where `image`, `row` (its first), `rows` (their count), `group` and
    `panel` are declared; `input` and `weights` are the operands as they were passed, `strip` and `packed` are scratch.

    `inputs` sets `const float* left` to the element that the task's first pixel starts at; it runs where the image or
    the rows change. `panel` sets `const float* right` to the panel of weights, and, if `strided`, `right_step` to
    the distance of its rows. `helpers` are functions they call.
    """

    inputs: str
    panel: str
    helpers: str = ""
    strided: bool = False


@dataclass(frozen=True)
class Steps:
    """Distances between elements of the left operand, in elements; `run` is a C expression in `run`."""

    row: Dim
    column: int
    run: str
    element: Dim = 1
    group: int = 0


@dataclass(frozen=True)
class Contraction:
    """All that a contraction's code is written from; `strip_elements` and `packed_elements` are scratch of `source`."""

    kind: str
    extent: Extent
    blocking: Blocking
    steps: Steps
    source: Source
    epilogue: Epilogue
    strip_elements: Dim = 0
    packed_elements: Dim = 0


def contraction_source(contraction: Contraction, isa: Isa, parameters: Parameters) -> KernelSource:
    """The kernel: tasks are (panel, image, block of rows), ordered as the blocking says."""
    extent, blocking = contraction.extent, contraction.blocking
    writer = _Writer(contraction, isa, parameters)
    blocks = ceildiv(extent.rows, blocking.block_rows)
    panels = extent.groups * ceildiv(extent.outputs, writer.width)
    tiles = "\n".join(writer.tile(pixels) for pixels in writer.tile_pixels())
    code = f"{LEAST}\n{contraction.source.helpers}\n{tiles}\n{writer.driver(blocks, panels)}"
    return kernel_source(
        contraction.kind,
        code,
        tasks=extent.images * blocks * panels,
        scratch_bytes=4 * (writer.partial_elements() + contraction.packed_elements + contraction.strip_elements),
        params=tuple(parameters.dims),
        note=blocking.note,
    )


class _Writer:
    def __init__(self, contraction: Contraction, isa: Isa, parameters: Parameters) -> None:
        self.contraction, self.extent, self.blocking = contraction, contraction.extent, contraction.blocking
        self.isa, self.c = isa, parameters.c
        self.vectors = self.blocking.vectors
        self.width = self.vectors * isa.lanes
        self.row_length = self.extent.groups * self.extent.outputs  # of the output, in elements
        epilogue = contraction.epilogue
        self.channel_names = [f"channel{i}" for i in range(epilogue.channel_inputs)]
        self.tensor_names = [f"tensor{i}" for i in range(epilogue.tensor_inputs)]

    # ---- a register tile ----------------------------------------------------------------------------------------

    def tile_pixels(self) -> list[int]:
        """Sizes of the register tiles that the driver uses, in pixels."""
        if self.blocking.column_tiles:
            return sorted(set(self.blocking.column_tiles))
        return [rows * self.extent.columns for rows in (self.blocking.tile_rows, *self.blocking.tail_rows)]

    def tile(self, pixels: int) -> str:
        """A function that adds one piece of the reduction to a tile, and on the last piece stores it."""
        steps = self.contraction.steps
        accumulators = [[f"a{pixel}_{vector}" for vector in range(self.vectors)] for pixel in range(pixels)]
        names = [name for row in accumulators for name in row]
        flat = [(name, index * self.isa.lanes) for index, name in enumerate(names)]
        element = self.c(steps.element)
        w_step = "w_step" if self.contraction.source.strided else str(self.width)
        body = []
        for pixel, row in enumerate(accumulators):
            body.append(f"const float x{pixel} = x[{self._input_offset(pixel)}];")
            body += [f"{name} += x{pixel} * w{vector};" for vector, name in enumerate(row)]
        loads = " ".join(f"const mm_vf w{v} = mm_load(w + {v * self.isa.lanes});" for v in range(self.vectors))
        pointers = "".join(f", const float* {name}" for name in (*self.channel_names, *self.tensor_names))
        return f"""
static __attribute__((noinline)) void KERNEL_NAME_tile{pixels}(
    const mm_call* call, const float* left, const float* w, float* partial, int64_t run, int64_t run_end, int64_t start,
    int64_t end, int64_t w_step, int first, int last, int64_t valid, float* output{pointers}) {{
  const int64_t row_step = {self.c(steps.row)}, output_step = {self.c(self.row_length)};
  mm_vf {", ".join(names)};
  if (first) {{
    {" = ".join(names)} = (mm_vf){{0}};
  }} else {{
    {" ".join(f"{name} = mm_load(partial + {offset});" for name, offset in flat)}
  }}
  for (; run < run_end; run++) {{
    const float* x = left + ({steps.run}) + start * {element};
    for (int64_t k = start; k < end; k++, x += {element}, w += {w_step}) {{
      {loads}
      {" ".join(body)}
    }}
  }}
  if (!last) {{
    {" ".join(f"mm_store(partial + {offset}, {name});" for name, offset in flat)}
    return;
  }}
{self._store(accumulators)}
}}
"""

    def _input_offset(self, pixel: int) -> str:
        steps = self.contraction.steps
        row, column = divmod(pixel, max(self.extent.columns, 1)) if not self.blocking.column_tiles else (0, pixel)
        if isinstance(steps.row, int):
            return str(row * steps.row + column * steps.column)
        return f"{row} * row_step + {column * steps.column}"

    def _store(self, accumulators: list[list[str]]) -> str:
        """The epilogue, written out where it is small and the count of outputs is one known while generating."""
        epilogue, outputs = self.contraction.epilogue, self.extent.outputs
        forms = []
        if len(epilogue.expression) <= _UNROLLED_NODES and all(node.op in _SHORT for node in epilogue.expression):
            counts = [self.width] if not isinstance(outputs, int) or outputs >= self.width else []
            if isinstance(outputs, int) and outputs % self.width:
                counts.append(outputs % self.width)
            forms = [
                f"  if (valid == {count}) {{\n{self._store_unrolled(accumulators, count)}\n    return;\n  }}"
                for count in counts
            ]
            if isinstance(outputs, int):
                return "\n".join(forms)
        return "\n".join((*forms, self._store_loop(accumulators)))

    def _store_unrolled(self, accumulators: list[list[str]], count: int) -> str:
        lanes, lines = self.isa.lanes, []
        vectors = [(v, min(lanes, count - v * lanes)) for v in range(-(-count // lanes))]
        for vector, valid in vectors:
            for name in self.channel_names:
                lines.append(f"const mm_vf {name}_{vector} = {_load(f'{name} + {vector * lanes}', valid, lanes)};")
        for pixel, row in enumerate(accumulators):
            for vector, valid in vectors:
                offset = f"{pixel} * output_step + {vector * lanes}"
                inputs = [row[vector], *(f"{name}_{vector}" for name in self.channel_names)]
                loads = []
                for name in self.tensor_names:
                    loads.append(f"const mm_vf {name}_v = {_load(f'{name} + {offset}', valid, lanes)};")
                    inputs.append(f"{name}_v")
                statements, result = self.contraction.epilogue.emit(inputs)
                store = (
                    f"mm_store(output + {offset}, {result});"
                    if valid == lanes
                    else f"mm_store_tail(output + {offset}, {result}, {valid});"
                )
                lines.append(f"{{ {' '.join(loads)} {statements} {store} }}")
        return "\n".join(f"    {line}" for line in lines)

    def _store_loop(self, accumulators: list[list[str]]) -> str:
        """Over vectors in memory, so that a long epilogue is compiled once a tile and not once a vector."""
        lanes = self.isa.lanes
        offsets = {**dict.fromkeys(self.channel_names, "v"), **dict.fromkeys(self.tensor_names, "at")}
        statements, result = self.contraction.epilogue.emit(["a", *(f"{name}_v" for name in offsets)])

        def step(load: str, store: str) -> str:
            loads = [f"const mm_vf {name}_v = {load.format(f'{name} + {at}')};" for name, at in offsets.items()]
            return f"{' '.join(loads)} {statements} {store.format('output + at', result)};"

        return f"""
  mm_vf tile[] = {{{", ".join(name for row in accumulators for name in row)}}};
  for (int64_t p = 0; p < {len(accumulators)}; p++) {{
    for (int64_t v = 0; v < {self.width} && v < valid; v += {lanes}) {{
      const mm_vf a = tile[p * {self.vectors} + v / {lanes}];
      const int64_t at = p * output_step + v, count = valid - v;
      if (count >= {lanes}) {{
        {step("mm_load({})", "mm_store({}, {})")}
      }} else {{
        {step("mm_load_tail({}, count)", "mm_store_tail({}, {}, count)")}
      }}
    }}
  }}"""

    # ---- the loops of a task ------------------------------------------------------------------------------------

    def partial_elements(self) -> int:
        """Scratch for accumulators between pieces of the reduction."""
        blocking = self.blocking
        if blocking.piece_length is None and blocking.piece_runs == self.extent.runs:
            return 0
        return blocking.block_rows * max(self.extent.columns, 1) * self.width

    def driver(self, blocks: Dim, panels: Dim) -> str:
        """The kernel function."""
        extent, blocking, c = self.extent, self.blocking, self.c
        contraction, epilogue = self.contraction, self.contraction.epilogue
        units = extent.images * blocks
        if blocking.panels_first:
            split = "const int64_t panel = task / units, unit = task % units;"
        else:
            split = "const int64_t unit = task / panels, panel = task % panels;"
        partial = self.partial_elements()
        channels = "\n".join(
            f"  const float* channels{i} = call->data[{2 + i}];" for i in range(epilogue.channel_inputs)
        )
        tensors = "\n".join(
            f"  const float* tensors{i} = call->data[{2 + epilogue.channel_inputs + i}];"
            for i in range(epilogue.tensor_inputs)
        )
        length = c(extent.run_length)
        piece = str(blocking.piece_length) if blocking.piece_length is not None else length
        return f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* input = call->data[0];
  const float* weights = call->data[1];
{channels}
{tensors}
  float* outputs = call->data[call->n_inputs];
  float* partials = scratch;
  float* packed = partials + {partial};
  float* strip = packed + {c(contraction.packed_elements)};
  const int64_t blocks = {c(blocks)}, units = {c(units)}, panels = {c(panels)}, group_panels = panels / {extent.groups};
  const int64_t run_length = {length}, piece = {piece}, output_step = {c(self.row_length)};
  const float* left = input;
  const float* right = weights;
  int64_t right_step = {self.width};
  int64_t at_unit = -1, at_panel = -1, at_image = -1;
  (void)units, (void)strip, (void)packed, (void)at_image;
  for (int64_t task = begin; task < end; task++) {{
    {split}
    const int64_t image = unit / blocks, row = unit % blocks * {blocking.block_rows};
    const int64_t rows = mm_least({c(extent.rows)} - row, {blocking.block_rows});
    const int64_t group = panel / group_panels, channel = panel % group_panels * {self.width};
    const int64_t valid = mm_least({c(extent.outputs)} - channel, {self.width});
    if (unit != at_unit) {{
{_indent(contraction.source.inputs, 6)}
    }}
    if (panel != at_panel || image != at_image) {{
{_indent(contraction.source.panel, 6)}
    }}
    at_unit = unit, at_panel = panel, at_image = image;
    const int64_t first_output = group * {c(extent.outputs)} + channel;
    const int64_t origin = (image * {c(extent.rows)} + row) * {extent.columns} * output_step + first_output;
    for (int64_t run = 0; run < {extent.runs}; run += {blocking.piece_runs}) {{
      const int64_t run_end = mm_least(run + {blocking.piece_runs}, {extent.runs});
      int64_t start = 0;
      do {{
        const int64_t stop = mm_least(start + piece, run_length);
        const float* x = left + group * {contraction.steps.group};
        const float* w = right + (run * run_length + start) * right_step;
        const int first = run == 0 && start == 0, last = run_end == {extent.runs} && stop == run_length;
{_indent(self._tiles(), 8)}
        start = stop;
      }} while (start < run_length);
    }}
  }}
}}
"""

    def _tiles(self) -> str:
        """Calls of the tile functions for all pixels of the task."""
        columns, steps = self.extent.columns, self.contraction.steps
        if self.blocking.column_tiles:
            lines, column = ["for (int64_t r = 0; r < rows; r++) {"], 0
            for size in sorted(set(self.blocking.column_tiles), reverse=True):
                stop = column + size * self.blocking.column_tiles.count(size)
                offset = f"r * {self.c(steps.row)} + column * {steps.column}"
                lines += [
                    f"  for (int64_t column = {column}; column < {stop}; column += {size})",
                    f"    {self._call(size, f'r * {columns} + column', offset)}",
                ]
                column = stop
            return "\n".join([*lines, "}"])
        lines = ["int64_t r = 0;"]
        for height in (self.blocking.tile_rows, *self.blocking.tail_rows):
            lines += [
                f"for (; r + {height} <= rows; r += {height})",
                f"  {self._call(height * columns, f'r * {columns}', f'r * {self.c(steps.row)}')}",
            ]
        return "\n".join(lines)

    def _call(self, pixels: int, pixel: str, offset: str) -> str:
        partial = f"partials + ({pixel}) * {self.width}" if self.partial_elements() else "partials"
        out = f"origin + ({pixel}) * output_step"
        extra = [f"channels{i} + first_output" for i in range(len(self.channel_names))]
        extra += [f"tensors{i} + {out}" for i in range(len(self.tensor_names))]
        arguments = [
            "call", f"x + {offset}", "w", partial, "run", "run_end", "start", "stop", "right_step", "first", "last",
            "valid", f"outputs + {out}", *extra,
        ]  # fmt: skip
        return f"KERNEL_NAME_tile{pixels}({', '.join(arguments)});"


def _load(address: str, valid: int, lanes: int) -> str:
    return f"mm_load({address})" if valid == lanes else f"mm_load_tail({address}, {valid})"


def _indent(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())
