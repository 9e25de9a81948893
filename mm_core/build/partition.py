"""From placed operations to a plan: maximal acyclic parts, explicit copies, and instructions in order.

Operations of one graph get a *level*: the largest number of device changes on any way that leads to them. Operations
of one device and level form a part; since levels never fall along an edge and rise where the device changes, parts
cannot wait for each other in a circle. With several devices, pieces of a part that share no value are parts of their
own, so that they can run at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from mm_core.build.guards import part_guards
from mm_core.build.placement import HOST_DEVICE
from mm_core.device import HOST
from mm_core.errors import BuildError
from mm_core.ir import Graph, Network, Operation, Value, assume_known, copy_operation, known_value, sizes_of
from mm_core.model.plan import Block, Copy, Host, If, Instruction, Launch, Loop, PartInfo, Sizes, Slots
from mm_core.types import TensorData, ValueType


@dataclass
class Part:
    """A part before it is compiled: its device and its operations as a network of their own."""

    device: int
    network: Network


@dataclass
class Partition:
    """All parts of a network and the plan's pieces that refer to them."""

    main: Block
    parts: list[Part] = field(default_factory=list)
    infos: list[PartInfo] = field(default_factory=list)
    slots: list[ValueType] = field(default_factory=list)
    constant_slots: dict[int, int] = field(default_factory=dict)
    constants: list[TensorData] = field(default_factory=list)


def partition(network: Network, device: Mapping[Operation, int], spaces: Sequence[str]) -> Partition:
    """Cut a placed network into parts. `spaces` gives the memory space of each device."""
    return _Partitioner(device, spaces).run(network)


@dataclass
class _Group:
    device: int
    level: int
    operations: list[Operation]
    order: int


class _Partitioner:
    def __init__(self, device: Mapping[Operation, int], spaces: Sequence[str]) -> None:
        self.device = device
        self.spaces = spaces
        self.split = len({d for d in device.values() if d != HOST_DEVICE}) > 1
        self.result = Partition(Block((), (), ()))
        self.symbols: set[str] = set()

    def run(self, network: Network) -> Partition:
        self.symbols = network.symbols()
        self.result.main = self._block(network)
        return self.result

    def _space(self, device: int) -> str:
        return HOST if device == HOST_DEVICE else self.spaces[device]

    def _slot(self, type_: ValueType) -> int:
        self.result.slots.append(type_)
        return len(self.result.slots) - 1

    def _block(self, graph: Graph) -> Block:
        return _BlockBuilder(self, graph).build()

    def _groups(self, graph: Graph) -> list[_Group]:
        """Operations by device and level, in an order in which they can run; work for other spaces than the host
        first among what is ready, since it runs while the host goes on."""
        levels: dict[Operation, int] = {}
        groups: dict[tuple[int, int, int], _Group] = {}
        for order, operation in enumerate(graph.operations):
            if operation.name == "mm.constant":
                continue
            device = self.device[operation]
            level = 0
            for operand in operation.operands:
                producer = None if operand is None else operand.defining_op
                if producer is not None and producer in levels:
                    changed = self.device[producer] != device or device == HOST_DEVICE
                    level = max(level, levels[producer] + changed)
            levels[operation] = level
            single = order + 1 if device == HOST_DEVICE else 0
            group = groups.setdefault((device, level, single), _Group(device, level, [], order))
            group.operations.append(operation)
        found = [piece for group in groups.values() for piece in self._pieces(group)]
        return sorted(found, key=lambda g: (g.level, self._space(g.device) == HOST, g.device == HOST_DEVICE, g.order))

    def _pieces(self, group: _Group) -> list[_Group]:
        if not self.split or len(group.operations) == 1:
            return [group]
        leader: dict[Operation, Operation] = {operation: operation for operation in group.operations}

        def find(operation: Operation) -> Operation:
            while leader[operation] is not operation:
                leader[operation] = operation = leader[leader[operation]]
            return operation

        for operation in group.operations:
            for operand in operation.operands:
                producer = None if operand is None else operand.defining_op
                if producer in leader:
                    leader[find(operation)] = find(producer)
        pieces: dict[Operation, _Group] = {}
        for operation in group.operations:
            piece = pieces.setdefault(find(operation), _Group(group.device, group.level, [], group.order))
            piece.operations.append(operation)
        for index, piece in enumerate(pieces.values()):
            piece.order = group.order + index
        return list(pieces.values())


