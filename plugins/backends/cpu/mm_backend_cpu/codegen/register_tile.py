"""C of a register tile: some pixels times some vectors of outputs, summed in registers and stored by an epilogue."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim

from .expression import Epilogue
from .isa import Isa
from .kernel_source import Parameters

# Epilogues of up to so many of these operations are written out for every vector of a tile.
_UNROLLED_NODES = 4
_SHORT = frozenset({"add", "sub", "mul", "neg", "abs", "relu", "clip", "leaky_relu", "maximum", "minimum", "identity"})

NO_EPILOGUE = Epilogue()
"""Stores the sums as they are."""


@dataclass(frozen=True)
class Steps:
    """Distances between elements of the left operand, in elements; `run` is a C expression in `run`."""

    row: Dim
    column: int
    run: str
    element: Dim = 1
    group: int = 0


@dataclass(frozen=True)
class TileSpec:
    """What the tiles of one kernel have in common.

    `columns` is the number of pixels of a row where tiles cover whole rows, and 0 where they lie within one row.
    `outputs` are the channels of a group, `output_step` the elements from one output pixel to the next. Rows of the
    right operand are one panel apart unless it is `strided`.
    """

    vectors: int
    columns: int
    outputs: Dim
    output_step: Dim
    steps: Steps
    epilogue: Epilogue = NO_EPILOGUE
    strided: bool = False


class TileWriter:
    """Writes the tile functions of one kernel, and calls of them."""

    def __init__(self, spec: TileSpec, isa: Isa, parameters: Parameters) -> None:
        self.spec, self.isa, self.c = spec, isa, parameters.c
        self.vectors, self.width = spec.vectors, spec.vectors * isa.lanes
        self.channel_names = [f"channel{i}" for i in range(spec.epilogue.channel_inputs)]
        self.tensor_names = [f"tensor{i}" for i in range(spec.epilogue.tensor_inputs)]

    def function(self, pixels: int) -> str:
        """A function that adds one piece of the reduction to a tile, and on the last piece stores it."""
        steps = self.spec.steps
        accumulators = [[f"a{pixel}_{vector}" for vector in range(self.vectors)] for pixel in range(pixels)]
        names = [name for row in accumulators for name in row]
        flat = [(name, index * self.isa.lanes) for index, name in enumerate(names)]
        element = self.c(steps.element)
        w_step = "w_step" if self.spec.strided else str(self.width)
        body = []
        for pixel, row in enumerate(accumulators):
            body.append(f"const float x{pixel} = x[{self._input_offset(pixel)}];")
            body += [f"{name} += x{pixel} * w{vector};" for vector, name in enumerate(row)]
        loads = " ".join(f"const mm_vf w{v} = mm_load(w + {v * self.isa.lanes});" for v in range(self.vectors))
        pointers = "".join(f", const float* {name}" for name in (*self.channel_names, *self.tensor_names))
        return f"""
static __attribute__((noinline)) void KERNEL_NAME_tile{pixels}(
    const mm_call* call, const float* left, const float* w, float* partial, int64_t run, int64_t run_end,
    int64_t start, int64_t end, int64_t w_step, int first, int last, int64_t valid, float* output{pointers}) {{
  const int64_t row_step = {self.c(steps.row)}, output_step = {self.c(self.spec.output_step)};
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

    def call(self, pixels: int, left: str, partial: str, output: str, extra: list[str]) -> str:
        """A call, where `w`, `run`, `run_end`, `start`, `stop`, `right_step`, `first`, `last`, `valid` are declared."""
        arguments = [
            "call", left, "w", partial, "run", "run_end", "start", "stop", "right_step", "first", "last", "valid",
            output, *extra,
        ]  # fmt: skip
        return f"KERNEL_NAME_tile{pixels}({', '.join(arguments)});"

    def _input_offset(self, pixel: int) -> str:
        steps = self.spec.steps
        row, column = divmod(pixel, self.spec.columns) if self.spec.columns else (0, pixel)
        if isinstance(steps.row, int):
            return str(row * steps.row + column * steps.column)
        return f"{row} * row_step + {column * steps.column}"

    def _store(self, accumulators: list[list[str]]) -> str:
        """The epilogue, written out where it is small and the count of outputs is one known while generating."""
        epilogue, outputs = self.spec.epilogue, self.spec.outputs
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
                statements, result = self.spec.epilogue.emit(inputs)
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
        statements, result = self.spec.epilogue.emit(["a", *(f"{name}_v" for name in offsets)])

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


def _load(address: str, valid: int, lanes: int) -> str:
    return f"mm_load({address})" if valid == lanes else f"mm_load_tail({address}, {valid})"
