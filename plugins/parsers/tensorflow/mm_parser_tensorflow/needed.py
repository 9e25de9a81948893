"""What a program needs for its results, through all calls: their nodes, and the states that they depend on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mm_parser_tensorflow.names import tensor_name

if TYPE_CHECKING:
    from mm_parser_tensorflow.reader import Function

CHANGES = re.compile(r"Assign\w*|Resource(Scatter|Apply|Sparse|Strided)\w*")
"""Operators that change a variable."""
_LOOPS = ("While", "StatelessWhile")
"""Any result of theirs may depend on all of them."""


def needed_nodes(
    nodes: Mapping[str, Any], inputs: Iterable[str], results: Iterable[str], function: Callable[[str], Function | None]
) -> Iterator[Any]:
    """The nodes that the results of a graph depend on, and those that change a state on which they depend.

    What is only done besides, such as checks and the steps of a random stream that nobody reads, is left out.
    `function` gives the functions of the library.
    """
    wanted = [tensor_name(result) for result in results]
    read = _Walk(function, orders=False)
    read.visit(nodes, wanted, dict.fromkeys(inputs, ""))
    yield from read.nodes.values()
    done = _Walk(function, orders=True)
    done.visit(nodes, wanted, dict.fromkeys(inputs, ""))
    for key, state in done.changes.items():
        if key not in read.nodes and state in read.states:
            yield done.nodes[key]


@dataclass
class _Walk:
    """Over data, and with `orders` over what is only done before as well."""

    function: Callable[[str], Function | None]
    orders: bool
    nodes: dict[int, Any] = field(default_factory=dict)
    """By identity: names are those of their own function."""
    states: set[str] = field(default_factory=set)
    """Placeholders of the program that are read."""
    changes: dict[int, str] = field(default_factory=dict)
    """Nodes that change a variable, and its placeholder."""
    _called: set[tuple[Any, ...]] = field(default_factory=set)

    def visit(self, nodes: Mapping[str, Any], wanted: Iterable[tuple[str, int]], given: Mapping[str, str]) -> None:
        """The nodes of one graph; `given` are the placeholders of the program that its arguments stand for."""
        pending, seen = list(wanted), set()
        while pending:
            name, result = pending.pop()
            if (name, result) in seen or name in given or name not in nodes:
                continue
            seen.add((name, result))
            node = nodes[name]
            self.nodes[id(node)] = node
            sources = [tensor_name(source) for source in node.input]
            data = [source for source in sources if source[1] >= 0]
            origins = [_origin(nodes, source, given) for source, _ in data]
            functions = [found for called in called_functions(node) if (found := self.function(called)) is not None]
            for function in functions:
                self._call(function, origins, None if self.orders or node.op in _LOOPS else result)
            if CHANGES.fullmatch(node.op) and origins:
                self.changes[id(node)] = origins[0]
            elif not functions:
                self.states.update(origins)
            pending.extend(sources if self.orders else data)

    def _call(self, function: Function, origins: list[str], result: int | None) -> None:
        """A function takes the last operands of the node that calls it, behind a condition or an index.

        `result` is the one that is needed, None if all are.
        """
        given = origins[len(origins) - len(function.arguments) :]
        if (function.name, result, *given) in self._called:
            return
        self._called.add((function.name, result, *given))
        nodes = {str(node.name): node for node in function.nodes}
        results = function.results if result is None else function.results[result : result + 1]
        wanted = [(name, 0) for name in nodes] if self.orders else [tensor_name(tensor) for tensor in results]
        self.visit(nodes, wanted, dict(zip(function.arguments, given)))


def _origin(nodes: Mapping[str, Any], name: str, given: Mapping[str, str]) -> str:
    """The program's placeholder that a tensor is, passed on as it came; else its node's own name."""
    passed = set()
    while name not in given and name not in passed and name in nodes and nodes[name].op == "Identity":
        passed.add(name)  # A damaged graph may run in a circle.
        name = tensor_name(nodes[name].input[0])[0]
    return given.get(name) or name


def called_functions(proto: Any) -> set[str]:
    """Names of the functions that a node calls, or runs as branches and bodies."""
    found: set[str] = set()
    for attribute in proto.attr.values():
        if attribute.HasField("func"):
            found.add(str(attribute.func.name))
        elif attribute.HasField("list"):
            found.update(str(function.name) for function in attribute.list.func)
    return found
