"""Splitting a graph: the nodes that our importers take in parts of our engine, the others in TensorFlow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
from tensorflow.python.ops.handle_data_util import copy_handle_data

from mm_core.errors import MMError
from mm_core.ir import Network
from mm_parser_tensorflow.elements import dtype_of
from mm_parser_tensorflow.importers import TABLE
from mm_parser_tensorflow.inline import Inlined
from mm_parser_tensorflow.names import tensor_name
from mm_parser_tensorflow.needed import CHANGES, called_functions
from mm_parser_tensorflow.reader import Reader, Scope, unknown
from mm_parser_tensorflow.report import CompileReport, Left
from mm_parser_tensorflow.resources import Resource
from mm_parser_tensorflow.source import Program, of_call

_FREE = frozenset({"Const", "Placeholder", "NoOp"})
_READ = "ReadVariableOp"
_ARGUMENT = "mm_argument_"
_CHECKS = frozenset({"Assert", "PrintV2"})
"""What networks leave out, and a function does not."""
_HANDLES = (tf.resource, tf.variant)


@dataclass(frozen=True)
class Whole:
    """A traced function to be split, the calls in it inlined. `function` is its graph, which pieces are cut from."""

    program: Program
    function: Any
    inputs: tuple[str, ...]
    """Tensors (`node:0`) of the arguments; captured tensors are the program's."""
    outputs: tuple[str, ...]
    effects: frozenset[str]
    """Nodes that run even where nobody wants their results."""

    @property
    def graph(self) -> Any:
        return self.function.graph

    @property
    def captured(self) -> Mapping[str, Any]:
        """What the caller does not give, by the tensor that stands for it."""
        return {f"{name}:0": tensor for name, tensor in self.program.captures.items()}


def whole_of(function: Any, name: str, model: Any = None) -> Whole:
    """A concrete function, to be split; `model` is the keras.Model that it calls."""
    graph = function.graph
    program = of_call(function, name, model=model)
    # New names: the scopes in those of captured tensors are names of nodes too, which importing would change.
    placeholders = {tensor.op.name: f"{_ARGUMENT}{place}" for place, tensor in enumerate(graph.inputs)}
    inlined = Inlined(program.graph, {old: f"{new}:0" for old, new in placeholders.items()})

    def build() -> None:
        arguments = {}
        for tensor, new in zip(graph.inputs, placeholders.values()):
            arguments[f"{new}:0"] = argument = tf.compat.v1.placeholder(tensor.dtype, tensor.shape, new)
            copy_handle_data(tensor, argument)  # Without it the shapes of variables are lost.
        read = {source for node in inlined.graph.node for source in node.input}
        given = {name: argument for name, argument in arguments.items() if name in read}
        tf.graph_util.import_graph_def(inlined.graph, given, name="")

    whole = tf.compat.v1.wrap_function(build, [])
    captures = {placeholders[name]: tensor for name, tensor in program.captures.items()}
    return Whole(
        replace(program, graph=whole.graph.as_graph_def(), captures=captures),
        whole,
        tuple(f"{new}:0" for new in placeholders.values() if new not in captures),
        tuple(inlined.tensor(tensor.name) for tensor in graph.outputs),
        frozenset(end for operation in graph.control_outputs for end in inlined.ends(operation.name)),
    )


@dataclass(frozen=True)
class Piece:
    """Nodes that run together. `inputs` come from other pieces or the caller, `outputs` go there (`node:0`)."""

    is_ours: bool
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def split(whole: Whole, report: CompileReport) -> list[Piece]:
    """The pieces of a function's graph, in an order that they can run in. `report` hears what stays and why."""
    graph = whole.graph
    free = Free(whole)
    ours = _supported(whole, free, report)
    level = _levels(graph, ours, free)
    groups: dict[tuple[int, bool], list[Any]] = defaultdict(list)
    for operation in graph.get_operations():
        if operation.name in level:
            groups[level[operation.name], operation.name in ours].append(operation)
    pieces = [_piece(whole, groups[key], key[1], free) for key in sorted(groups)]
    report.parts = sum(piece.is_ours for piece in pieces)
    report.engine_nodes = len(ours)
    return pieces


