"""C of a contraction with packed weights: the loops that walk a task's panels, pieces of the reduction and tiles."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim, ceildiv

from .blocking import Blocking, Extent, assumed_sizes, divide_up
from .expression import Epilogue
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .operations import C_TYPES
from .register_tile import FLOATS, Arithmetic, Steps, TileSpec, TileWriter, ahead_step

_AT_ONCE_BYTES = 64 << 10  # weights up to here are read in a moment: nothing is worth prefetching


@dataclass(frozen=True)
class Source:
    """C that finds the operand of a task. Both run where `image`, `row` (its first), `rows` (their count), `group` and
    `panel` are declared; `input` and `weights` are the operands as they were passed, `strip` and `packed` are scratch.

    `inputs` sets `left` to the element that the task's first pixel starts at; it runs where the image or
    the rows change. `panel` sets `right` to the panel of weights, and, if `strided`, `right_step` to
    the distance of its rows. `helpers` are functions they call. `panels_follow` says that panels lie one behind the
    other in memory, so that what comes next can be prefetched.
    """

    inputs: str
    panel: str
    helpers: str = ""
    strided: bool = False
    panels_follow: bool = False


@dataclass(frozen=True)
class Placement:
    """Where pixels lie in the output: elements from one image, row and column to the next, and where the first is."""

    image: Dim
    row: Dim
    column: Dim
    start: Dim = 0


@dataclass(frozen=True)
class Contraction:
    """All that a contraction's code is written from; `strip_elements` and `packed_elements` are scratch of `source`.

    Without a `placement` the output holds the pixels and nothing else, in their order. Sizes of what is read count
    elements of `arithmetic`, four bytes each. The operands are passed as pointers to these.
    """

    kind: str
    extent: Extent
    blocking: Blocking
    steps: Steps
    source: Source
    epilogue: Epilogue
    strip_elements: Dim = 0
    packed_elements: Dim = 0
    arithmetic: Arithmetic = FLOATS
    placement: Placement | None = None


def contraction_source(contraction: Contraction, isa: Isa, parameters: Parameters) -> KernelSource:
    """The kernel: tasks are (panel, image, block of rows), ordered as the blocking says."""
    extent, blocking = contraction.extent, contraction.blocking
    writer = _Writer(contraction, isa, parameters)
    blocks = ceildiv(extent.rows, blocking.block_rows)
    panels = extent.groups * ceildiv(extent.outputs, writer.width)
    tiles = "\n".join(map(writer.tile.function, writer.tile_pixels()))
    code = f"{LEAST}\n{contraction.source.helpers}\n{tiles}\n{writer.driver(blocks, panels)}"
    return kernel_source(
        contraction.kind,
        code,
        tasks=extent.images * blocks * panels,
        scratch_bytes=4 * (writer.partial_elements() + contraction.packed_elements + contraction.strip_elements),
        params=tuple(parameters.dims),
        note=blocking.note,
        in_place=contraction.epilogue.tensor_positions(2),
    )


class _Writer:
    def __init__(self, contraction: Contraction, isa: Isa, parameters: Parameters) -> None:
        self.contraction, self.extent, self.blocking = contraction, contraction.extent, contraction.blocking
        self.c = parameters.c
        pixel = self.extent.groups * self.extent.outputs
        row = self.extent.columns * pixel
        self.placement = contraction.placement or Placement(self.extent.rows * row, row, pixel)
        spec = TileSpec(
            vectors=self.blocking.vectors,
            columns=0 if self.blocking.column_tiles else max(self._known_columns(), 1),
            outputs=self.extent.outputs,
            output_step=self.placement.column,
            steps=contraction.steps,
            epilogue=contraction.epilogue,
            strided=contraction.source.strided,
            arithmetic=contraction.arithmetic,
            output_row=None if contraction.placement is None else contraction.placement.row,
            ahead_step=self._ahead_step(isa),
        )
        self.tile = TileWriter(spec, isa, parameters)
        self.width = self.tile.width

    def tile_pixels(self) -> list[int]:
        """Sizes of the register tiles that the driver uses, in pixels."""
        if self.blocking.column_tiles:
            return sorted(set(self.blocking.column_tiles))
        columns = self._known_columns()
        return [rows * columns for rows in dict.fromkeys((self.blocking.tile_rows, *self.blocking.tail_rows))]

    def _ahead_step(self, isa: Isa) -> int:
        """How tiles prefetch the weights of the next piece or panel; 0 where they do not."""
        blocking, outputs = self.blocking, self.extent.outputs
        _, _, length = assumed_sizes(self.extent)
        if not self.contraction.source.panels_follow or not isinstance(outputs, int):
            return 0
        if 4 * self.extent.groups * outputs * self.extent.runs * length <= _AT_ONCE_BYTES:
            return 0
        tiles = blocking.block_rows * len(blocking.column_tiles) or divide_up(blocking.block_rows, blocking.tile_rows)
        return ahead_step(blocking.vectors * isa.lanes, tiles, max(self.tile_pixels()))

    def _known_columns(self) -> int:
        """Columns where tiles hold whole rows."""
        assert isinstance(self.extent.columns, int)
        return self.extent.columns

    def partial_elements(self) -> Dim:
        """Scratch for accumulators between pieces of the reduction."""
        blocking = self.blocking
        if blocking.piece_length is None and blocking.piece_runs == self.extent.runs:
            return 0
        columns = self.extent.columns
        return (max(columns, 1) if isinstance(columns, int) else columns) * (blocking.block_rows * self.width)

    def driver(self, blocks: Dim, panels: Dim) -> str:
        """The kernel function."""
        extent, blocking, c = self.extent, self.blocking, self.c
        contraction, epilogue = self.contraction, self.contraction.epilogue
        place, units = self.placement, extent.images * blocks
        if blocking.panels_first:
            split = "const int64_t panel = task / units, unit = task % units;"
        else:
            split = "const int64_t unit = task / panels, panel = task % panels;"
        extras = "\n".join(
            f"  const {C_TYPES[dtype]}* {name} = call->data[{2 + i}];"
            for i, (name, dtype) in enumerate(zip(_extra_names(epilogue), epilogue.input_dtypes[1:], strict=True))
        )
        element, result = contraction.arithmetic.element, C_TYPES[epilogue.result_dtype]
        length = c(extent.run_length)
        piece = str(blocking.piece_length) if blocking.piece_length is not None else length
        return f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const {element}* input = call->data[0];
  const {element}* weights = call->data[1];
{extras}
  {result}* outputs = call->data[call->n_inputs];
  {element}* partials = scratch;
  {element}* packed = partials + {c(self.partial_elements())};
  {element}* strip = packed + {c(contraction.packed_elements)};
  const int64_t blocks = {c(blocks)}, units = {c(units)}, panels = {c(panels)}, group_panels = panels / {extent.groups};
  const int64_t high = {c(ceildiv(extent.rows, blocking.tile_rows))};  /* tiles above each other, in all blocks */
  const int64_t run_length = {length}, piece = {piece}, output_step = {c(place.column)};
  const {element}* left = input;
  const {element}* right = weights;
  int64_t right_step = {self.width};
  int64_t at_unit = -1, at_panel = -1, at_image = -1;
  (void)units, (void)strip, (void)packed, (void)at_image;
  for (int64_t task = begin; task < end; task++) {{
    {split}
    const int64_t image = unit / blocks, block = unit % blocks;
    const int64_t row = block * high / blocks * {blocking.tile_rows};
    const int64_t rows = mm_least((block + 1) * high / blocks * {blocking.tile_rows}, {c(extent.rows)}) - row;
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
    const int64_t origin = {c(place.start)} + image * {c(place.image)} + row * {c(place.row)} + first_output;
    for (int64_t run = 0; run < {extent.runs}; run += {blocking.piece_runs}) {{
      const int64_t run_end = mm_least(run + {blocking.piece_runs}, {extent.runs});
      int64_t start = 0;
      do {{
        const int64_t stop = mm_least(start + piece, run_length);
        const {element}* x = left + group * {contraction.steps.group};
        const {element}* w = right + (run * run_length + start) * right_step;
        const int first = run == 0 && start == 0, last = run_end == {extent.runs} && stop == run_length;
{_indent(self._ahead(), 8)}
{_indent(self._tiles(), 8)}
        start = stop;
      }} while (start < run_length);
    }}
  }}
}}
"""

    def _ahead(self) -> str:
        """Declares where the first tile begins to prefetch, and how much each one does."""
        step = self.tile.spec.ahead_step
        if not step:
            return ""
        return f"""const int64_t depth = (run_end - run) * (stop - start), ahead_tile = depth * {step};
const char* ahead = (const char*)(w + depth * right_step);"""

    def _tiles(self) -> str:
        """Calls of the tile functions for all pixels of the task."""
        row, column_tiles = self.c(self.contraction.steps.row), self.blocking.column_tiles
        ahead = ", ahead += ahead_tile" if self.tile.spec.ahead_step else ""
        if column_tiles:
            lines, stop = ["for (int64_t r = 0; r < rows; r++) {", "  int64_t column = 0;"], self.extent.columns
            for size in sorted(set(column_tiles), reverse=True):
                if isinstance(self.extent.columns, int):
                    stop = sum(tile for tile in column_tiles if tile >= size)
                call = self._call(size, "column", f"r * {row} + column * {self.contraction.steps.column}")
                lines += [f"  for (; column + {size} <= {self.c(stop)}; column += {size}{ahead})", f"    {call}"]
            return "\n".join([*lines, "}"])
        tile_rows, tail_rows = self.blocking.tile_rows, self.blocking.tail_rows
        kept = sum(tail_rows) if isinstance(self.extent.rows, int) else 0
        lines = [f"const int64_t whole = rows % {tile_rows} ? rows - {kept} : rows;", "int64_t r = 0;"]
        for height, end in ((tile_rows, "whole"), *((height, "rows") for height in dict.fromkeys(tail_rows))):
            call = self._call(height * self._known_columns(), "0", f"r * {row}")
            lines += [f"for (; r + {height} <= {end}; r += {height}{ahead})", f"  {call}"]
        return "\n".join(lines)

    def _call(self, pixels: int, column: str, offset: str) -> str:
        """A call of the tile that begins in row `r` at a column."""
        pixel = f"(r * {self.c(self.extent.columns)} + {column})"
        partial = f"partials + {pixel} * {self.width}" if self.partial_elements() else "partials"
        out = f"origin + r * {self.c(self.placement.row)} + {column} * output_step"
        epilogue = self.contraction.epilogue
        names = _extra_names(epilogue)
        extra = [f"{name} + first_output" for name in names[: epilogue.channel_inputs]]
        extra += [f"{name} + {out}" for name in names[epilogue.channel_inputs :]]
        return self.tile.call(pixels, f"x + {offset}", partial, f"outputs + {out}", extra)


def _extra_names(epilogue: Epilogue) -> list[str]:
    """C names of the epilogue's inputs, as they were passed."""
    channels = [f"channels{i}" for i in range(epilogue.channel_inputs)]
    return channels + [f"tensors{i}" for i in range(epilogue.tensor_inputs)]


def _indent(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())
