"""Depthwise convolution with the 1x1 convolution before it, the one behind it, or both, in strips of output rows.

The image in the middle, which may be several times as large as what enters and leaves, never reaches memory. A task is
a few output rows; the rows under its window are expanded into a ring of rows in scratch, which each thread has:

    for each task (image, rows):
        for each panel of the widened channels:
            expand what the ring lacks of the rows under the window      [pixels, channels] @ [channels, panel]
            filter the window's rows into scratch                        depthwise
        project them                                                     [pixels, widened] @ [widened, outputs]

Tasks that follow each other in one thread find what their windows share in the ring, so that only at the border of two
threads rows are expanded twice. Padding belongs to the expanded image: what lies outside is left out by the depthwise
tiles and never expanded. Every stage has its epilogue. Without the first the window reads the image itself; without the
last the depthwise tiles write the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from mm_core.errors import CompileError
from mm_core.types import Dim

from .blocking import Extent, TileShape, divide_up, equal_pieces
from .conv import ConvSpec
from .conv_depthwise import DepthwiseLayout, DepthwiseWriter, is_depthwise
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .pack import PanelLayout
from .register_tile import Steps, TileSpec, TileWriter

_LINE = 16  # float32 elements of a cache line
_PANEL_VECTORS = 2  # of channels that are filtered at a time, where there is no expansion to say it


def strips_refusal(stages: Sequence[ConvSpec]) -> str:
    """Why these convolutions, one reading the other, are not computed in strips; empty if they are."""
    depthwise = [index for index, stage in enumerate(stages) if is_depthwise(stage)]
    products = [stage for stage in stages if not is_depthwise(stage)]
    if len(depthwise) != 1 or not 2 <= len(stages) <= 3 or (len(stages) == 3 and depthwise != [1]):
        return "they are not a depthwise one beside others"
    if not all(product.is_pointwise and product.groups == 1 for product in products):
        return "one beside the depthwise one is not 1x1 over all channels"
    if any(stage.epilogue.tensor_inputs for stage in stages[:-1]):
        return "a tensor joins between them"
    if any(stage.bytes or set(stage.epilogue.input_dtypes) != {"f32"} for stage in stages):
        return "they are not of float32"
    if not all(stage.has_known_size and stage.depth.is_flat and stage.placement is None for stage in stages):
        return "they are of volumes, or of images whose size only running tells"
    for before, after in pairwise(stages):
        given = before.images, before.outputs, before.output_height, before.output_width
        if given != (after.images, after.channels, after.height, after.width):
            return "one does not read the one before it"
    return ""


@dataclass(frozen=True)
class InvertedResidualSpec:
    """A depthwise convolution between two 1x1 convolutions, of which one may be absent; each reads the one before it.

    The kernel's inputs are the images, the packed weights of all stages, and those of the epilogues, stage by stage.
    Only the last stage may read tensors of its result's shape.
    """

    stages: tuple[ConvSpec, ...]

    def __post_init__(self) -> None:
        if reason := strips_refusal(self.stages):
            raise CompileError(f"these convolutions are not computed in strips: {reason}")

    @property
    def depthwise(self) -> ConvSpec:
        """The depthwise convolution."""
        return next(filter(is_depthwise, self.stages))

    @property
    def expand(self) -> ConvSpec | None:
        """The 1x1 convolution before it."""
        return None if is_depthwise(self.stages[0]) else self.stages[0]

    @property
    def project(self) -> ConvSpec | None:
        """The 1x1 convolution behind it."""
        return None if is_depthwise(self.stages[-1]) else self.stages[-1]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the image that the window reads."""
        return _known(self.depthwise.height), _known(self.depthwise.width)

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        return _known(self.depthwise.output_height), _known(self.depthwise.output_width)

    def ring_rows(self, rows: int) -> int:
        """Expanded rows that a task of so many output rows reads."""
        window = (rows - 1) * self.depthwise.strides[0] + self.depthwise.window[0]
        return 0 if self.expand is None else min(window, self.size[0])

    def ring_elements(self, rows: int) -> int:
        """Elements of these."""
        return _whole_lines(self.ring_rows(rows) * self.size[1] * self.depthwise.channels)

    def filtered_elements(self, rows: int) -> int:
        """Elements of the output rows that a task hands to the projection."""
        return 0 if self.project is None else rows * self.output_size[1] * self.depthwise.outputs


def _known(size: Dim) -> int:
    """A size that `strips_refusal` has found to be known."""
    assert isinstance(size, int)
    return size


@dataclass(frozen=True)
class StripCut:
    """How the work is cut: output rows of a task, tiles of the products, pixels of a depthwise tile."""

    rows: int
    expand: TileShape | None
    project: TileShape | None
    pixels: int

    @property
    def note(self) -> str:
        """For example "4 rows a task, tiles 8 x 3 and 14 x 2"."""
        tiles = [f"{tile.pixels} x {tile.vectors}" for tile in (self.expand, self.project) if tile is not None]
        return f"{self.rows} rows a task, tiles {' and '.join(tiles)}"


