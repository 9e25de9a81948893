"""C of a register tile: some pixels times some vectors of outputs, summed in registers and stored by an epilogue."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim

from .access import load_vector, store_vector
from .expression import Epilogue
from .isa import Isa
from .kernel_source import Parameters
from .operations import C_TYPES, VECTOR_TYPES

# Epilogues of up to so many of these operations are written out for every vector of a tile.
_UNROLLED_NODES = 4
_SHORT = frozenset(
    {"add", "sub", "mul", "neg", "abs", "relu", "clip", "leaky_relu", "maximum", "minimum", "identity"}
    | {"cast", "quantize"}
)

_LINE_BYTES = 64  # of a cache
_PIXELS_A_LINE = 6  # of a tile, for each line that a step prefetches

NO_EPILOGUE = Epilogue()
"""Stores the sums as they are."""


@dataclass(frozen=True)
class Arithmetic:
    """What one step of the reduction multiplies. Elements of both operands take four bytes, as the C type `element`.

    `sum` is the dtype of the accumulators. `left` and `right` give, for the type of a register, its C type and the C
    that fills it from an element and from the address of a vector; `multiply_add` updates `{sum}` by `{x}` and `{w}`.
    """

    element: str
    sum: str
    left: tuple[str, str]
    right: tuple[str, str]
    multiply_add: str


FLOATS = Arithmetic("float", "f32", ("float", "{}"), ("mm_vf", "mm_load({})"), "{sum} += {x} * {w};")
BYTES = Arithmetic(
    "int32_t", "i32", ("mm_dot_left_t", "mm_dot_left({})"), ("mm_dot_right_t", "mm_dot_right({})"),
    "{sum} = mm_dot({sum}, {x}, {w});",
)  # fmt: skip
"""Four bytes are one element: unsigned on the left, signed on the right."""


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
    `outputs` are the channels of a group, `output_step` the elements from one output pixel to the next in a row, and
    `output_row` those from one row to the next (default: rows follow each other). Rows of the right operand are one
    panel apart unless it is `strided`. With an `ahead_step` (see that function) each step of the reduction prefetches
    lines of the weights that come next, and moves on by so many bytes.
    """

    vectors: int
    columns: int
    outputs: Dim
    output_step: Dim
    steps: Steps
    epilogue: Epilogue = NO_EPILOGUE
    strided: bool = False
    arithmetic: Arithmetic = FLOATS
    output_row: Dim | None = None
    ahead_step: int = 0

    @property
    def rows_follow(self) -> bool:
        """Whether all pixels of a tile are `output_step` apart."""
        return self.columns == 0 or self.output_row is None


