"""Reads graphs: scopes of names, nodes in order, regions with their captures made explicit, functions expanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from mm_core.errors import MMError, ParseError, UnsupportedOpError
from mm_core.ir import Graph, Location, Value
from mm_core.types import TensorData, TensorType, ValueType
from mm_parser_onnx.captures import Captures
from mm_parser_onnx.importers import TABLE
from mm_parser_onnx.node import Node, place_of, weight_of
from mm_parser_onnx.order import free_names, ordered
from mm_parser_onnx.schemas import NEWEST_OPSET, schema_function, schema_names
from mm_parser_onnx.table import STANDARD, Importer
from mm_parser_onnx.types import Symbols, check_text, read_type
from mm_parser_onnx.vendor import unknown_operator, vendor_importer
from mm_parser_onnx.weights import Weights

SOURCE = "onnx"
DAMAGE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What contents that no rule foresees make of Python code: reported as an error of the model, with its cause."""
_NONE: Mapping[int, memoryview] = {}
MAX_DEPTH = 32
"""Graphs within graphs and calls within functions, together, may not go deeper: each level takes Python's stack."""


@dataclass
class Scope:
    """The names of one graph or function body while it is read.

    `attributes` are those of the call, for a function body, `absent` the inputs that the call leaves out; `prefix` goes
    before the names of its nodes. `declared` are types that the model states.
    """

    graph: Graph
    opsets: Mapping[str, int]
    prefix: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, TensorData] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    declared: dict[str, Any] = field(default_factory=dict)

    def inside(
        self, graph: Graph, prefix: str, values: Mapping[str, Value], constants: Mapping[str, TensorData]
    ) -> Scope:
        """The scope of a subgraph that knows the given names from outside."""
        return Scope(graph, self.opsets, prefix, self.attributes, dict(values), dict(constants), self.absent)

    def operand(self, name: str) -> Value | None:
        """The value called `name`; None for an empty name, and for an input that the function's call leaves out."""
        return None if not name or name in self.absent else self.value(name)

    def value(self, name: str) -> Value:
        """The value called `name`; an initializer becomes a constant when it is first used. ParseError if unknown."""
        if name not in self.values and name in self.constants:
            self.values[name] = self.graph.constant(self.constants[name])
        if name not in self.values:
            near = get_close_matches(name, [*self.values, *self.constants], n=3)
            raise ParseError(
                f"nothing is called {name!r} here", available=", ".join(near) or "no similar name",
                remedy="the model is damaged: a node reads a value that no node, input or initializer gives",
            )  # fmt: skip
        return self.values[name]

    def define(self, name: str, value: Value) -> None:
        """Give a value a name; ParseError if the name is taken."""
        check_text(name, "the name of a value")
        if name in self.values or name in self.constants:
            raise ParseError(f"two values are called {name!r}")
        self.values[name] = value

    def attributes_of(self, node: Any) -> dict[str, Any]:
        """A node's attributes by name, with references to attributes of the function call replaced."""
        found = {}
        for attribute in node.attribute:
            if attribute.name in found:
                raise ParseError(f"the attribute {attribute.name!r} is given twice")
            if not attribute.ref_attr_name:
                found[attribute.name] = attribute
            elif attribute.ref_attr_name in self.attributes:
                found[attribute.name] = self.attributes[attribute.ref_attr_name]
        return found


