"""Who runs each operation. The preferred backend is asked for the operation as it stands, then for its decomposition,
then the next backend; every refusal keeps its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from mm_core.compiler import Compiler, No
from mm_core.errors import BuildError, MMError, UnsupportedOpError
from mm_core.ir import Builder, Graph, Network, Operation, Value, compatible, known_value, sizes_of
from mm_core.model.report import FALLBACK, HOST_KIND, NATIVE, Placement
from mm_core.ops import Tier, lookup
from mm_core.runtime import HOST_FUNCTIONS
from mm_core.types import Dim, Shape, TensorType, ValueType, symbols

HOST_DEVICE = -1
CONTROL_FLOW = frozenset({"mm.if", "mm.loop"})
"""Operations with regions that the plan has instructions for; others must decompose into these."""
SIZES = "mm.sizes"
"""The operation that the plan has an instruction for, and no backend runs."""
_MAX_DECOMPOSITION = 32


@dataclass
class Placed:
    """Device numbers of operations (indices into the backends; HOST_DEVICE: the runtime), and the records."""

    device: dict[Operation, int] = field(default_factory=dict)
    records: list[Placement] = field(default_factory=list)


def place(network: Network, compilers: Sequence[Compiler], strict: bool) -> Placed:
    """Place every operation of the network, decomposing where a backend wants the parts. BuildError if none can."""
    return _Placer(compilers, strict).run(network)


class _Placer:
    def __init__(self, compilers: Sequence[Compiler], strict: bool) -> None:
        self.compilers = compilers
        self.strict = strict
        self.placed = Placed()

    def run(self, network: Network) -> Placed:
        self._graph(network)
        return self.placed

    def _graph(self, graph: Graph) -> None:
        for operation in graph.operations:
            if operation.name == "mm.constant" or operation in self.placed.device:
                continue
            node, op_name = operation.where, operation.name
            self._record(node, op_name, *self._operation(operation))

    def _record(self, node: str, op_name: str, device: int, fallback: bool, reasons: Sequence[str]) -> None:
        kind = FALLBACK if fallback else HOST_KIND if device == HOST_DEVICE else NATIVE
        name = "host" if device == HOST_DEVICE else self.compilers[device].backend
        self.placed.records.append(Placement(node, op_name, name, kind, "; ".join(reasons)))

    def _operation(self, operation: Operation) -> tuple[int, bool, list[str]]:
        reasons: list[str] = []
        if operation.regions and operation.name != "mm.fused":
            device, refused = self._claimed(operation)
            if device is not None:
                self.placed.device[operation] = device
                return device, False, refused
            if operation.name not in CONTROL_FLOW and not self._expand(operation, HOST_DEVICE, 0):
                return HOST_DEVICE, False, reasons
            for region in operation.regions:
                self._graph(region)
            self.placed.device[operation] = HOST_DEVICE
            return HOST_DEVICE, False, reasons
        if operation.name == SIZES or self._only_host(operation):
            self.placed.device[operation] = HOST_DEVICE
            return HOST_DEVICE, False, reasons
        where, op_name = operation.where, operation.name
        for device, compiler in enumerate(self.compilers):
            support = compiler.supports(operation)
            if not isinstance(support, No):
                if support.fallback and self.strict:
                    reasons.append(f"{compiler.backend}: only by the operator's numpy reference, refused by strict")
                    continue
                self.placed.device[operation] = device
                return device, support.fallback, reasons
            obstacle = self._expand(operation, device, 0)
            if not obstacle:
                return device, False, reasons
            reasons.append(f"{compiler.backend}: {support.reason}{obstacle}")
        if operation.definition.tier is Tier.HOST and operation.definition.has_reference and not self.strict:
            self.placed.device[operation] = HOST_DEVICE
            return HOST_DEVICE, True, reasons
        raise BuildError(
            f"no backend runs {op_name}: {'; '.join(reasons)}",
            where=where,
            available=", ".join(compiler.backend for compiler in self.compilers),
            remedy="add a backend" + (" or build without strict" if self.strict else ""),
        )

    def _claimed(self, operation: Operation) -> tuple[int | None, list[str]]:
        """The first backend that runs control flow with all that is in its regions, and why those before it do not;
        None leaves it to the runtime."""
        reasons: list[str] = []
        for device, compiler in enumerate(self.compilers):
            support = compiler.supports(operation)
            if isinstance(support, No) and operation.name not in CONTROL_FLOW:
                for region in operation.regions:
                    self._expand_all(region, device)
                support = compiler.supports(operation)
            if isinstance(support, No):
                reasons.append(f"{compiler.backend}: {support.reason}")
            elif not support.fallback:
                return device, reasons
        return None, reasons

    def _expand_all(self, graph: Graph, device: int) -> None:
        """Replace what a device refuses in a graph by decompositions that it takes, where there are any."""
        supports = self.compilers[device].supports
        for operation in graph.operations:
            if operation.name == "mm.constant" or not isinstance(supports(operation), No):
                continue
            if operation.regions and operation.name != "mm.fused":
                for region in operation.regions:
                    self._expand_all(region, device)
            else:
                self._expand(operation, device, 0)

    def _only_host(self, operation: Operation) -> bool:
        """Whether the runtime performs an operation itself, since no backend does it better."""
        if operation.name not in HOST_FUNCTIONS:
            return False
        answers = (compiler.supports(operation) for compiler in self.compilers)
        return all(isinstance(answer, No) or answer.fallback for answer in answers)

    def _expand(self, operation: Operation, device: int, depth: int) -> str:
        """Replace an operation by its decomposition if the device takes all of it (the host: if it has one).

        Gives what stands in the way, worded to follow the refusal of the whole; empty if it was replaced.
        """
        graph = operation.parent
        assert graph is not None
        marker = operation.previous
        recorded = len(self.placed.records)
        values = decompose(operation) if depth <= _MAX_DECOMPOSITION else None
        if values is None:
            return ", and it has no decomposition"
        # What is built may itself be replaced by its parts: a reader beside the graph keeps track of the results.
        reader = Operation(lookup("mm.yield"), values, (), {})
        for made in _between(marker, operation, graph):
            if made.name == "mm.constant":
                continue
            if device == HOST_DEVICE:
                self._operation(made)
            elif obstacle := self._refusal(made, device, depth):
                reader.erase()
                del self.placed.records[recorded:]
                for leftover in reversed(_between(marker, operation, graph)):
                    self.placed.device.pop(leftover, None)
                    leftover.erase()
                return f", and of its decomposition {obstacle}"
        values = [value for value in reader.operands if value is not None]
        reader.erase()
        replace(operation, values)
        return ""

    def _refusal(self, operation: Operation, device: int, depth: int) -> str:
        """Place a part of a decomposition on a device; what stands in the way, empty if it is placed.

        Control flow, reading sizes and random streams are the runtime's, or another backend's.
        """
        has_control_flow = operation.regions and operation.name != "mm.fused"
        if has_control_flow or operation.definition.tier is Tier.HOST:
            return self._elsewhere(operation, device)
        support = self.compilers[device].supports(operation)
        if isinstance(support, No) and known_value(operation.results[0]) is not None:
            # Arithmetic of sizes may run anywhere: it costs nothing, and accelerators rarely have 64-bit integers.
            return self._elsewhere(operation, device)
        if isinstance(support, No):
            obstacle = self._expand(operation, device, depth + 1)
            return f"{operation.name}: {support.reason}{obstacle}" if obstacle else ""
        if support.fallback and self.strict:
            return f"{operation.name}: only by its numpy reference, refused by strict"
        self.placed.device[operation] = device
        return ""

    def _elsewhere(self, operation: Operation, wanted: int) -> str:
        """Place a part of a decomposition wherever it can run; what stands in the way, empty if it is placed.

        It gets a record of its own if another backend took it than the one that has the rest.
        """
        node, op_name = operation.where, operation.name
        try:
            device, fallback, reasons = self._operation(operation)
        except BuildError as error:
            return f"{op_name}: {error.what}"
        if device not in (wanted, HOST_DEVICE):
            self._record(node, op_name, device, fallback, reasons)
        return ""


def replace(operation: Operation, values: Sequence[Value]) -> None:
    """Put the values of a decomposition in an operation's place.

    Where the operation had to give a size a new name and its decomposition tells the size, the network learns it.
    """
    graph = operation.parent
    assert graph is not None
    named = _named_sizes(operation)
    bindings: dict[str, Dim] = {}
    for old, new in zip(operation.results, values):
        for before, after in zip(_shape(old), _shape(new)):
            if before in named and before != after:
                bindings.setdefault(str(before), after)
    operation.replace_with(values)
    if bindings:
        graph.root.substitute(bindings)


def _named_sizes(operation: Operation) -> set[Dim]:
    """Sizes that an operation had to give a name, since nothing before it brings them."""
    assert operation.parent is not None
    brought = {name for operand in operation.operands if operand is not None for name in sizes_of(operand)}
    named = {dim for value in operation.results for dim in _shape(value) if symbols(dim) == {str(dim)} - brought}
    if named:
        root = operation.parent.root
        values = list(root.arguments)
        for before in takewhile(lambda other: other is not operation, root.walk()):
            values += before.results
        named -= {dim for value in values for dim in _shape(value)}
    return named


def _shape(value: Value) -> Shape:
    return (value.type.shape or ()) if isinstance(value.type, TensorType) else ()


def _known_better(old: Value, new: Value, named: set[Dim]) -> ValueType:
    """The type of a decomposition's value: that of the result it replaces, but for sizes that only it tells."""
    if not isinstance(old.type, TensorType) or old.type.shape is None:
        return new.type
    shape = _shape(new) if isinstance(new.type, TensorType) and new.type.shape is not None else old.type.shape
    return old.type.with_shape(after if before in named else before for before, after in zip(old.type.shape, shape))