def ahead_step(width: int, tiles: int, pixels: int) -> int:
    """Bytes between prefetches, so that `tiles` tiles over a piece of weights fetch the next piece; 0: too few pixels.

    Otherwise the first tile over every piece waits for memory while the others leave it idle: a tenth of the time of a
    product of 128 rows. A line is asked for several times where tiles are many, which costs a load and no more; a few
    lines in one step where they are few, but then of enough `pixels` to hide that.
    """
    step = -(-4 * width // max(tiles, 1))
    return step if step <= _LINE_BYTES * max(1, pixels // _PIXELS_A_LINE) else 0


class TileWriter:
    """Writes the tile functions of one kernel, and calls of them."""

    def __init__(self, spec: TileSpec, isa: Isa, parameters: Parameters, name: str = "KERNEL_NAME_tile") -> None:
        self.spec, self.isa, self.c, self.name = spec, isa, parameters.c, name
        self.vectors, self.width = spec.vectors, spec.vectors * isa.lanes
        self.channel_names = [f"channel{i}" for i in range(spec.epilogue.channel_inputs)]
        self.tensor_names = [f"tensor{i}" for i in range(spec.epilogue.tensor_inputs)]
        self.extra_dtypes = dict(
            zip((*self.channel_names, *self.tensor_names), spec.epilogue.input_dtypes[1:], strict=True)
        )
        self.sum, self.result_dtype = spec.arithmetic.sum, spec.epilogue.result_dtype

    def function(self, pixels: int) -> str:
        """A function that adds one piece of the reduction to a tile, and on the last piece stores it."""
        steps = self.spec.steps
        accumulators = [[f"a{pixel}_{vector}" for vector in range(self.vectors)] for pixel in range(pixels)]
        names = [name for row in accumulators for name in row]
        flat = [(name, index * self.isa.lanes) for index, name in enumerate(names)]
        element = self.c(steps.element)
        w_step = "w_step" if self.spec.strided else str(self.width)
        arithmetic, vector_type = self.spec.arithmetic, VECTOR_TYPES[self.sum]
        (left_type, left), (right_type, right) = arithmetic.left, arithmetic.right
        body = []
        for pixel, row in enumerate(accumulators):
            body.append(f"const {left_type} x{pixel} = {left.format(f'x[{self._input_offset(pixel)}]')};")
            body += [arithmetic.multiply_add.format(sum=name, x=f"x{pixel}", w=f"w{v}") for v, name in enumerate(row)]
        loads = " ".join(
            f"const {right_type} w{v} = {right.format(f'w + {v * self.isa.lanes}')};" for v in range(self.vectors)
        )
        pointers = "".join(f", const {C_TYPES[dtype]}* {name}" for name, dtype in self.extra_dtypes.items())
        ahead, prefetch = "", ""
        if self.spec.ahead_step:
            ahead = ", const char* ahead"
            lines = range(0, self.spec.ahead_step, _LINE_BYTES)
            fetch = " ".join(f"__builtin_prefetch(ahead + {offset}, 0, 2);" for offset in lines)
            prefetch = f"{fetch} ahead += {self.spec.ahead_step};"
        return f"""
static __attribute__((noinline)) void {self.name}{pixels}(
    const mm_call* call, const {arithmetic.element}* left, const {arithmetic.element}* w,
    {arithmetic.element}* partial, int64_t run, int64_t run_end, int64_t start, int64_t end, int64_t w_step,
    int first, int last, int64_t valid, {C_TYPES[self.result_dtype]}* output{pointers}{ahead}) {{
  const int64_t row_step = {self.c(steps.row)}, output_step = {self.c(self.spec.output_step)};
  {vector_type} {", ".join(names)};
  if (first) {{
    {" = ".join(names)} = ({vector_type}){{0}};
  }} else {{
    {" ".join(f"{name} = {load_vector(f'partial + {offset}', self.sum)};" for name, offset in flat)}
  }}
{self._early(pixels)}
  for (; run < run_end; run++) {{
    const {arithmetic.element}* x = left + ({steps.run}) + start * {element};
    for (int64_t k = start; k < end; k++, x += {element}, w += {w_step}) {{
      {prefetch}
      {loads}
      {" ".join(body)}
    }}
  }}
  if (!last) {{
    {" ".join(f"{store_vector(f'partial + {offset}', name, self.sum)};" for name, offset in flat)}
    return;
  }}
{self.store(accumulators)}
}}
"""

    def _early(self, pixels: int) -> str:
        """Prefetches of what the epilogue will read: a tensor as large as the output is seldom in the nearest cache."""
        vectors = range(0, self.width, self.isa.lanes)
        fetch = [
            f"__builtin_prefetch({name} + {self._output_offset(str(pixel))} + {vector});"
            for name in self.tensor_names
            for pixel in range(pixels)
            for vector in vectors
        ]
        return f"  if (last) {{ {' '.join(fetch)} }}" if fetch else ""

    def call(self, pixels: int, left: str, partial: str, output: str, extra: list[str]) -> str:
        """A call, where `w`, `run`, `run_end`, `start`, `stop`, `right_step`, `first`, `last`, `valid` are declared,
        and, if the tile prefetches, `ahead`."""
        arguments = [
            "call", left, "w", partial, "run", "run_end", "start", "stop", "right_step", "first", "last", "valid",
            output, *extra, *(["ahead"] if self.spec.ahead_step else []),
        ]  # fmt: skip
        return f"{self.name}{pixels}({', '.join(arguments)});"

    def _input_offset(self, pixel: int) -> str:
        steps = self.spec.steps
        row, column = divmod(pixel, self.spec.columns) if self.spec.columns else (0, pixel)
        if isinstance(steps.row, int):
            return str(row * steps.row + column * steps.column)
        return f"{row} * row_step + {column * steps.column}"

    def _output_offset(self, pixel: str) -> str:
        if self.spec.rows_follow:
            return f"{pixel} * output_step"
        assert self.spec.output_row is not None
        columns = self.spec.columns
        return f"({pixel} / {columns} * {self.c(self.spec.output_row)} + {pixel} % {columns} * output_step)"

    def store(self, accumulators: list[list[str]]) -> str:
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
            limit = "" if valid == lanes else str(valid)
            lines += [
                self._load(name, f"{name}_{vector}", str(vector * lanes), limit) for name in self.channel_names
            ]
        for pixel, row in enumerate(accumulators):
            for vector, valid in vectors:
                limit = "" if valid == lanes else str(valid)
                offset = f"{self._output_offset(str(pixel))} + {vector * lanes}"
                loads = [self._load(name, f"{name}_v", offset, limit) for name in self.tensor_names]
                inputs = [row[vector], *(f"{name}_{vector}" for name in self.channel_names)]
                statements, result = self.spec.epilogue.emit([*inputs, *(f"{name}_v" for name in self.tensor_names)])
                store = store_vector(f"output + {offset}", result, self.result_dtype, limit)
                lines.append(f"{{ {' '.join(loads)} {statements} {store}; }}")
        return "\n".join(f"    {line}" for line in lines)

    def _store_loop(self, accumulators: list[list[str]]) -> str:
        """Over vectors in memory, so that a long epilogue is compiled once a tile and not once a vector."""
        lanes = self.isa.lanes
        offsets = {**dict.fromkeys(self.channel_names, "v"), **dict.fromkeys(self.tensor_names, "at")}
        statements, result = self.spec.epilogue.emit(["a", *(f"{name}_v" for name in offsets)])
        vector_type = VECTOR_TYPES[self.sum]

        def step(limit: str) -> str:
            loads = [self._load(name, f"{name}_v", at, limit) for name, at in offsets.items()]
            return f"{' '.join(loads)} {statements} {store_vector('output + at', result, self.result_dtype, limit)};"

        return f"""
  {vector_type} tile[] = {{{", ".join(name for row in accumulators for name in row)}}};
  for (int64_t p = 0; p < {len(accumulators)}; p++) {{
    for (int64_t v = 0; v < {self.width} && v < valid; v += {lanes}) {{
      const {vector_type} a = tile[p * {self.vectors} + v / {lanes}];
      const int64_t at = {self._output_offset("p")} + v, count = valid - v;
      if (count >= {lanes}) {{
        {step("")}
      }} else {{
        {step("count")}
      }}
    }}
  }}"""

    def _load(self, name: str, register: str, offset: str, limit: str) -> str:
        """Reads an input of the epilogue into a register."""
        dtype = self.extra_dtypes[name]
        return f"const {VECTOR_TYPES[dtype]} {register} = {load_vector(f'{name} + {offset}', dtype, limit)};"
