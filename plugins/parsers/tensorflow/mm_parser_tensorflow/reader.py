"""Reads graphs: nodes as their results are asked for, calls inlined, functions of control flow as regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Any

from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from mm_core.errors import InputError, MMError, ParseError, UnsupportedOpError, VerifyError
from mm_core.ir import Graph, Location, Value
from mm_core.parsing import Unsupported
from mm_core.types import TensorData
from mm_parser_tensorflow.families import reason_for
from mm_parser_tensorflow.importers import REFUSED, TABLE
from mm_parser_tensorflow.names import LayerNames, tensor_name
from mm_parser_tensorflow.needed import needed_nodes
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.resources import Resource
from mm_parser_tensorflow.source import Program
from mm_parser_tensorflow.views import Moves, View

SOURCE = "tensorflow"
_REMEDY = "mm_parser_tensorflow.compile(model) leaves what mm does not have to TensorFlow"
MAX_DEPTH = 64
"""Calls and regions within each other: each level takes Python's stack."""
_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Function:
    """A function of the library as a graph: its arguments' nodes, its nodes, and the tensors that it gives."""

    def __init__(self, definition: Any) -> None:
        signature = definition.signature
        graph, tensors = function_def_to_graph_def(definition)
        self.name = str(signature.name)
        self.nodes = graph.node
        self.arguments = [str(argument.name) for argument in signature.input_arg]
        self.results = [
            str(tensors.get(definition.ret[result.name], definition.ret[result.name]))
            for result in signature.output_arg
        ]


class Scope:
    """The nodes of one graph or function body, and what became of their results so far."""

    def __init__(self, reader: Reader, graph: Graph, nodes: Iterable[Any], prefix: str) -> None:
        self.reader = reader
        self.graph = graph
        self.nodes = {str(node.name): node for node in nodes}
        self.prefix = prefix
        self.moves = Moves(graph)
        self._results: dict[str, list[Any]] = {}

    def define(self, name: str, index: int, result: Any) -> None:
        """Say what a node's result is before it is asked for."""
        results = self._results.setdefault(name, [])
        results.extend([None] * (index + 1 - len(results)))
        results[index] = result

    def is_read(self, name: str) -> bool:
        return name in self._results

    def finish(self, name: str, results: list[Any]) -> None:
        self._results[name] = results

    def result(self, tensor: str) -> Any:
        """What became of a tensor whose node has been read."""
        name, index = tensor_name(tensor)
        results = self._results[name]
        if index >= len(results):
            raise ParseError(f"the node {name!r} has {len(results)} results, result {index} is read")
        return results[index]

    def plain(self, value: Any, what: str) -> Value:
        """A result as a value; UnsupportedOpError for resources and lists."""
        if isinstance(value, (Value, View)):
            return self.moves.plain(value)
        raise UnsupportedOpError(f"{what} is {value or 'nothing'}, not a tensor")