def _between(marker: Operation | None, end: Operation, graph: Graph) -> list[Operation]:
    found = []
    current = end.previous
    while current is not None and current is not marker:
        found.append(current)
        current = current.previous
    return found[::-1]


def decompose(operation: Operation) -> list[Value] | None:
    """Build the decomposition in front of an operation, with its locations; None if it has none for this case.

    The new values take over the operation's result types where these say more.
    """
    graph = operation.parent
    assert graph is not None
    marker = operation.previous
    builder = Builder(graph, operation, operation.locations)
    schema = operation.definition.operands
    missing = max(0, len(operation.operand_types()) - len(operation.operands)) if schema else 0
    extra = {"regions": operation.regions} if operation.regions else {}
    try:
        built = operation.definition.decompose(
            builder, *operation.operands, *[None] * missing, **operation.attributes, **extra
        )
    except UnsupportedOpError:
        built = None
    except MMError as error:
        raise error.located(operation.where) from None
    if built is None:
        for leftover in reversed(_between(marker, operation, graph)):
            leftover.erase()
        return None
    values = list(built) if isinstance(built, (tuple, list)) else [built]
    named = _named_sizes(operation)
    for old, new in zip(operation.results, values):
        if old.type != new.type and compatible(old.type, new.type) and new.defining_op is not None:
            new.type = _known_better(old, new, named)
    return values