class Free:
    """Which nodes each piece has for itself: constants, and variables that the graph does not change."""

    def __init__(self, whole: Whole) -> None:
        library = whole.program.graph.library.function
        self._changing: dict[str, bool] = {}
        self._library = {str(function.signature.name): function.node_def for function in library}
        self._changed = {
            tensor.name
            for operation in whole.graph.get_operations()
            if self._changes(operation.node_def)
            for tensor in operation.inputs
            if tensor.dtype == tf.resource
        }

    def __contains__(self, operation: Any) -> bool:
        if operation.type == _READ:
            return operation.inputs[0].op.type == "Placeholder" and operation.inputs[0].name not in self._changed
        return operation.type in _FREE

    def effect_within(self, node: Any) -> str:
        """Why a branch or loop has to be TensorFlow's: what its functions do besides giving values; empty if nothing.

        Nodes of such kinds in the graph itself stand alone; within a function nobody asks for them.
        """
        pending, seen = called_functions(node), set()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            for inner in self._library.get(name, ()):
                if inner.op in _CHECKS or TABLE.find(inner.op) is None:
                    return unknown(inner.op, "").what
                pending |= called_functions(inner)
        return ""

    def _changes(self, node: Any) -> bool:
        if CHANGES.fullmatch(node.op):
            return True
        return any(self._function_changes(name) for name in called_functions(node))

    def _function_changes(self, name: str) -> bool:
        if name not in self._changing:
            self._changing[name] = False
            self._changing[name] = any(map(self._changes, self._library.get(name, ())))
        return self._changing[name]


def _levels(graph: Any, ours: set[str], free: Free) -> dict[str, int]:
    """How often a value has crossed the border before it reaches a node: nodes of one level and side run together."""
    level: dict[str, int] = {}
    for operation in graph.get_operations():
        if operation in free:
            continue
        sources = [tensor.op.name for tensor in operation.inputs] + [other.name for other in _before(operation)]
        crossed = [level[name] + ((name in ours) != (operation.name in ours)) for name in sources if name in level]
        level[operation.name] = max(crossed, default=0)
    return level


def _before(operation: Any) -> Iterator[Any]:
    """What must have run before a node without giving it a value; a NoOp stands for what comes before it."""
    for other in operation.control_inputs:
        yield other
        if other.type == "NoOp":
            yield from _before(other)


def _piece(whole: Whole, operations: list[Any], is_ours: bool, free: Free) -> Piece:
    own = {operation.name for operation in operations}
    captured, results = whole.captured, set(whole.outputs)
    arguments = {*whole.inputs, *captured}
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    for operation in operations:
        for tensor in operation.inputs:
            is_free = tensor.op in free and tensor.name not in arguments
            if tensor.op.name not in own and not is_free:
                inputs[tensor.name] = None
        for tensor in operation.outputs:
            leaves = any(consumer.name not in own for consumer in tensor.consumers())
            if leaves or tensor.name in results:
                outputs[tensor.name] = None
    if is_ours:
        inputs = {name: None for name in inputs if name not in captured}
    return Piece(is_ours, tuple(operation.name for operation in operations), tuple(inputs), tuple(outputs))


# --- what is supported ------------------------------------------------------------------------------------------------


class _Trial(Reader):
    """Reads a whole graph. Where a node is not supported its results stand in as TensorFlow describes them."""

    def __init__(self, whole: Whole) -> None:
        super().__init__(whole.program)
        self.whole = whole
        self.main: Scope | None = None
        self.refused: dict[str, MMError] = {}

    def instead(self, scope: Scope, proto: Any, error: MMError) -> list[Any]:
        if scope is not self.main:
            raise error  # The call as a whole stays in TensorFlow.
        self.refused[str(proto.name)] = error
        operation = self.whole.graph.get_operation_by_name(proto.name)
        return [stand_in(scope, tensor) for tensor in operation.outputs]


def stand_in(scope: Scope, tensor: Any) -> Any:
    """A new argument of a graph for a tensor of TensorFlow's; what has no type of ours is of no use to anybody."""
    if tensor.dtype in _HANDLES or tensor.shape.rank is None:
        return f"{tensor.name}, of unknown rank" if tensor.shape.rank is None else f"the handle {tensor.name}"
    try:
        dtype = dtype_of(tensor.dtype)
    except MMError as error:
        return error.what
    return scope.graph.add_input(port(tensor.name), dtype, tensor.shape.as_list())


