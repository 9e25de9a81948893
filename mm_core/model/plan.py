"""The plan: the compiled form of a whole network, which the runtime executes without the graph.

Values live in numbered slots. A block lists instructions in an order that respects their data; `If` and `Loop` hold
blocks of their own, which see nothing but their arguments. Files are not trusted: `Plan.from_json` takes nothing but
what `to_json` writes, and `check_plan` comes before running.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from mm_core.errors import MMError, ModelFileError
from mm_core.serial import check_fields
from mm_core.types import GUARD_KINDS, Dim, Guard, ValueType, parse_dim, parse_type, symbol

MAX_NESTING = 100
Slots = tuple[int, ...]
"""Slot numbers; -1 stands for an absent optional."""
Guards = tuple[tuple[Guard, str], ...]
"""Guards, each with the user's node that needs it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Run a part on its device."""

    tag: ClassVar[str] = "launch"
    part: int
    inputs: Slots
    outputs: Slots


@dataclass(frozen=True, slots=True)
class Copy:
    """Bring a value from the memory space of one device to that of another (device numbers; -1 is the host)."""

    tag: ClassVar[str] = "copy"
    source: int
    target: int
    source_device: int
    target_device: int


@dataclass(frozen=True, slots=True)
class Host:
    """An operation that the runtime performs itself on host values: sequences, optionals and the like."""

    tag: ClassVar[str] = "host"
    operator: str
    inputs: Slots
    outputs: Slots
    attributes: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """Read the integers of a slot: from here to the end of the block, they are the sizes of these names."""

    tag: ClassVar[str] = "sizes"
    source: int
    names: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True)
class If:
    """One of two blocks, by a scalar condition. Both take all `inputs` as arguments."""

    tag: ClassVar[str] = "if"
    condition: int
    inputs: Slots
    outputs: Slots
    then_block: Block
    else_block: Block
    where: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat a block while its condition holds, `trip_count` times at the most.

    The block's arguments are the iteration number, the condition, `carried` and `invariants`; its results the new
    condition, the new carried values, and one value an iteration for each scan output. Outputs are the last carried
    values and the scan outputs, stacked along a new first axis.
    """

    tag: ClassVar[str] = "loop"
    trip_count: int
    condition: int
    carried: Slots
    invariants: Slots
    outputs: Slots
    body: Block
    where: str


Instruction = Launch | Copy | Host | Sizes | If | Loop


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions with arguments and results."""

    arguments: Slots
    instructions: tuple[Instruction, ...]
    results: Slots

    def walk(self) -> Iterator[Instruction]:
        """All instructions, those of inner blocks included."""
        for instruction in self.instructions:
            yield instruction
            if isinstance(instruction, If):
                yield from instruction.then_block.walk()
                yield from instruction.else_block.walk()
            elif isinstance(instruction, Loop):
                yield from instruction.body.walk()


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What the plan knows of a part: its device (an index into `Plan.devices`), and its border's types.

    `symbols` are the sizes that its program is bound with. `guards` are checked when the part is bound: they hold
    sizes that only running tells, each with the user's node.
    """

    device: int
    inputs: tuple[ValueType, ...]
    outputs: tuple[ValueType, ...]
    symbols: tuple[str, ...] = ()
    guards: Guards = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`slots` gives every slot's type, `constants` the slots that hold a constant from the start, by its number."""

    devices: tuple[str, ...]
    parts: tuple[PartInfo, ...]
    slots: tuple[ValueType, ...]
    constants: Mapping[int, int]
    guards: Guards
    main: Block

    def to_json(self) -> dict[str, Any]:
        return {
            "devices": list(self.devices),
            "parts": [
                {
                    "device": p.device,
                    "inputs": [str(t) for t in p.inputs],
                    "outputs": [str(t) for t in p.outputs],
                    "symbols": list(p.symbols),
                    "guards": _guards_to_json(p.guards),
                }
                for p in self.parts
            ],
            "slots": [str(type_) for type_ in self.slots],
            "constants": [[slot, number] for slot, number in sorted(self.constants.items())],
            "guards": _guards_to_json(self.guards),
            "main": _block_to_json(self.main),
        }

    @classmethod
    def from_json(cls, data: Any) -> Plan:
        """The plan that `to_json` wrote; ModelFileError for anything else. `check_plan` says whether it can run."""
        fields = check_fields(
            data,
            "plan",
            {"devices": list, "parts": list, "slots": list, "constants": list, "guards": list, "main": dict},
        )
        try:
            return cls(
                tuple(_checked(str, name) for name in fields["devices"]),
                tuple(map(_part, fields["parts"])),
                _types(fields["slots"]),
                {_checked(int, slot): _checked(int, number) for slot, number in fields["constants"]},
                _guards(fields["guards"]),
                _block_from_json(fields["main"], 0),
            )
        except ModelFileError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, MMError) as error:
            raise ModelFileError(f"the plan is not valid: {error!s:.200}", remedy="build the model again") from error


