"""Fused element-wise and broadcast loops: tiles of the result, loaded, computed and stored in overlapping stages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import prod

from mm_backend_mlu.codegen.dims import Strides, coalesce
from mm_backend_mlu.codegen.expression import SIZES, Expression
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.codegen.tile_code import Tile, TileCode, tile_code
from mm_backend_mlu.target import Target

_VECTOR = 64
"""Tiles are whole multiples of so many elements: a line of the vector unit for the narrowest type it computes in."""
_LINE = 128
_SMALLEST_TILE = 2048
"""Elements below which a tile is not split further to keep more cores busy: starting a copy would cost more."""
_SMALLEST_SCALAR_TILE = 256
"""The same where the scalar unit does some of the work, which takes much longer than a copy."""
_ROUNDS = 3
"""Tiles for each core that are aimed at, so that copies and computing overlap."""


class _Role(Enum):
    """How an operand of a tile [rows][columns] is brought there."""

    FULL = "full"
    ROW = "row"  # one row for all rows
    COLUMN = "column"  # one element for each row
    SINGLE = "single"  # one element


@dataclass(frozen=True, slots=True)
class Elementwise:
    """What to generate: the shape of the results, C types and strides of the operands, C types of the results."""

    shape: tuple[int, ...]
    operands: tuple[tuple[str, Strides], ...]
    results: tuple[str, ...]
    expression: Expression
    offsets: tuple[int, ...] = ()
    """The first element of each operand; all 0 if left out."""


@dataclass(frozen=True, slots=True)
class _Operand:
    ctype: str
    outer: Strides
    row_stride: int
    column_stride: int
    offset: int

    @property
    def role(self) -> _Role:
        if self.column_stride:
            return _Role.FULL if self.row_stride else _Role.ROW
        return _Role.COLUMN if self.row_stride else _Role.SINGLE


class _Generator:
    def __init__(self, spec: Elementwise, target: Target) -> None:
        sizes, strides = coalesce(spec.shape, [strides for _, strides in spec.operands])
        outer, (rows, columns) = sizes[:-2], ((1, 1) + sizes)[-2:]
        self.outer, self.rows, self.columns = outer, rows, columns
        self.spec = spec
        self.operands = []
        offsets = spec.offsets or (0,) * len(spec.operands)
        for (ctype, _), steps, offset in zip(spec.operands, strides, offsets):
            row_stride, column_stride = ((0, 0) + steps)[-2:]
            if rows == 1 and column_stride:  # One row is all rows.
                row_stride = columns
            self.operands.append(_Operand(ctype, steps[:-2], row_stride, column_stride, offset))
        self.broadcasts = any(operand.role is not _Role.FULL for operand in self.operands)
        self.code = self._tile_code()
        self._choose_tile(target)
        self._lay_out()

    # --- sizes ------------------------------------------------------------------------------------------------------

    def _element_bytes(self) -> int:
        """Bytes of NRAM for each element of a tile."""
        inputs = sum(
            SIZES[operand.ctype] * (2 if operand.role is _Role.FULL else 1) for operand in self.operands
        )
        outputs = 2 * sum(SIZES[ctype] for ctype in self.spec.results)
        return inputs + outputs + self.code.slots * self.code.slot_itemsize

    def _choose_tile(self, target: Target) -> None:
        regions = 3 * len(self.operands) + 2 * len(self.spec.results) + self.code.slots
        # A row or column is held as it was loaded, twice, beside the tile it is spread over.
        budget = (target.nram_bytes - regions * _LINE) // (self._element_bytes() + 2 * self._raw_bytes())
        budget -= budget % _VECTOR
        total = prod(self.outer) * self.rows * _up(self.columns)
        smallest = _SMALLEST_SCALAR_TILE if self.code.is_scalar else _SMALLEST_TILE
        wanted = max(smallest, _up(total // (target.cores * _ROUNDS)))
        limit = min(budget, wanted)
        self.tile_columns = self.columns if _up(self.columns) <= limit else limit
        self.pitch = _up(self.tile_columns) if self.broadcasts else self.tile_columns
        self.tile_rows = max(1, min(self.rows, limit // self.pitch))
        self.tile_elements = _up(self.tile_rows * self.pitch)
        self.row_blocks = -(-self.rows // self.tile_rows)
        self.column_blocks = -(-self.columns // self.tile_columns)
        self.tiles = prod(self.outer) * self.row_blocks * self.column_blocks

    def _raw_bytes(self) -> int:
        return sum(SIZES[operand.ctype] for operand in self.operands if operand.role is not _Role.FULL)

    def _lay_out(self) -> None:
        """Offsets in NRAM of each operand's tiles, of what it is loaded as, and of the results."""
        self.nram = 0
        self.tile_at: list[int] = []
        self.raw_at: list[int] = []
        for operand in self.operands:
            tile = self._tile_bytes(operand.ctype)
            full = operand.role is _Role.FULL
            self.tile_at.append(self._take(tile * (2 if full else 1)))
            self.raw_at.append(0 if full else self._take(2 * self._raw_size(operand)))
        self.result_at = [self._take(2 * self._tile_bytes(ctype)) for ctype in self.spec.results]
        self.slot_bytes = self.tile_elements * self.code.slot_itemsize
        self.slots_at = self._take(self.code.slots * self.slot_bytes)

    def _tile_bytes(self, ctype: str) -> int:
        """Bytes from one slot of a tile to the other: whole lines."""
        return _lines(self.tile_elements * SIZES[ctype])

    def _raw_size(self, operand: _Operand) -> int:
        """Bytes of an operand as it is loaded, for one of the two slots."""
        count = {_Role.ROW: self.pitch, _Role.COLUMN: self.tile_rows}.get(operand.role, 1)
        return _lines(count * SIZES[operand.ctype])

    def _take(self, size: int) -> int:
        start = self.nram
        self.nram += _lines(size)
        return start

    def _is_fixed(self, operand: _Operand) -> bool:
        """Whether every tile reads the same elements of an operand."""
        if operand.role is _Role.FULL or any(operand.outer):
            return False
        return operand.role is _Role.SINGLE or (operand.role is _Role.ROW and self.column_blocks == 1)

    # --- text -------------------------------------------------------------------------------------------------------

    def _tile_code(self) -> TileCode:
        inputs = [
            Tile(f"x{number}", operand.ctype, "pitch" if operand.role is _Role.ROW else "")
            for number, operand in enumerate(self.operands)
        ]
        outputs = [Tile(f"y{number}", ctype) for number, ctype in enumerate(self.spec.results)]
        return tile_code(self.spec.expression, inputs, outputs, "count", lambda ctype, slot: f"slot<{ctype}>({slot})")

    def kernel(self, name: str) -> Kernel:
        inputs = [f"const {operand.ctype} *in{number}" for number, operand in enumerate(self.operands)]
        outputs = [f"{ctype} *out{number}" for number, ctype in enumerate(self.spec.results)]
        parameters = (*inputs, *outputs)
        handed = ", ".join(declaration.split("*")[1] for declaration in parameters)
        shape = " x ".join(map(str, (*self.outer, self.rows, self.columns)))
        note = f"{shape} in {self.tiles} tiles of {self.tile_rows} x {self.tile_columns}"
        body = (
            f"$symbol_loop loop = {{{handed}, mm_nram}};\n"
            f"const mm::Share share = mm::task_share({self.tiles});\n"
            "if (share.begin < share.end) loop.prepare();\n"
            "mm::run_pipeline(loop, share.begin, share.end);"
        )
        return Kernel(
            name,
            parameters,
            body,
            ("kernels/common.h", "kernels/vector.h", "kernels/scalar.h"),
            (self._loop(note, parameters),),
            nram=self.nram,
            note=note,
        )

    def _loop(self, note: str, parameters: tuple[str, ...]) -> str:
        members = "".join(f"  {declaration};\n" for declaration in (*parameters, "char *nram"))
        return (
            f"// {note}\nstruct $symbol_loop {{\n{members}\n{self._place()}\n"
            "  template <typename T>\n  __mlu_device__ T *slot(int number) const {\n"
            f"    return (T *)(nram + {self.slots_at} + number * {self.slot_bytes});\n  }}\n\n"
            f"{_method('prepare', '', self._prepare())}\n{_method('load', 'int step', self._load())}\n"
            f"{_method('compute', 'int step', self._compute())}\n{_method('store', 'int step', self._store())}}};"
        )

    def _place(self) -> str:
        """Where a step's tile lies."""
        lines = ["struct Place {", "  int row, rows, column, columns;", "  int64_t result;"]
        lines += [f"  int64_t operand{number};" for number in range(len(self.operands))]
        lines += ["};", "__mlu_device__ Place place(int step) const {"]
        body = [
            "Place at;",
            f"at.column = step % {self.column_blocks} * {self.tile_columns};",
            f"at.columns = mm::minimum({self.tile_columns}, {self.columns} - at.column);",
            f"at.row = step / {self.column_blocks} % {self.row_blocks} * {self.tile_rows};",
            f"at.rows = mm::minimum({self.tile_rows}, {self.rows} - at.row);",
        ]
        per = self.column_blocks * self.row_blocks
        indices: list[str] = []
        for axis in reversed(range(len(self.outer))):
            body.append(f"const int64_t i{axis} = step / {per} % {self.outer[axis]};")
            indices.insert(0, f"i{axis}")
            per *= self.outer[axis]
        outer = tuple(self.rows * self.columns * prod(self.outer[axis + 1 :]) for axis in range(len(self.outer)))
        body.append(f"at.result = {_offset(indices, outer, self.columns, 1)};")
        for number, operand in enumerate(self.operands):
            offset = _offset(indices, operand.outer, operand.row_stride, operand.column_stride, operand.offset)
            body.append(f"at.operand{number} = {offset};")
        lines += [f"  {line}" for line in (*body, "return at;")] + ["}"]
        return _indented(lines)

    def _tile(self, number: int) -> str:
        operand = self.operands[number]
        double = operand.role is _Role.FULL
        return self._pointer(operand.ctype, self.tile_at[number], self._tile_bytes(operand.ctype), double)

    def _raw(self, number: int, double: bool) -> str:
        operand = self.operands[number]
        return self._pointer(operand.ctype, self.raw_at[number], self._raw_size(operand), double)

    def _pointer(self, ctype: str, start: int, size: int, double: bool) -> str:
        step = f" + step % 2 * {size}" if double else ""
        return f"({ctype} *)(nram + {start}{step})"

    def _prepare(self) -> list[str]:
        """Once for each task: padding is initialised, and what every tile reads is loaded."""
        lines = []
        for number, operand in enumerate(self.operands):
            size = SIZES[operand.ctype]
            if self.broadcasts and self.columns % self.pitch and operand.role in (_Role.FULL, _Role.ROW):
                is_full = operand.role is _Role.FULL
                start = self.tile_at[number] if is_full else self.raw_at[number]
                each = self._tile_bytes(operand.ctype) if is_full else self._raw_size(operand)
                lines.append(f"mm::fill(nram + {start}, {2 * each}, (char)0);")
            if self._is_fixed(operand):
                count = self.columns if operand.role is _Role.ROW else 1
                raw = self._raw(number, double=False)
                lines.append(f"__memcpy({raw}, in{number} + {operand.offset}, {count * size}, GDRAM2NRAM);")
                if operand.role is _Role.SINGLE:
                    lines.append(f"mm::spread({self._tile(number)}, {raw}, 1, {self.tile_elements});")
        return lines

    def _load(self) -> list[str]:
        lines = ["const Place at = place(step);"]
        for number, operand in enumerate(self.operands):
            if self._is_fixed(operand):
                continue
            source = f"in{number} + at.operand{number}"
            raw = self._raw(number, double=True)
            if operand.role is _Role.FULL:
                pitches = f"{self._chip_pitch()}, {operand.row_stride}"
                lines.append(f"mm::load_rows({self._tile(number)}, {source}, at.rows, at.columns, {pitches});")
            elif operand.role is _Role.ROW:
                lines.append(f"mm::load_rows({raw}, {source}, 1, at.columns, {self.pitch}, {self.columns});")
            else:
                rows = "at.rows" if operand.role is _Role.COLUMN else "1"
                lines.append(f"mm::load_rows({raw}, {source}, {rows}, 1, 1, {operand.row_stride});")
        return lines

    def _chip_pitch(self) -> str:
        """Elements from row to row of a tile: of tiles that are cut short, as many as are there."""
        return str(self.pitch) if self.broadcasts else "at.columns"

    def _compute(self) -> list[str]:
        lines = ["const Place at = place(step);"]
        if self.broadcasts:
            lines += [f"const int pitch = {self.pitch};", "const int count = at.rows * pitch;"]
        else:
            lines.append(f"const int used = at.rows * at.columns, count = mm::round_up(used, {_VECTOR});")
        for number, operand in enumerate(self.operands):
            fixed = self._is_fixed(operand)
            if operand.role is _Role.ROW:
                lines.append(f"{operand.ctype} *x{number} = {self._raw(number, double=not fixed)};")
                continue
            lines.append(f"{operand.ctype} *x{number} = {self._tile(number)};")
            if operand.role is _Role.FULL:
                if not self.broadcasts and self.columns % _VECTOR:
                    lines.append(f"mm::clear_tail(x{number}, used, count);")
            elif not fixed:
                rows, pitch = ("at.rows", "pitch") if operand.role is _Role.COLUMN else ("1", "count")
                lines.append(f"mm::spread(x{number}, {self._raw(number, double=True)}, {rows}, {pitch});")
        lines += self._result_pointers()
        return lines + list(self.code.statements)

    def _result_pointers(self) -> list[str]:
        return [
            f"{ctype} *y{number} = {self._pointer(ctype, start, self._tile_bytes(ctype), True)};"
            for number, (ctype, start) in enumerate(zip(self.spec.results, self.result_at))
        ]

    def _store(self) -> list[str]:
        lines = ["const Place at = place(step);", *self._result_pointers()]
        for number in range(len(self.spec.results)):
            pitches = f"{self._chip_pitch()}, {self.columns}"
            lines.append(f"mm::store_rows(out{number} + at.result, y{number}, at.rows, at.columns, {pitches});")
        return lines


def elementwise(spec: Elementwise, name: str, target: Target) -> tuple[Kernel, int]:
    """The kernel of an element-wise loop and its tasks; its buffers are the operands, then the results."""
    generator = _Generator(spec, target)
    return generator.kernel(name), generator.tiles


def _offset(indices: list[str], outer: Strides, row: int, column: int, first: int = 0) -> str:
    """The C of the first element of a tile, in elements."""
    terms = [f"{index} * {step}" for index, step in zip(indices, outer) if step]
    terms += [f"(int64_t)at.row * {row}"] if row else []
    terms += ["at.column"] if column else []
    terms += [str(first)] if first else []
    return " + ".join(terms) or "0"


def _method(name: str, parameters: str, lines: list[str]) -> str:
    return _indented([f"__mlu_device__ void {name}({parameters}) {{", *(f"  {line}" for line in lines), "}"])


def _indented(lines: list[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)


def _up(count: int) -> int:
    return -(-count // _VECTOR) * _VECTOR


def _lines(size: int) -> int:
    return -(-size // _LINE) * _LINE
