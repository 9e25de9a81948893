"""Inlining of calls: a graph whose own nodes do what the functions that it calls did, so that it can be split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tensorflow.python.framework import op_def_registry
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from mm_parser_tensorflow.names import tensor_name

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_DEPTH = 64


class Inlined:
    """A graph without calls, the nodes of their bodies called `call/node`. Branches and loops keep their functions.

    Nodes of a body that have an effect run after what the call waited for; what waited for the call runs after them.
    `arguments` are placeholders that are left out, and the tensors (`node:0`) to be read instead.
    """

    def __init__(self, graph: Any, arguments: Mapping[str, str]) -> None:
        self._library = {str(function.signature.name): function for function in graph.library.function}
        self._results: dict[str, str] = {}
        self._effects: dict[str, list[str]] = {}
        self.graph = type(graph)(versions=graph.versions, library=graph.library)
        self._add(graph.node, "", arguments, (), 0)
        for node in self.graph.node:
            sources = list(self._sources(node.input))
            del node.input[:]
            node.input.extend(sources)

    def tensor(self, name: str) -> str:
        """Where a tensor of the graph given (`node:0`) is now."""
        name = _full(name)
        while name in self._results:
            name = self._results[name]
        return name

    def ends(self, name: str) -> Iterator[str]:
        """The nodes after which a node, or all that a call does, is done."""
        if name in self._effects:
            for effect in self._effects[name]:
                yield from self.ends(effect)
        else:
            yield tensor_name(self.tensor(name))[0]

    def _add(
        self, nodes: Iterable[Any], prefix: str, arguments: Mapping[str, str], waits: Sequence[str], depth: int
    ) -> None:
        for node in nodes:
            name = prefix + node.name
            if node.name in arguments:
                self._results[f"{name}:0"] = arguments[node.name]
                continue
            sources = [_moved(source, prefix) for source in node.input]
            if _has_effect(node.op):
                sources += waits
            function = self._library.get(node.attr["f"].func.name) if node.op in _CALLS else None
            if function is not None and depth < _DEPTH:
                self._inline(name, function, sources, depth + 1)
                continue
            copy = self.graph.node.add()
            copy.CopyFrom(node)
            copy.name = name
            del copy.input[:]
            copy.input.extend(sources)

    def _inline(self, call: str, function: Any, sources: Sequence[str], depth: int) -> None:
        body, tensors = function_def_to_graph_def(function)
        prefix = f"{call}/"
        operands = [_full(source) for source in sources if not source.startswith("^")]
        arguments = dict(zip((str(item.name) for item in function.signature.input_arg), operands, strict=True))
        for place, item in enumerate(function.signature.output_arg):
            result = function.ret[item.name]
            self._results[f"{call}:{place}"] = _full(prefix + str(tensors.get(result, result)))
        self._effects[call] = [prefix + str(name) for name in function.control_ret.values()]
        self._add(body.node, prefix, arguments, [source for source in sources if source.startswith("^")], depth)

    def _sources(self, sources: Iterable[str]) -> Iterator[str]:
        """Inputs of a node, orders without a value last and each once."""
        orders: dict[str, None] = {}
        for source in sources:
            if source.startswith("^"):
                orders.update(dict.fromkeys(self.ends(source[1:])))
            else:
                yield self.tensor(source)
        yield from (f"^{name}" for name in orders)


def _full(tensor: str) -> str:
    name, index = tensor_name(tensor)
    return f"{name}:{index}"


def _moved(source: str, prefix: str) -> str:
    return f"^{prefix}{source[1:]}" if source.startswith("^") else prefix + source


def _has_effect(op: str) -> bool:
    definition = op_def_registry.get(op)
    return definition is None or bool(definition.is_stateful)