@dataclass(frozen=True)
class InvertedResidualKernel:
    """A kernel and the layouts of its weights, which lie one behind the other, each from a cache line on."""

    source: KernelSource
    layouts: tuple[PanelLayout | DepthwiseLayout, ...]

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights of all stages."""
        return sum(_whole_lines(layout.elements) for layout in self.layouts)

    def pack(self, *weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack the weights of the stages, each [outputs, channels / groups, kernel height, kernel width]."""
        packed = np.zeros(self.packed_elements, np.float32)
        start = 0
        for layout, array in zip(self.layouts, weights, strict=True):
            if isinstance(layout, PanelLayout):
                array = array.reshape(1, *array.shape[:2]).transpose(0, 2, 1)
            packed[start : start + layout.elements] = layout.pack(array).reshape(-1)
            start += _whole_lines(layout.elements)
        return packed


def product_extent(stage: ConvSpec, pixels: int) -> Extent:
    """What the tiles of a 1x1 convolution depend on where they cover runs of so many pixels."""
    return Extent(
        images=1, rows=1, columns=pixels, groups=1, outputs=stage.outputs, runs=1, run_length=stage.channels,
        pixel_bytes=4 * stage.channels,
    )  # fmt: skip


def _whole_lines(elements: int) -> int:
    return divide_up(elements, _LINE) * _LINE


def generate_inverted_residual(spec: InvertedResidualSpec, isa: Isa, cut: StripCut) -> InvertedResidualKernel:
    """A kernel for `spec`, cut as `cut` says."""
    return _Writer(spec, isa, cut).kernel()


