"""Batched product of two operands of bytes that are known only at run time, as attention's: exact sums in int32.

A task is a panel of columns of one matrix. Its part of the right operand is packed as `quads` has it, signed, so that
u8 is moved down by 128. Tiles of some rows then go over the panel. With zero points a and b, the sum of (x - a)(w - b)
is the sum of xw, less a times the sum of the column and b times the sum of the row, plus ab for each term. Sums of
columns are found while packing, those of rows by one product more beside the tile's.
"""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim, ceildiv

from .access import load_vector, store_vector
from .expression import Epilogue
from .isa import Isa
from .kernel_source import LEAST, KernelSource, Parameters, kernel_source
from .matmul import Strides, batch_offset
from .operations import C_TYPES, VECTOR_TYPES
from .quads import QUAD
from .strides import product

_SIGN = 128
_EVERY_BYTE = 0x01010101


@dataclass(frozen=True)
class ByteOperand:
    """One operand's strides in bytes, and what stands for zero in it."""

    strides: Strides
    signed: bool
    zero_point: int


@dataclass(frozen=True)
class ByteMatmulSpec:
    """output[b, m, n] = epilogue(sum over k of (left[b, m, k] - zero) * (right[b, k, n] - zero)), output dense.

    `batch` are the output's batch dimensions. Columns of `left` are adjacent, and columns or rows of `right`. The
    kernel's inputs are left, right and those of the epilogue.
    """

    batch: tuple[Dim, ...]
    rows: Dim
    outputs: Dim
    reduction: int
    left: ByteOperand
    right: ByteOperand
    epilogue: Epilogue


def generate_byte_matmul(spec: ByteMatmulSpec, isa: Isa) -> KernelSource:
    """A kernel for `spec`."""
    return _Writer(spec, isa).kernel()


