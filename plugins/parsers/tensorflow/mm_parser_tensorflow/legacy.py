"""Branches as TensorFlow 1 writes them: `Switch` sends a tensor into one of two branches, `Merge` takes what comes out.

Nothing in a branch has an effect here, so both are computed and the result is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tensorflow.python.framework import tensor_util

from mm_parser_tensorflow.names import tensor_name

_LOOPS = frozenset({"Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefNextIteration", "LoopCond"})
_SAME = ("Identity", "PlaceholderWithDefault")
Sides = Mapping[str, int]
"""Of the predicates (tensors) that a node depends on: which side it is on, 1 where they hold."""


def without_branches(graph: Any, inputs: Iterable[str]) -> Any:
    """The graph with choices for its branches; itself if it has none, or has loops of TensorFlow 1 as well.

    A predicate that is constant, or by default is, takes its side: the other is not needed then. What is named as an
    input of the program is not.
    """
    operators = {node.op for node in graph.node}
    if "Merge" not in operators or operators & _LOOPS:
        return graph
    branches = _Branches(graph, {tensor_name(name)[0] for name in inputs})
    made = type(graph)()
    made.CopyFrom(graph)
    for node in made.node:
        if node.op == "Switch":
            _replace(node, "IdentityN", [node.input[0]] * 2)
            node.attr["T"].list.type.extend([branches.nodes[node.name].attr["T"].type] * 2)
        elif node.op == "Merge" and (choice := branches.choices.get(node.name)) is not None:
            predicate, sides = choice
            known = branches.constant(predicate)
            if known is None:
                _replace(node, "SelectV2", [predicate, sides[1], sides[0]])
            else:
                _replace(node, "Identity", [sides[known]])
            node.attr["T"].type = branches.nodes[node.name].attr["T"].type
    return made


def _replace(node: Any, op: str, inputs: list[str]) -> None:
    node.op = op
    del node.input[:]
    node.input.extend(inputs)
    node.attr.clear()


class _Branches:
    """Which predicate each `Merge` asks, and what it takes if that fails and if it holds: `choices`, by name."""

    def __init__(self, graph: Any, inputs: set[str]) -> None:
        self.nodes = {str(node.name): node for node in graph.node}
        self.choices: dict[str, tuple[str, tuple[str, str]]] = {}
        self._inputs = inputs
        self._sides: dict[str, Sides] = {}
        for name in self._in_order():
            node = self.nodes[name]
            found = [self._of(source) for source in node.input]
            self._sides[name] = self._merged(node, found) if node.op == "Merge" else _united(found)

    def constant(self, predicate: str) -> int | None:
        """The side that a constant predicate takes."""
        name = tensor_name(predicate)[0]
        node = self.nodes.get(name)
        if node is None or node.op != "Const":
            return None
        return int(bool(tensor_util.MakeNdarray(node.attr["value"].tensor)))

    def _in_order(self) -> Iterator[str]:
        """Names of nodes, each behind those that it depends on."""
        done: set[str] = set()
        pending = [(name, False) for name in self.nodes]
        while pending:
            name, ready = pending.pop()
            if ready:
                yield name
            elif name not in done and name in self.nodes:
                done.add(name)
                pending.append((name, True))
                pending.extend((tensor_name(source)[0], False) for source in self.nodes[name].input)

    def _of(self, source: str) -> Sides:
        name, index = tensor_name(source)
        sides = self._sides.get(name, {})
        if index >= 0 and name in self.nodes and self.nodes[name].op == "Switch":
            return {**sides, self._root(self.nodes[name].input[1]): index}
        return sides

    def _root(self, tensor: str) -> str:
        """Where a predicate comes from: it is passed on, also into branches."""
        name, index = tensor_name(tensor)
        passed: set[str] = set()
        while name in self.nodes and name not in self._inputs | passed and self.nodes[name].op in (*_SAME, "Switch"):
            passed.add(name)
            name, index = tensor_name(self.nodes[name].input[0])
        return f"{name}:{index}"

    def _merged(self, node: Any, found: list[Sides]) -> Sides:
        """The node's own predicate is the one on whose two sides its operands are."""
        values = [source for source in node.input if not source.startswith("^")]
        for predicate in found[0] if len(values) == 2 else ():
            sides = [operand.get(predicate) for operand in found[:2]]
            if sorted(side for side in sides if side is not None) == [0, 1]:
                self.choices[node.name] = (predicate, (values[sides.index(0)], values[sides.index(1)]))
                return {key: side for key, side in _united(found).items() if key != predicate}
        return _united(found)


def _united(found: list[Sides]) -> Sides:
    """Most nodes depend on what one of their operands depends on."""
    several = [sides for sides in found if sides]
    if not several:
        return {}
    first, *others = several
    if all(other is first for other in others):
        return first
    return {predicate: side for sides in several for predicate, side in sides.items()}