class Reader:
    """Reads one model. `functions` are the model's own, by domain and name; `budget` bounds the nodes built."""

    def __init__(self, weights: Weights, functions: Mapping[tuple[str, str, str], Any], budget: int) -> None:
        self.weights = weights
        self.functions = functions
        self.symbols = Symbols()
        self._budget = budget
        self._depth = 0
        self._calls: list[tuple[str, str, str]] = []

    def read_type(self, proto: Any, graph: Graph, what: str) -> ValueType:
        """The type in a TypeProto, for a value of `graph`."""
        return read_type(proto, self.symbols, lambda: self.symbols.fresh(graph), what)

    # --- graphs -------------------------------------------------------------------------------------------------------

    def read_graph(self, scope: Scope, proto: Any, weights: Mapping[int, memoryview] = _NONE) -> list[Value]:
        """Build the nodes of a graph whose inputs are in the scope already; its outputs.

        `weights` holds the bytes of initializers that are not in the protobuf message, by their index.
        """
        with self._deeper(f"the graph {proto.name!r}"):
            for index, tensor in enumerate(proto.initializer):
                data = self.weights.initializer(tensor, scope.prefix, weights.get(index))
                self._initializer(scope, tensor.name, data)
            for sparse in proto.sparse_initializer:
                self._initializer(scope, sparse.values.name, self.weights.sparse(sparse, scope.prefix))
            scope.declared = {info.name: info.type for info in proto.value_info}
            for node in ordered(proto.node, scope.prefix or proto.name):
                self.read_node(scope, node)
            try:
                return [scope.value(output.name) for output in proto.output]
            except ParseError as error:
                raise error.located(f"the outputs of {scope.prefix or proto.name}") from None

    def _initializer(self, scope: Scope, name: str, data: TensorData) -> None:
        check_text(name, "the name of an initializer")
        if not name or name in scope.constants or name in scope.values:
            raise ParseError(f"an initializer is called {name!r}: empty, or the name of something else")
        scope.constants[name] = data

    def captures(self, scope: Scope, *graphs: Any) -> Captures:
        """What the given subgraphs read from `scope`."""
        constants: dict[str, TensorData] = {}
        values: dict[str, Value] = {}
        for name in dict.fromkeys(name for graph in graphs for name in free_names(graph)):
            if name in scope.constants:
                constants[name] = scope.constants[name]
            elif name in scope.values:
                value = scope.values[name]
                known = weight_of(value)
                if known is None:
                    values[name] = value
                else:
                    constants[name] = known
        return Captures(constants, values)

    def read_region(
        self, node: Node, proto: Any, argument_types: Sequence[ValueType], captures: Captures, label: str
    ) -> Graph:
        """A subgraph as a region: its own inputs with the given types, then an argument for each captured value."""
        outer = node.scope
        region = Graph(within=outer.graph)
        if len(proto.input) > len(argument_types):
            raise ParseError(
                f"the graph {label!r} takes {len(proto.input)} inputs, {node.op_type} gives {len(argument_types)}"
            )
        arguments = [region.add_argument(type_) for type_ in argument_types]
        captured = {name: region.add_argument(value.type, name) for name, value in captures.values.items()}
        scope = outer.inside(region, f"{node.name}/{label}/", captured, captures.constants)
        for argument, info in zip(arguments, proto.input):
            argument.name = info.name
            scope.define(info.name, argument)
        region.set_outputs(self.read_graph(scope, proto))
        return region

    def read_inline(self, node: Node, proto: Any) -> list[Value]:
        """A subgraph without inputs in place of its node."""
        outer = node.scope
        captures = self.captures(outer, proto)
        scope = outer.inside(outer.graph, f"{node.name}/", captures.values, captures.constants)
        if proto.input:
            raise ParseError(f"a branch of {node.op_type} must not have inputs, it has {len(proto.input)}")
        return self.read_graph(scope, proto)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def read_node(self, scope: Scope, proto: Any) -> None:
        """Build one node and give its results their names."""
        self._budget -= 1
        if self._budget < 0:
            raise ParseError("the model's functions and loops expand to too many nodes")
        name = proto.name or next(filter(None, proto.output), "") or proto.op_type
        check_text(name, "the name of a node")
        label = scope.prefix + name
        location, where = Location(SOURCE, label, proto.op_type), place_of(label, proto, scope.opsets)
        with scope.graph.at(location):
            try:
                results = self._build(scope, proto, label)
            except MMError as error:
                if error.where in ("", str(location)):
                    error.where = where
                raise
            except DAMAGE as error:
                raise ParseError(f"this node cannot be read: {type(error).__name__}: {error}", where=where) from error
        for result, value in zip(proto.output, results):
            if result and value is not None:
                self._refine(scope, result, value)
                try:
                    scope.define(result, value)
                except ParseError as error:
                    raise error.located(where) from None

    def _build(self, scope: Scope, proto: Any, label: str) -> Sequence[Value | None]:
        domain = STANDARD if proto.domain == "ai.onnx" else proto.domain
        key = (domain, proto.op_type, proto.overload)
        version = scope.opsets.get(domain)
        if version is None:
            raise ParseError(
                f"the model imports no operator set for the domain {domain!r}",
                available=", ".join(repr(name) for name in scope.opsets),
            )
        node = Node(self, scope, proto, version, label)
        importer = TABLE.find(domain, proto.op_type, version)
        if domain != STANDARD:
            importer = importer or vendor_importer(domain, proto.op_type)
        if importer is None and key in self.functions:
            return self._call(node, self.functions[key], key)
        built: Any = NotImplemented if importer is None else importer(scope.graph, node)
        if built is NotImplemented:
            function = schema_function(node, domain)
            if function is None:
                raise _unknown(node, domain, importer)
            return self._call(node, function, key)
        results = [built] if isinstance(built, Value) else list(built)
        if node.unread():
            raise UnsupportedOpError(
                f"{proto.op_type} has the attribute {node.unread()[0]!r}, which its version {version} does not know",
            )
        if node.result_count > len(results):
            raise node.unsupported(f"its result {len(results)} is not offered")
        return results

    def _refine(self, scope: Scope, name: str, value: Value) -> None:
        """Where inference does not find even the rank, what the model states is taken."""
        if name not in scope.declared or not isinstance(value.type, TensorType) or value.type.shape is not None:
            return
        stated = self.read_type(scope.declared[name], scope.graph, f"the value {name!r}")
        if isinstance(stated, TensorType) and stated.dtype is value.type.dtype:
            value.type = stated

    # --- functions ----------------------------------------------------------------------------------------------------

    def _call(self, node: Node, function: Any, key: tuple[str, str, str]) -> list[Value | None]:
        """Expand a function's body in place of a node; results that nobody wants are None."""
        if key in self._calls:
            raise ParseError(f"the function {'.'.join(filter(None, key))} calls itself")
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        attributes = {**defaults, **node.attribute_protos()}
        unknown = set(attributes) - set(defaults) - set(function.attribute)
        if unknown:
            raise UnsupportedOpError(f"the function {node.op_type} has no attribute {min(unknown)!r}")
        if len(node.inputs) > len(function.input):
            raise ParseError(f"the function {node.op_type} takes {len(function.input)} inputs, got {len(node.inputs)}")
        opsets = {**node.scope.opsets, **opset_versions(function.opset_import)}
        given = {name: node.optional(index) for index, name in enumerate(function.input)}
        absent = frozenset(name for name, value in given.items() if value is None)
        scope = Scope(node.scope.graph, opsets, f"{node.name}/", attributes, absent=absent)
        for name, value in given.items():
            if value is not None:
                scope.define(name, value)
        self._calls.append(key)
        try:
            with self._deeper(f"the function {node.op_type}"):
                for proto in ordered(function.node, node.where):
                    self.read_node(scope, proto)
        finally:
            self._calls.pop()
        return [scope.value(name) if node.wants(index) else None for index, name in enumerate(function.output)]

    @contextmanager
    def _deeper(self, what: str) -> Iterator[None]:
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise ParseError(f"{what} lies deeper than {MAX_DEPTH} graphs and functions")
            yield
        finally:
            self._depth -= 1