def _guards_to_json(guards: Guards) -> list[list[Any]]:
    return [[str(guard.left), str(guard.right), guard.kind, where] for guard, where in guards]


def _block_to_json(block: Block) -> dict[str, Any]:
    return {
        "arguments": list(block.arguments),
        "instructions": [_instruction_to_json(instruction) for instruction in block.instructions],
        "results": list(block.results),
    }


def _instruction_to_json(instruction: Instruction) -> dict[str, Any]:
    data: dict[str, Any] = {"do": instruction.tag}
    for field in fields(instruction):
        value = getattr(instruction, field.name)
        if isinstance(value, Block):
            value = _block_to_json(value)
        data[field.name] = list(value) if isinstance(value, tuple) else value
    return data


_KINDS: Mapping[str, type[Instruction]] = {kind.tag: kind for kind in (Launch, Copy, Host, Sizes, If, Loop)}


def _block_from_json(data: Any, depth: int) -> Block:
    if depth > MAX_NESTING:
        raise ModelFileError(f"the plan nests deeper than {MAX_NESTING}")
    return Block(
        _slots(data["arguments"]),
        tuple(_instruction_from_json(item, depth) for item in data["instructions"]),
        _slots(data["results"]),
    )


def _instruction_from_json(data: Mapping[str, Any], depth: int) -> Instruction:
    kind = _KINDS[data["do"]]
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = data[field.name]
        kind_name = str(field.type)
        if kind_name == "Block":
            value = _block_from_json(value, depth + 1)
        elif kind_name == "Slots":
            value = _slots(value)
        elif kind_name == "tuple[str, ...]":
            value = _names(value)
        elif kind_name == "int":
            value = _checked(int, value)
        elif kind_name == "str":
            value = _checked(str, value)
        elif kind_name.startswith("Mapping"):
            value = _checked(dict, value)
        values[field.name] = value
    if set(data) != {"do", *values}:
        raise ModelFileError(f"unknown fields in an instruction: {sorted(set(data) - set(values))}")
    return kind(**values)


def _part(data: Any) -> PartInfo:
    part = check_fields(data, "part", {"device": int, "inputs": list, "outputs": list, "symbols": list, "guards": list})
    borders = _types(part["inputs"]), _types(part["outputs"])
    return PartInfo(part["device"], *borders, _names(part["symbols"]), _guards(part["guards"]))


def _guards(values: Sequence[Any]) -> Guards:
    return tuple(
        (Guard(_dim(left), _dim(right), GUARD_KINDS[GUARD_KINDS.index(kind)]), _checked(str, where))
        for left, right, kind, where in values
    )


def _types(values: Sequence[Any]) -> tuple[ValueType, ...]:
    return tuple(parse_type(_checked(str, value)) for value in values)


def _dim(value: Any) -> Dim:
    return parse_dim(_checked(str, value))


def _names(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(symbol(_checked(str, value))) for value in values)


def _slots(values: Sequence[Any]) -> Slots:
    return tuple(_checked(int, value) for value in values)


def _checked(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ModelFileError(f"the plan has {type(value).__name__} where {kind.__name__} belongs")
    return value