class _BlockBuilder:
    """Builds one block: instructions for one graph, with a slot for each value in each memory space it visits."""

    def __init__(self, owner: _Partitioner, graph: Graph) -> None:
        self.owner = owner
        self.graph = graph
        self.home: dict[Value, int] = {}
        self.slots: dict[tuple[Value, str], int] = {}
        self.instructions: list[Instruction] = []

    def build(self) -> Block:
        arguments = tuple(self._define(argument, HOST_DEVICE) for argument in self.graph.arguments)
        for group in self.owner._groups(self.graph):
            if group.device == HOST_DEVICE:
                self._host(group.operations[0])
            else:
                self._launch(group)
        results = tuple(self._read(value, HOST_DEVICE) for value in self.graph.outputs)
        return Block(arguments, tuple(self.instructions), results)

    def _define(self, value: Value, device: int) -> int:
        slot = self.owner._slot(value.type)
        self.home[value] = device
        self.slots[value, self.owner._space(device)] = slot
        return slot

    def _read(self, value: Value | None, device: int) -> int:
        """The slot of a value where `device` can read it; a copy is added where it is elsewhere."""
        if value is None:
            return -1
        space = self.owner._space(device)
        slot = self.slots.get((value, space))
        if slot is not None:
            return slot
        producer = value.defining_op
        if producer is not None and producer.name == "mm.constant" and value not in self.home:
            slot = self._define(value, HOST_DEVICE)
            result = self.owner.result
            result.constant_slots[slot] = len(result.constants)
            result.constants.append(producer.attributes["value"])
            return self._read(value, device)
        home = self.home[value]
        if space != HOST and self.owner._space(home) != HOST:
            self._read(value, HOST_DEVICE)
            home = HOST_DEVICE
        slot = self.slots[value, space] = self.owner._slot(value.type)
        source = self.slots[value, self.owner._space(home)]
        self.instructions.append(Copy(source, slot, home, device))
        return slot

    def _launch(self, group: _Group) -> None:
        inside = set(group.operations)
        network = Network(f"part{len(self.owner.result.parts)}")
        mapping: dict[Value, Value] = {}
        border: list[Value] = []
        for operation in group.operations:
            for operand in operation.operands:
                if operand is None or operand in mapping or operand.defining_op in inside:
                    continue
                producer = operand.defining_op
                if producer is not None and producer.name == "mm.constant":
                    copy_operation(producer, mapping, network)
                else:
                    mapping[operand] = network.add_typed_input(f"input{len(border)}", operand.type)
                    # What a backend knew when it accepted the operation it must know when it compiles it.
                    assume_known(mapping[operand], known_value(operand))
                    border.append(operand)
            copy_operation(operation, mapping, network)
        results = [
            value
            for operation in group.operations
            for value in operation.results
            if any(user not in inside for user in value.users)
        ]
        if not results:
            return
        for index, value in enumerate(results):
            network.mark_output(mapping[value], f"output{index}")
        inputs: Slots = tuple(self._read(value, group.device) for value in border)
        outputs: Slots = tuple(self._define(value, group.device) for value in results)
        # What a request is checked against holds for the main block alone: a region may never run.
        known = self.owner.symbols if isinstance(self.graph, Network) else frozenset[str]()
        number = len(self.owner.result.parts)
        self.owner.result.parts.append(Part(group.device, network))
        self.owner.result.infos.append(
            PartInfo(
                group.device,
                tuple(v.type for v in border),
                tuple(v.type for v in results),
                _symbols(network),
                part_guards(network, known),
            )
        )
        self.instructions.append(Launch(number, inputs, outputs))

    def _host(self, operation: Operation) -> None:
        read = tuple(self._read(operand, HOST_DEVICE) for operand in operation.operands)
        if operation.name == "mm.if":
            then_block, else_block = (self.owner._block(region) for region in operation.regions)
            outputs = self._results(operation)
            self.instructions.append(If(read[0], read[1:], outputs, then_block, else_block, operation.where))
        elif operation.name == "mm.loop":
            carried = operation.attributes["carried"]
            read += (-1,) * (2 - len(read))
            body = self.owner._block(operation.regions[0])
            values = read[2:]
            outputs = self._results(operation)
            self.instructions.append(
                Loop(read[0], read[1], values[:carried], values[carried:], outputs, body, operation.where)
            )
        elif operation.name == "mm.sizes":
            self.instructions.append(Sizes(read[0], operation.attributes["names"], operation.where))
            self.home[operation.result] = HOST_DEVICE
            self.slots[operation.result, HOST] = read[0]
        elif operation.regions:
            raise BuildError(f"{operation.name} has regions the runtime cannot run", where=operation.where)
        else:
            attributes = {name: _plain(value) for name, value in operation.attributes.items()}
            self.instructions.append(Host(operation.name, read, self._results(operation), attributes, operation.where))

    def _results(self, operation: Operation) -> Slots:
        return tuple(self._define(value, HOST_DEVICE) for value in operation.results)


def _symbols(part: Network) -> tuple[str, ...]:
    """All sizes that a part's program needs."""
    values = chain(part.arguments, *(operation.results for operation in part.operations))
    return tuple(sorted({name for value in values for name in sizes_of(value)}))


def _plain(value: object) -> object:
    """An attribute as JSON data; types as their text (`runtime.host` reads them back by the operator's schema)."""
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return {"type": str(value)}
