"""An element-wise expression over tiles in NRAM, as BANG C statements: the one emitter for fused loops and epilogues.

The vector unit does what `vector_forms` holds, on float and half. For the rest there are loops of the scalar unit; one
loop for all operations that follow each other there. float16 is computed in float where an operation wants that, and
then in the whole expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS, SIZES, Expression, Node, Ref
from mm_backend_mlu.codegen.scalar_forms import literal, scalar_form, value_type
from mm_backend_mlu.codegen.vector_forms import FORMS, SWAPPED, Form

_FOREVER = 1 << 30
_VECTOR_TYPES = ("float", "half")


@dataclass(frozen=True, slots=True)
class Tile:
    """Elements in NRAM: a C expression that points to them, their C type, after how many they repeat ("": never)."""

    name: str
    ctype: str
    cycle: str = ""


@dataclass(frozen=True, slots=True)
class TileCode:
    """Statements, and how many scratch tiles of how many bytes an element they use.

    `is_scalar`: the scalar unit does some of it, element by element.
    """

    statements: tuple[str, ...]
    slots: int
    slot_itemsize: int
    is_scalar: bool


Slot = Callable[[str, int], str]
"""The C expression of scratch tile k as a pointer to elements of a type."""


def tile_code(
    expression: Expression, inputs: Sequence[Tile], outputs: Sequence[Tile], count: str, slot: Slot
) -> TileCode:
    """Statements that compute `outputs` from `inputs`, all of `count` initialised elements, whole vectors.

    An output may be the same tile as an input.
    """
    return _Emitter(expression, inputs, outputs, count, slot).run()


def widens(expression: Expression) -> bool:
    """Whether float16 is computed in float: an operation on it has no form for half."""
    return any(
        "f16" in (node.dtype, node.result) and not _has_half_form(node) for node in expression.nodes
    )


def _has_half_form(node: Node) -> bool:
    if node.op in ("cast", "identity"):
        return {node.dtype, node.result} <= {"f16", "f32", "i1"}
    forms = [form for (op, _), form in FORMS.items() if op == node.op]
    return bool(forms) and not any(form.wide for form in forms)


class _Emitter:
    """The state of one emission. A value is held in tiles, by C type: `held[ref]`."""

    def __init__(
        self, expression: Expression, inputs: Sequence[Tile], outputs: Sequence[Tile], count: str, slot: Slot
    ) -> None:
        self.slot = slot
        self.expression = expression
        self.outputs = outputs
        self.count = count
        self.wide = widens(expression)
        self.same: dict[Ref, Ref] = {}
        for number, node in enumerate(expression.nodes):
            if node.op in ("identity", "cast") and self._carrier(node.dtype) == self._carrier(node.result):
                self.same["node", number] = self._root(node.args[0])
        self.results = [self._root(ref) for ref in expression.results]
        self.held: dict[Ref, dict[str, Tile]] = {
            ("input", number): {tile.ctype: tile} for number, tile in enumerate(inputs)
        }
        self.last_use = self._last_uses()
        self.slot_of: dict[tuple[Ref, str], int] = {}
        self.free: list[int] = []
        self.slots = 0
        self.names = 0
        self.slot_itemsize = 4
        self.written: set[int] = set()
        self.pending: list[int] = []
        self.lines: list[str] = []

    def _carrier(self, dtype: str) -> str:
        """The C type in which values of an element type lie between operations; truth values may lie otherwise."""
        return "float" if dtype == "f16" and self.wide else C_TYPES[dtype]

    def _root(self, ref: Ref) -> Ref:
        return self.same.get(ref, ref)

    def _last_uses(self) -> dict[Ref, int]:
        uses: dict[Ref, int] = {}
        for number, node in enumerate(self.expression.nodes):
            for ref in node.args:
                uses[self._root(ref)] = number
        return uses | dict.fromkeys(self.results, _FOREVER)

    # --- scratch tiles ----------------------------------------------------------------------------------------------

    def _take(self, ctype: str) -> tuple[int, str]:
        slot = self.free.pop() if self.free else self.slots
        self.slots = max(self.slots, slot + 1)
        self.slot_itemsize = max(self.slot_itemsize, SIZES[ctype])
        self.names += 1
        self._emit(f"{ctype} *t{self.names} = {self.slot(ctype, slot)};")
        return slot, f"t{self.names}"

    def _hold(self, ref: Ref, ctype: str) -> str:
        """A scratch tile for a value in a C type."""
        slot, name = self._take(ctype)
        self.slot_of[ref, ctype] = slot
        self.held.setdefault(ref, {})[ctype] = Tile(name, ctype)
        return name

    def _release(self, number: int) -> None:
        """Free the tiles of values that nothing after node `number` reads."""
        for (ref, ctype), slot in list(self.slot_of.items()):
            if self.last_use.get(ref, -1) <= number:
                del self.slot_of[ref, ctype], self.held[ref][ctype]
                self.free.append(slot)
        self.free.sort(reverse=True)

    # --- the walk ---------------------------------------------------------------------------------------------------

    def run(self) -> TileCode:
        for number, node in enumerate(self.expression.nodes):
            if ("node", number) in self.same:
                continue
            unit = self._vector_type(node)
            if unit is None:
                self.pending.append(number)
                continue
            self._flush()
            self._vector(number, node, unit)
            self._release(number)
        self._flush()
        for place, ref in enumerate(self.results):
            if place not in self.written:
                self._store(ref, self.outputs[place])
        is_scalar = any(line.startswith("for (") for line in self.lines)
        return TileCode(tuple(self.lines), self.slots, self.slot_itemsize, is_scalar)

    def _vector_type(self, node: Node) -> str | None:
        """The type in which the vector unit does a node; None: the scalar unit does it."""
        roots = [self._root(ref) for ref in node.args]
        if node.op == "cast":
            from_bytes = node.dtype == "ui8" and node.result in FLOATS
            if not from_bytes and not {node.dtype, node.result} <= {"f16", "f32", "i1"}:
                return None
            return self._truth_type(roots) if node.dtype == "i1" else self._carrier(node.dtype)
        if not any(op == node.op for op, _ in FORMS):
            return None
        if node.dtype in FLOATS:
            return self._carrier(node.dtype)
        return self._truth_type(roots) if node.dtype == "i1" and node.op != "select" else None

    def _truth_type(self, roots: Sequence[Ref]) -> str:
        """The type in which the vector unit has one of these truth values; else that of the numbers around."""
        for ref in roots:
            for ctype in self.held.get(ref, {}):
                if ctype in _VECTOR_TYPES:
                    return ctype
        narrow = not self.wide and any(node.dtype == "f16" for node in self.expression.nodes)
        return "half" if narrow else "float"

    # --- the vector unit --------------------------------------------------------------------------------------------

    def _vector(self, number: int, node: Node, unit: str) -> None:
        ref: Ref = ("node", number)
        if node.op == "cast":
            self._vector_cast(ref, node, unit)
            return
        args, form = self._form(node, unit)
        operands = []
        cycle = ""
        temporary: list[int] = []
        for arg, letter in args:
            text, cycled = self._operand(arg, letter, unit, node, temporary)
            operands.append(text)
            cycle = cycled or cycle
        target = self._target(ref, unit, operands, form)
        names = {}
        for name in "xyz"[: form.scratch]:
            slot, names[name] = self._take(unit)
            temporary.append(slot)
        self._emit(form.code.format(*operands, d=target, n=self.count, m=cycle, T=unit, **names))
        self.free += temporary

    def _form(self, node: Node, unit: str) -> tuple[list[tuple[Ref, str]], Form]:
        """The operands of a node and the form for them: as they lie, exchanged, or spread over tiles."""
        args = [(self._root(arg), self._letter(self._root(arg), unit)) for arg in node.args]
        attempts = [(node.op, args)]
        if len(args) == 2 and node.op in SWAPPED:
            attempts.append((SWAPPED[node.op], args[::-1]))
        attempts.append((node.op, [(arg, "t" if letter == "c" else letter) for arg, letter in args]))
        attempts.append((node.op, [(arg, "t") for arg, _ in args]))
        for op, arguments in attempts:
            form = FORMS.get((op, "".join(letter for _, letter in arguments)))
            if form is not None:
                return arguments, form
        raise AssertionError(f"{node.op} has no form for whole tiles")

    def _letter(self, ref: Ref, unit: str) -> str:
        if ref[0] == "scalar":
            return "s"
        tile = self.held.get(ref, {}).get(unit)
        return "c" if tile is not None and tile.cycle else "t"

    def _operand(self, ref: Ref, letter: str, unit: str, node: Node, temporary: list[int]) -> tuple[str, str]:
        """The C of an operand, and after how many elements it repeats."""
        if ref[0] == "scalar":
            text = literal(ref[1], "f32")
            if unit == "half":
                text = f"(half){text}"
            if letter == "s":
                return text, ""
            slot, name = self._take(unit)
            temporary.append(slot)
            self._emit(f"__bang_write_value({name}, {self.count}, {text});")
            return name, ""
        tile = self._tile(ref, unit)
        if letter == "c":
            return tile.name, tile.cycle
        if tile.cycle:
            tile = self._spread(ref, tile)
        return tile.name, ""

    def _spread(self, ref: Ref, tile: Tile) -> Tile:
        """A vector that repeats, written out over a tile."""
        key = f"{tile.ctype} spread"
        spread = self.held[ref].get(key)
        if spread is None:
            slot, name = self._take(tile.ctype)
            spread = Tile(name, tile.ctype)
            self.held[ref][key] = spread
            self.slot_of[ref, key] = slot
            self._emit(f"mm::repeat({name}, {tile.name}, {tile.cycle}, {self.count});")
        return spread

    def _tile(self, ref: Ref, ctype: str) -> Tile:
        """The tile that holds a value in `ctype`; converted if it does not yet lie so."""
        held = self.held[ref]
        if ctype in held:
            return held[ctype]
        source = next(iter(held.values()))
        target = self._hold(ref, ctype)
        if source.cycle:
            self.held[ref][ctype] = Tile(target, ctype, source.cycle)
        self._convert(source, target, ctype, self.expression.dtype(ref) == "i1", source.cycle or self.count)
        return held[ctype]

    def _convert(self, source: Tile, target: str, ctype: str, truth: bool, count: str) -> None:
        pair = source.ctype, ctype
        if pair == ("half", "float"):
            self._emit(f"__bang_half2float({target}, {source.name}, {count});")
        elif pair == ("float", "half"):
            self._emit(f"__bang_float2half_rn({target}, {source.name}, {count});")
        elif source.ctype == ctype and ctype in _VECTOR_TYPES:
            self._emit(f"__bang_mul_scalar({target}, {source.name}, ({ctype})1, {count});")
        elif source.ctype == ctype:
            self._emit("__sync_compute();")
            self._emit(f"__memcpy({target}, {source.name}, {count} * {SIZES[ctype]}, NRAM2NRAM);")
        elif source.ctype == "uint8_t" and ctype in _VECTOR_TYPES:
            self._emit(f"__bang_uchar2{ctype}({target}, {source.name}, {count});")
        elif ctype == "uint8_t" and truth and source.ctype in _VECTOR_TYPES:
            scratch = [self._take("float") for _ in range(2)]
            names = ", ".join(name for _, name in scratch)
            self._emit(f"mm::vector_truth({target}, {source.name}, {names}, {count});")
            self.free += [slot for slot, _ in scratch]
        else:
            read = f"({source.name}[i] != ({source.ctype})0)" if truth else f"{source.name}[i]"
            self._loop([f"{target}[i] = ({ctype}){read};"], count)

    def _vector_cast(self, ref: Ref, node: Node, unit: str) -> None:
        operand = self._root(node.args[0])
        if node.result == "i1":
            form = FORMS["truth", "t"]
            tile = self._tile(operand, unit)
            tile = self._spread(operand, tile) if tile.cycle else tile
            target = self._target(ref, unit, [tile.name], form)
            self._emit(form.code.format(tile.name, d=target, n=self.count, T=unit))
            return
        tile = self._tile(operand, unit)
        tile = self._spread(operand, tile) if tile.cycle else tile
        ctype = self._carrier(node.result)
        self._convert(tile, self._target(ref, ctype, [tile.name], FORMS["neg", "t"]), ctype, False, self.count)

    def _target(self, ref: Ref, ctype: str, operands: Sequence[str], form: Form) -> str:
        """The tile that a node's result is computed into: an output's where that does no harm, else a scratch tile."""
        for place, result in enumerate(self.results):
            output = self.outputs[place]
            if result == ref and output.ctype == ctype and self._is_free(output, ref, operands, form):
                self.written.add(place)
                self.held.setdefault(ref, {})[ctype] = output
                return output.name
        return self._hold(ref, ctype)

    def _is_free(self, output: Tile, ref: Ref, operands: Sequence[str], form: Form) -> bool:
        """Whether an output's tile may be written by node `ref`: it is no input that is read later, or by halves."""
        if output.name in operands and not form.in_place:
            return False
        for other, tiles in self.held.items():
            lies_there = any(tile.name == output.name for tile in tiles.values())
            if lies_there and other != ref and self.last_use.get(other, -1) > ref[1]:
                return False
        return True

    # --- the scalar unit --------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """One loop for the operations that wait for the scalar unit."""
        if not self.pending:
            return
        inside = {("node", number) for number in self.pending}
        body: list[str] = []
        for number in self.pending:
            node = self.expression.nodes[number]
            form = scalar_form(node)
            assert form is not None
            operands = [self._element(ref, node, position, inside) for position, ref in enumerate(node.args)]
            body.append(f"const {value_type(node.result)} v{number} = {form.format(*operands)};")
        last = self.pending[-1]
        for number in self.pending:
            body += self._kept(number, last)
        self._loop(body, self.count)
        self.pending = []
        self._release(last)

    def _kept(self, number: int, last: int) -> list[str]:
        """Statements that keep a node's value where it is read after the loop that ends with node `last`."""
        ref: Ref = ("node", number)
        if self.last_use.get(ref, -1) <= last:
            return []
        ctype = self._carrier(self.expression.nodes[number].result)
        code = []
        for place, result in enumerate(self.results):
            output = self.outputs[place]
            if result == ref and self._is_free_after(output, last):
                self.written.add(place)
                self.held.setdefault(ref, {})[output.ctype] = output
                code.append(f"{output.name}[i] = ({output.ctype})v{number};")
        if not code:
            code.append(f"{self._hold(ref, ctype)}[i] = ({ctype})v{number};")
        return code

    def _is_free_after(self, output: Tile, last: int) -> bool:
        return not any(
            any(tile.name == output.name for tile in tiles.values()) and self.last_use.get(other, -1) > last
            for other, tiles in self.held.items()
        )

    def _element(self, ref: Ref, node: Node, position: int, inside: set[tuple[str, int]]) -> str:
        """The C of one element of an operand."""
        ref = self._root(ref)
        dtype = "i1" if node.op == "select" and position == 0 else node.dtype
        if ref[0] == "scalar":
            return literal(ref[1], dtype)
        if ref in inside:
            return f"v{ref[1]}"
        held = self.held[ref]
        tile = held.get(C_TYPES[dtype]) or next(iter(held.values()))
        element = f"{tile.name}[i % {tile.cycle}]" if tile.cycle else f"{tile.name}[i]"
        if dtype == "i1":
            return f"({element} != ({tile.ctype})0)"
        return f"(float){element}" if tile.ctype == "half" else element

    def _loop(self, body: Sequence[str], count: str) -> None:
        self._emit("__sync_compute();")
        self._emit(f"for (int i = 0; i < {count}; ++i) {{")
        self.lines += ["  " + line for line in body]
        self._emit("}")

    def _store(self, ref: Ref, output: Tile) -> None:
        """Bring a value into an output's tile."""
        held = self.held[ref]
        tile = held.get(output.ctype) or next(iter(held.values()))
        if tile.cycle:
            tile = self._spread(ref, tile)
        if tile.name != output.name:
            self._convert(tile, output.name, output.ctype, self.expression.dtype(ref) == "i1", self.count)

    def _emit(self, code: str) -> None:
        self.lines += code.split("\n")