def opset_versions(imports: Any) -> dict[str, int]:
    """Domain -> version. UnsupportedOpError for a standard operator set newer than this parser."""
    versions = {STANDARD if item.domain == "ai.onnx" else item.domain: int(item.version) for item in imports}
    if not 1 <= versions.get(STANDARD, 1) <= NEWEST_OPSET:
        raise UnsupportedOpError(
            f"the model uses version {versions[STANDARD]} of the ONNX operators",
            available=f"versions 1 to {NEWEST_OPSET}",
            remedy="export it with one of these versions, or upgrade mm-parser-onnx and onnx",
        )
    return versions


def _unknown(node: Node, domain: str, importer: Importer | None) -> MMError:
    name, version = node.op_type, node.version
    if importer is not None:
        return node.unsupported("this combination of inputs and attributes is not offered")
    defined = schema_names(domain)
    if name in defined:
        return UnsupportedOpError(
            f"the ONNX operator {name} (version {version}) is not offered by this parser",
            where=node.where,
            remedy="write an operator package for it, or express it with other operators",
        )
    if domain:
        return unknown_operator(domain, name, version, TABLE.names(domain)).located(node.where)
    return UnsupportedOpError(
        f"the operator {name} is unknown in ONNX, version {version}",
        where=node.where,
        available=", ".join(get_close_matches(name, {*defined, *TABLE.names(domain)}, n=3))
        or f"{len(defined)} operators",
    )