class _Writer:
    """`task_row` and `task_rows` are the first output row of a task and how many it has."""

    def __init__(self, spec: InvertedResidualSpec, isa: Isa, cut: StripCut) -> None:
        self.spec, self.cut = spec, cut
        self.depthwise = DepthwiseWriter(spec.depthwise, isa, cut.pixels, "KERNEL_NAME_depthwise")
        self.expand = _product(spec.expand, cut.expand, isa, "expand")
        self.project = _product(spec.project, cut.project, isa, "project")
        self.panel_width = _PANEL_VECTORS * isa.lanes
        self.layouts: dict[str, PanelLayout | DepthwiseLayout] = {"depthwise": self.depthwise.layout}
        if self.expand is not None:
            self.panel_width = self.expand.tile.width
            self.layouts = {"expand": self.expand.layout, **self.layouts}
        if self.project is not None:
            self.layouts["project"] = self.project.layout

    def kernel(self) -> InvertedResidualKernel:
        spec, rows = self.spec, self.cut.rows
        blocks = divide_up(spec.output_size[0], rows)
        source = kernel_source(
            "inverted_residual", f"{LEAST}\n{self._functions()}\n{self._driver(max(blocks, 1))}",
            tasks=spec.depthwise.images * blocks,
            scratch_bytes=4 * (spec.ring_elements(rows) + spec.filtered_elements(rows)), note=self.cut.note,
        )  # fmt: skip
        return InvertedResidualKernel(source, tuple(self.layouts.values()))

    def _functions(self) -> str:
        functions = [self.depthwise.functions()]
        if self.expand is not None:
            functions.append(self.expand.functions([self.spec.size[1]]))
        if self.project is not None:
            functions.append(self.project.functions(rows * self.spec.output_size[1] for rows in self._heights()))
        return "\n".join(functions)

    def _heights(self) -> list[int]:
        """Output rows of a task, and of the last of an image where it has fewer."""
        height = self.spec.output_size[0]
        return sorted({min(self.cut.rows, height), height % self.cut.rows} - {0}, reverse=True)

    def _driver(self, blocks: int) -> str:
        """The kernel function."""
        names = [name for stage, kind in zip(self.spec.stages, self.layouts) for name in _extras(stage, kind)]
        pointers = [f"const float* {name} = call->data[{index}];" for index, name in enumerate(names, 2)]
        start = 0
        for kind, layout in self.layouts.items():
            pointers.append(f"const float* {kind}_weights = packed + {start};")
            start += _whole_lines(layout.elements)
        return f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* input = call->data[0];
  const float* packed = call->data[1];
  {f"{chr(10)}  ".join(pointers)}
  float* output = call->data[call->n_inputs];
  float* ring = scratch;
  float* filtered = ring + {self.spec.ring_elements(self.cut.rows)};
  int64_t at_image = -1, expanded = 0;
  (void)filtered, (void)at_image, (void)expanded;
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / {blocks}, task_row = task % {blocks} * {self.cut.rows};
    const int64_t task_rows = mm_least({self.spec.output_size[0]} - task_row, {self.cut.rows});
{self._middle()}
{self._projection()}
  }}
}}
"""

    def _slot(self) -> str:
        """Where the window finds row `y` of the image that it reads."""
        height, width = self.spec.size
        pitch = width * self.spec.depthwise.channels
        if self.expand is None:
            return f"input + (image * {height} + y) * INT64_C({pitch})"
        return f"ring + y % {self.spec.ring_rows(self.cut.rows)} * {pitch}"

    def _middle(self) -> str:
        """Expands and filters a panel of channels, then the next: the depthwise tiles find their rows close by."""
        depthwise, (height, width) = self.spec.depthwise, self.spec.size
        if self.expand is None:
            return f"""\
    for (int64_t panel = 0; panel < {depthwise.channels}; panel += {self.panel_width}) {{
{self._filter()}
    }}"""
        left = f"input + (image * {height} + y) * INT64_C({width * self.expand.stage.channels})"
        rows = f"for (int64_t y = expanded; y < below; y++) {{{self.expand.tiles(width, left, self._slot(), '0')}}}"
        return f"""\
    const int64_t above = task_row * {depthwise.strides[0]} - {depthwise.pads[0]};
    const int64_t under = (task_rows - 1) * {depthwise.strides[0]} + {depthwise.window[0]};
    const int64_t below = mm_least(above + under, {height});
    if (image != at_image) expanded = 0;
    at_image = image;
    if (expanded < above) expanded = above;
{self.expand.panels(f"{rows}{chr(10)}{self._filter()}")}
    if (expanded < below) expanded = below;"""

    def _filter(self) -> str:
        depthwise, (height, width) = self.spec.depthwise, self.spec.output_size
        pitch = width * depthwise.outputs
        if self.project is None:
            target, origin = "output", f"(image * {height} + row) * INT64_C({pitch})"
        else:
            target, origin = "filtered", f"(row - task_row) * {pitch}"
        return f"""\
      for (int64_t row = task_row; row < task_row + task_rows; row++) {{
        const float* weights = depthwise_weights;
        const int64_t channel = panel, channel_end = mm_least(panel + {self.panel_width}, {depthwise.channels});
{self.depthwise.row(self._slot(), target, origin, _extras(depthwise, "depthwise"))}
      }}"""

    def _projection(self) -> str:
        if self.project is None:
            return ""
        height, width = self.spec.output_size
        origin = f"(image * {height} + task_row) * INT64_C({width * self.project.stage.outputs})"
        cases = [
            f"if (task_rows == {rows}) {{{self.project.tiles(rows * width, 'filtered', 'output', origin)}}}"
            for rows in self._heights()
        ]
        return self.project.panels("\n      ".join(cases))


class _Product:
    """A 1x1 convolution: its tiles, its weights, and the loops over them."""

    def __init__(self, stage: ConvSpec, shape: TileShape, isa: Isa, kind: str) -> None:
        self.stage, self.pixels, self.kind = stage, shape.pixels, kind
        steps = Steps(row=0, column=stage.channels, run="0")
        tile = TileSpec(shape.vectors, 0, stage.outputs, stage.outputs, steps, stage.epilogue)
        self.tile = TileWriter(tile, isa, Parameters(), f"KERNEL_NAME_{kind}")
        self.layout = PanelLayout(1, stage.channels, stage.outputs, self.tile.width)

    def functions(self, counts: Iterable[int]) -> str:
        """The tile functions for runs of so many pixels."""
        sizes = {size for count in counts for size in equal_pieces(count, self.pixels)}
        return "\n".join(map(self.tile.function, sorted(sizes)))

    def panels(self, body: str) -> str:
        """C that runs `body`, which has calls of tiles, for every panel of weights."""
        width, channels, outputs = self.tile.width, self.stage.channels, self.stage.outputs
        return f"""\
    for (int64_t panel = 0; panel < {outputs}; panel += {width}) {{
      const float* w = {self.kind}_weights + panel * {channels};
      const int64_t run = 0, run_end = 1, start = 0, stop = {channels}, right_step = {width};
      const int64_t valid = mm_least({outputs} - panel, {width});
      const int first = 1, last = 1;
      {body}
    }}"""

    def tiles(self, count: int, left: str, output: str, origin: str) -> str:
        """C that computes a panel of `count` pixels, which `left` points at; the result's begin at `origin`."""
        channels, outputs, channel_inputs = self.stage.channels, self.stage.outputs, self.stage.epilogue.channel_inputs
        names, at = _extras(self.stage, self.kind), f"{origin} + pixel * {outputs} + panel"
        extras = [f"{name} + panel" for name in names[:channel_inputs]]
        extras += [f"{name} + {at}" for name in names[channel_inputs:]]
        lines, begin = [""], 0
        for size, pieces in groupby(equal_pieces(count, self.pixels)):
            end = begin + size * len(list(pieces))
            call = self.tile.call(size, f"{left} + pixel * {channels}", "0", f"{output} + {at}", extras)
            lines.append(f"        for (int64_t pixel = {begin}; pixel < {end}; pixel += {size}) {call}")
            begin = end
        return "\n".join((*lines, "      "))


def _product(stage: ConvSpec | None, shape: TileShape | None, isa: Isa, kind: str) -> _Product | None:
    return None if stage is None or shape is None else _Product(stage, shape, isa, kind)


def _extras(stage: ConvSpec, kind: str) -> list[str]:
    """C names of the inputs of a stage's epilogue, as they were passed."""
    return [f"{kind}_extra{i}" for i in range(len(stage.epilogue.input_dtypes) - 1)]