class _Writer:
    """The tile that fits the registers, and the C around it."""

    def __init__(self, spec: ByteMatmulSpec, isa: Isa) -> None:
        self.spec, self.isa = spec, isa
        self.parameters = Parameters()
        self.c = self.parameters.c
        registers = isa.registers if isa.has_vnni else isa.registers // 2  # elsewhere operands are halves
        known = -(-spec.outputs // isa.lanes) if isinstance(spec.outputs, int) else 4
        self.vectors = min(known, 4 if registers > 16 else 2)
        self.width = self.vectors * isa.lanes
        self.quads = -(-spec.reduction // QUAD)
        self.rest = spec.reduction % QUAD
        self.left_zero = spec.left.zero_point + (_SIGN if spec.left.signed else 0)
        self.right_zero = spec.right.zero_point - (0 if spec.right.signed else _SIGN)
        each = self.vectors + (self.right_zero != 0)
        self.height = max(1, (registers - self.vectors - 2) // each)
        self.extras = [f"channels{i}" for i in range(spec.epilogue.channel_inputs)]
        self.extras += [f"tensors{i}" for i in range(spec.epilogue.tensor_inputs)]
        self.dtypes = dict(zip(self.extras, spec.epilogue.input_dtypes[1:], strict=True))

    def heights(self) -> list[tuple[int, Dim]]:
        """Tiles of rows and the row where those of each height end: nearly equal ones where the rows are known."""
        rows = self.spec.rows
        if not isinstance(rows, int):
            return [(self.height, rows), (1, rows)]
        least, more = divmod(rows, -(-rows // self.height))
        return [(least + 1, (least + 1) * more), (least, rows)] if more else [(least, rows)]

    def kernel(self) -> KernelSource:
        """The whole kernel."""
        spec, c, width = self.spec, self.c, self.width
        panels = ceildiv(spec.outputs, width)
        heights = self.heights()
        tiles = "\n".join(self.tile(height) for height in dict.fromkeys(height for height, _ in heights))
        pointers = "\n".join(
            f"  const {C_TYPES[dtype]}* {name} = call->data[{2 + number}];"
            for number, (name, dtype) in enumerate(self.dtypes.items())
        )
        extras = "".join(
            f", {name} + channel" if name.startswith("channels") else f", {name} + at" for name in self.extras
        )
        loops = "\n".join(
            f"""    for (; r + {height} <= {c(stop)}; r += {height}) {{
      const int64_t at = (image * {c(spec.rows)} + r) * {c(spec.outputs)} + channel;
      const uint8_t* x = left + r * {c(spec.left.strides.row)};
      KERNEL_NAME_tile{height}(call, x, packed, shares, valid, outputs + at{extras});
    }}"""
            for height, stop in heights
        )
        result = C_TYPES[spec.epilogue.result_dtype]
        code = f"""{LEAST}
{self.helpers()}
{self.pack()}
{tiles}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
{pointers}
  {result}* outputs = call->data[{2 + len(self.extras)}];
  int32_t* packed = scratch;
  int32_t* shares = packed + {self.quads * width};
  const int64_t panels = {c(panels)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t image = task / panels, channel = task % panels * {width};
    const int64_t valid = mm_least({c(spec.outputs)} - channel, {width});
    const uint8_t* left = call->data[0];
    const uint8_t* right = (const uint8_t*)call->data[1] + channel * {c(spec.right.strides.column)};
    {{
      int64_t rest = image;
{batch_offset(spec.batch, spec.left.strides.batch, "left", self.parameters)}
    }}
    {{
      int64_t rest = image;
{batch_offset(spec.batch, spec.right.strides.batch, "right", self.parameters)}
    }}
    KERNEL_NAME_pack(call, right, packed, shares, valid);
    int64_t r = 0;
{loops}
  }}
}}
"""
        return kernel_source(
            "byte_matmul",
            code,
            tasks=product(spec.batch) * panels,
            scratch_bytes=4 * width * (self.quads + 1),
            params=tuple(self.parameters.dims),
            note=f"tile {heights[0][0]} rows x {self.vectors} vectors",
        )

    def helpers(self) -> str:
        """Four bytes of a row, or the last ones, as an element of 32 bits; vectors for sums of bytes."""
        ones = ", ".join([str(_EVERY_BYTE)] * self.isa.lanes)
        return f"""
static const int32_t KERNEL_NAME_ones[] = {{{ones}}};
MM_INLINE int32_t KERNEL_NAME_quad(const uint8_t* p, int size, uint32_t flip) {{
  uint32_t quad = 0;
  __builtin_memcpy(&quad, p, size);
  return (int32_t)(quad ^ (size < {QUAD} ? flip & ((1u << 8 * size) - 1) : flip));
}}
MM_INLINE mm_vi KERNEL_NAME_bytes(const uint8_t* p, int64_t count, int32_t flip) {{
  if (count <= 0) return (mm_vi){{0}};
  return (count >= MM_LANES ? mm_load_u8(p) : mm_load_tail_u8(p, count)) ^ flip;
}}"""

    def pack(self) -> str:
        """A function that packs a panel of the right operand, and finds what zero points give for each column."""
        spec, c, width = self.spec, self.c, self.width
        flip = 0 if spec.right.signed else _SIGN
        whole = spec.reduction // QUAD
        if spec.right.strides.column == 1:
            row = c(spec.right.strides.row)

            def vectors(quad: str, size: int) -> str:
                word = " | ".join(
                    f"KERNEL_NAME_bytes(from + ({quad} * {QUAD} + {k}) * {row} + v, columns - v, {flip}) << {8 * k}"
                    for k in range(size)
                )
                return f"mm_store_i(to + {quad} * {width} + v, {word});"

            body = f"""
  for (int64_t v = 0; v < {width}; v += MM_LANES) {{
    for (int64_t q = 0; q < {whole}; q++) {vectors("q", QUAD)}
    {vectors(str(whole), self.rest) if self.rest else ""}
  }}"""
        else:

            def word(quad: str, size: int) -> str:
                source = f"p + {QUAD} * {quad}, {size}, {flip * _EVERY_BYTE}u"
                return f"to[{quad} * {width} + j] = KERNEL_NAME_quad({source});"

            body = f"""
  for (int64_t j = 0; j < columns; j++) {{
    const uint8_t* p = from + j * {c(spec.right.strides.column)};
    for (int64_t q = 0; q < {whole}; q++) {word("q", QUAD)}
    {word(str(whole), self.rest) if self.rest else ""}
  }}
  for (int64_t q = 0; q < {self.quads}; q++) for (int64_t j = columns; j < {width}; j++) to[q * {width} + j] = 0;"""
        constant = spec.reduction * self.left_zero * self.right_zero
        return f"""
static void KERNEL_NAME_pack(
    const mm_call* call, const uint8_t* from, int32_t* restrict to, int32_t* restrict shares, int64_t columns) {{{body}
  const mm_dot_left_t ones = mm_dot_left({_EVERY_BYTE});
  for (int64_t v = 0; v < {width}; v += MM_LANES) {{
    mm_vi sum = {{0}};
    for (int64_t q = 0; q < {self.quads}; q++) sum = mm_dot(sum, ones, mm_dot_right(to + q * {width} + v));
    mm_store_i(shares + v, {constant} - sum * {self.left_zero});
  }}
}}"""

    def tile(self, rows: int) -> str:
        """A function that computes `rows` rows of a panel and stores them."""
        spec, lanes = self.spec, self.isa.lanes
        sums = [[f"a{p}_{v}" for v in range(self.vectors)] for p in range(rows)]
        row_sums = [f"s{p}" for p in range(rows)] if self.right_zero else []
        names = ", ".join([name for row in sums for name in row] + row_sums)
        flip = f"{_SIGN * _EVERY_BYTE if spec.left.signed else 0}u"

        def step(place: str, size: int) -> str:
            lines = [
                f"const mm_dot_right_t w{v} = mm_dot_right(w + {place} * {self.width} + {v * lanes});"
                for v in range(self.vectors)
            ]
            for p, row in enumerate(sums):
                source = f"left + {p} * {self.c(spec.left.strides.row)} + {QUAD} * {place}"
                lines.append(f"const mm_dot_left_t x{p} = mm_dot_left(KERNEL_NAME_quad({source}, {size}, {flip}));")
                lines += [f"{name} = mm_dot({name}, x{p}, w{v});" for v, name in enumerate(row)]
                lines += [f"{name} = mm_dot({name}, x{p}, ones);" for name in row_sums[p : p + 1]]
            return " ".join(lines)

        last = f"{{ {step(str(self.quads - 1), self.rest)} }}" if self.rest else ""
        arguments = "".join(f", const {C_TYPES[dtype]}* {name}" for name, dtype in self.dtypes.items())
        return f"""
static __attribute__((noinline)) void KERNEL_NAME_tile{rows}(
    const mm_call* call, const uint8_t* left, const int32_t* w, const int32_t* shares, int64_t valid,
    {C_TYPES[spec.epilogue.result_dtype]}* output{arguments}) {{
  mm_vi {names.replace(",", " = {0},")} = {{0}};
  const mm_dot_right_t ones = mm_dot_right(KERNEL_NAME_ones);
  for (int64_t k = 0; k < {spec.reduction // QUAD}; k++) {{ {step("k", QUAD)} }}
  {last}
  mm_vi tile[] = {{{", ".join(name for row in sums for name in row)}}};
  {f"const mm_vi row_sums[] = {{{', '.join(row_sums)}}};" if row_sums else "(void)ones;"}
  for (int64_t p = 0; p < {rows}; p++) {{
    {f"const mm_vi share = row_sums[p] * {self.right_zero};" if row_sums else "const mm_vi share = {0};"}
    for (int64_t v = 0; v < valid; v += {lanes}) {{
      const mm_vi a = tile[p * {self.vectors} + v / {lanes}] + mm_load_i(shares + v) - share;
      const int64_t at = p * {self.c(spec.outputs)} + v, count = valid - v;
      if (count >= {lanes}) {{ {self.store("")} }} else {{ {self.store("count")} }}
    }}
  }}
}}"""

    def store(self, limit: str) -> str:
        """C that takes a vector of sums, `a`, through the epilogue and stores it."""
        loads = []
        for name, dtype in self.dtypes.items():
            pointer = f"{name} + {'v' if name.startswith('channels') else 'at'}"
            loads.append(f"const {VECTOR_TYPES[dtype]} {name}_v = {load_vector(pointer, dtype, limit)};")
        statements, result = self.spec.epilogue.emit(["a", *(f"{name}_v" for name in self.extras)])
        store = store_vector("output + at", result, self.spec.epilogue.result_dtype, limit)
        return f"{' '.join(loads)} {statements} {store};"