def _supported(whole: Whole, free: Free, report: CompileReport) -> set[str]:
    """Names of the nodes that our engine can run."""
    operations = whole.graph.get_operations()
    trial = _Trial(whole)
    scope = trial.main = trial.scope(Network(whole.program.name), whole.program.graph.node)
    for name in whole.inputs:
        scope.define(*tensor_name(name), stand_in(scope, whole.graph.get_tensor_by_name(name)))
    for operation in operations:
        try:
            trial.read(scope, [operation.name] if operation.outputs else [])
        except MMError as error:
            trial.refused[operation.name] = error
    for operation in operations:
        effect = free.effect_within(operation.node_def)
        if effect:
            trial.refused.setdefault(operation.name, MMError(f"it holds {effect}"))
        if operation.type == _READ and operation not in free:
            trial.refused.setdefault(operation.name, MMError("it reads a variable that the function changes"))
        if operation not in free and not operation.outputs:
            trial.refused.setdefault(operation.name, MMError("it changes a state or checks one"))
    ours = {operation.name for operation in operations if operation not in free} - set(trial.refused)
    _keep_handles(whole, ours, free)
    for operation in operations:
        if operation not in free and operation.name not in ours:
            reason = trial.refused.get(operation.name) or MMError("it passes on a list of TensorFlow's")
            location = trial.location(scope, operation.node_def)
            report.left.append(Left(location.name, str(operation.type), reason.what))
    return ours


def _keep_handles(whole: Whole, ours: set[str], free: Free) -> None:
    """Lists and resources do not cross the border: where one side of an edge is TensorFlow's, both are."""
    changed = True
    while changed:
        changed = False
        for tensor in _handles(whole.graph, free):
            ends = {tensor.op.name, *(consumer.name for consumer in tensor.consumers())}
            if not ends <= ours or tensor.name in whole.outputs:
                changed |= bool(ends & ours)
                ours -= ends


def _handles(graph: Any, free: Free) -> Iterable[Any]:
    for operation in graph.get_operations():
        if operation not in free:
            yield from (tensor for tensor in operation.outputs if tensor.dtype in _HANDLES)


# --- pieces as networks and functions ---------------------------------------------------------------------------------


def network_of(whole: Whole, piece: Piece) -> tuple[Network, list[Resource]]:
    """A piece of ours as a network, its inputs and outputs called as the tensors; the variables that it has read."""
    network, reader = Network(whole.program.name), Reader(whole.program)
    scope = reader.scope(network, whole.program.graph.node)
    for name in piece.inputs:
        scope.define(*tensor_name(name), stand_in(scope, whole.graph.get_tensor_by_name(name)))
    for name, value in zip(piece.outputs, reader.read(scope, piece.outputs)):
        reader.unsupported.raise_all()
        network.mark_output(network.identity(scope.plain(value, name)), port(name))
    return network, [item for item in reader.resources.values() if item.read is not None]


def port(tensor: str) -> str:
    """The name of a tensor as one of a network's input or output."""
    return tensor.replace(":", ".")


def function_of(whole: Whole, piece: Piece) -> tuple[Any, list[Any]]:
    """A piece as a function of TensorFlow's, and the captured tensors that it takes behind its inputs.

    It runs nothing of other pieces, also where their nodes have to be first: they have been.
    """
    given = [name for name in piece.inputs if name not in whole.captured]
    nodes, captured = _needed(whole, piece, set(given))
    graph = type(whole.program.graph)(versions=whole.program.graph.versions, library=whole.program.graph.library)
    graph.node.extend(nodes)
    tensors = [whole.graph.get_tensor_by_name(name) for name in (*given, *captured)]

    def build() -> None:
        feeds = {
            tensor.name: tf.compat.v1.placeholder(tensor.dtype, tensor.shape, f"{_ARGUMENT}{place}")
            for place, tensor in enumerate(tensors)
        }
        for tensor in tensors:
            copy_handle_data(tensor, feeds[tensor.name])
        tf.graph_util.import_graph_def(graph, feeds, name="")

    function = tf.compat.v1.wrap_function(build, [])
    feeds = [function.graph.get_tensor_by_name(f"{_ARGUMENT}{place}:0") for place in range(len(tensors))]
    fetches = [function.graph.get_tensor_by_name(name) for name in piece.outputs]
    effects = [function.graph.get_operation_by_name(name) for name in piece.nodes if name in whole.effects]
    return function.prune(feeds, [fetches, effects]), [whole.captured[name] for name in captured]


def _needed(whole: Whole, piece: Piece, given: set[str]) -> tuple[list[Any], list[str]]:
    """A piece's nodes with those that every piece has for itself, and the captured tensors that they take."""
    found: dict[str, Any] = {}
    captured: dict[str, None] = {}
    pending = [whole.graph.get_operation_by_name(name) for name in piece.nodes]
    while pending:
        operation = pending.pop()
        if operation.name in found:
            continue
        found[operation.name] = operation.node_def
        for tensor in operation.inputs:
            if tensor.name in whole.captured:
                captured[tensor.name] = None
            elif tensor.name not in given:
                pending.append(tensor.op)
    for node in found.values():
        sources = [source for source in node.input if not source.startswith("^") or source[1:] in found]
        del node.input[:]
        node.input.extend(sources)
    return list(found.values()), list(captured)