class Reader:
    """Reads one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.unsupported = Unsupported(_REMEDY)
        bodies = (function.node_def for function in program.graph.library.function)
        self.names = LayerNames(program.layers, (node.name for node in chain(program.graph.node, *bodies)))
        self.resources = {name: Resource(self, name, tensor) for name, tensor in program.captures.items()}
        self._library = {str(function.signature.name): function for function in program.graph.library.function}
        self._functions: dict[str, Function] = {}
        self._keys: dict[str, TensorData] = {}
        self._constants: dict[tuple[Graph, int], Value] = {}
        self._depth = 0

    # --- weights ------------------------------------------------------------------------------------------------------

    def key(self, wanted: str, data: TensorData) -> str:
        """A name for a weight that no other weight has."""
        name, number = wanted, 1
        while self._keys.setdefault(name, data) is not data:
            name, number = f"{wanted}.{number}", number + 1
        return name

    def constant(self, g: Graph, data: TensorData) -> Value:
        """A weight as a value, one for each graph."""
        if (g, id(data)) not in self._constants:
            self._constants[g, id(data)] = g.constant(data)
            self._keys.setdefault(f"#{id(data)}", data)  # Keeps the handle, and so its identity, alive.
        return self._constants[g, id(data)]

    # --- graphs -------------------------------------------------------------------------------------------------------

    def scope(self, graph: Graph, nodes: Iterable[Any], prefix: str = "") -> Scope:
        """A scope whose nodes are read into a graph."""
        return Scope(self, graph, nodes, prefix)

    def function(self, name: str) -> Function:
        """A function of the library. ParseError if there is none."""
        if name not in self._functions:
            if name not in self._library:
                raise ParseError(
                    f"the graph calls a function {name!r} that it does not have",
                    available=", ".join(get_close_matches(name, self._library, n=3)),
                )
            self._functions[name] = Function(self._library[name])
        return self._functions[name]

    def read(self, scope: Scope, tensors: Sequence[str]) -> list[Any]:
        """Read the nodes that the tensors need, in their order; what became of the tensors."""
        wanted = [tensor_name(tensor)[0] for tensor in tensors]
        pending = [(name, False) for name in reversed(wanted)]
        open_: set[str] = set()
        while pending:
            name, ready = pending.pop()
            if scope.is_read(name):
                continue
            if name not in scope.nodes:
                raise ParseError(f"nothing is called {name!r}", where=scope.prefix or self.program.name)
            proto = scope.nodes[name]
            if ready:
                self._node(scope, proto)
                continue
            if name in open_:
                raise _cycle(proto, self.location(scope, proto))
            open_.add(name)
            pending.append((name, True))
            sources = [tensor_name(source) for source in proto.input]
            pending.extend((source, False) for source, index in reversed(sources) if index >= 0)
        return [scope.result(tensor) for tensor in tensors]

    def location(self, scope: Scope, proto: Any) -> Location:
        """The name of a node in the user's tree of layers, and its operator."""
        name = self.names.of(proto.name)
        if scope.prefix and not name.startswith(scope.prefix):
            name = f"{scope.prefix}/{name}"
        return Location(SOURCE, name, str(proto.op))

    def _node(self, scope: Scope, proto: Any) -> None:
        """Read one node. What is unsupported is noted, and its results are unknown from then on."""
        location = self.location(scope, proto)
        with scope.graph.at(location):
            node = Node(self, scope, proto, str(location))
            if any(item is UNKNOWN for item in node.operands()):
                scope.finish(proto.name, [UNKNOWN] * _result_count(proto))
                return
            try:
                results = self._build(scope, node)
            except (UnsupportedOpError, VerifyError, InputError) as error:
                results = self.instead(scope, proto, error.located(str(location)))
            except MMError as error:
                raise error.located(str(location)) from None
            except _DAMAGE as error:
                raise ParseError(
                    f"this node cannot be read: {type(error).__name__}: {error}", where=str(location)
                ) from error
        scope.finish(proto.name, results)

    def instead(self, scope: Scope, proto: Any, error: MMError) -> list[Any]:
        """What takes the place of the results of a node that is not supported."""
        self.unsupported.add(error)
        return [UNKNOWN] * _result_count(proto)

    def _build(self, scope: Scope, node: Node) -> list[Any]:
        importer = TABLE.find(node.op)
        if importer is None:
            raise unknown(node.op, node.where)
        result = importer(scope.graph, node)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def call(self, node: Node, function: Function, arguments: Sequence[Any], g: Graph | None = None) -> list[Any]:
        """A function's body in a graph (that of the call), its arguments what the call gives."""
        if len(arguments) != len(function.arguments):
            raise ParseError(f"{function.name} takes {len(function.arguments)} arguments, got {len(arguments)}")
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise ParseError(f"calls lie deeper than {MAX_DEPTH}", where=node.where)
            scope = self.scope(node.graph if g is None else g, function.nodes, node.prefix())
            for name, argument in zip(function.arguments, arguments):
                scope.define(name, 0, argument)
            return self.read(scope, function.results)
        finally:
            self._depth -= 1

    # --- refusals -----------------------------------------------------------------------------------------------------

    def refuse_unknown(self, inputs: Iterable[str], outputs: Sequence[str], scope: Scope) -> None:
        """One UnsupportedOpError for all operators without an importer, calls and branches included."""
        missing = Unsupported(_REMEDY)
        names = [tensor_name(tensor)[0] for tensor in inputs]
        for proto in needed_nodes(scope.nodes, names, outputs, self._known_function):
            if TABLE.find(proto.op) is None:
                missing.add(unknown(proto.op, str(self.location(scope, proto))))
        missing.raise_all()

    def _known_function(self, name: str) -> Function | None:
        return self.function(name) if name in self._library else None


UNKNOWN: Any = object()
"""Stands for the results of a node that is not supported, so that reading goes on and finds the others."""


def unknown(op: str, where: str) -> UnsupportedOpError:
    """The error for an operator without an importer."""
    reason = REFUSED.get(op) or reason_for(op)
    return UnsupportedOpError(f"{op} ({reason})" if reason else op, where=where)


def _cycle(proto: Any, location: Location) -> MMError:
    if proto.op in ("Merge", "NextIteration", "Enter", "Exit", "Switch"):
        return unknown(proto.op, str(location))
    return ParseError("the graph runs in a circle", where=str(location))


def _result_count(proto: Any) -> int:
    """The number of a node's results by its operator's definition."""
    definition = op_def_registry.get(proto.op)
    count = 0
    for result in definition.output_arg if definition is not None else ():
        if result.number_attr:
            count += int(proto.attr[result.number_attr].i)
        elif result.type_list_attr:
            count += len(proto.attr[result.type_list_attr].list.type)
        else:
            count += 1
    return count
