"""Which names a graph needs from outside, and an order of its nodes in which values come before their uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mm_core.errors import ParseError
from mm_parser_onnx.types import MAX_NESTING


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def count_nodes(nodes: Sequence[Any]) -> int:
    """Number of nodes, those in subgraphs included. ParseError where graphs nest too deep."""
    total, level = 0, [list(nodes)]
    for _ in range(MAX_NESTING):
        total += sum(map(len, level))
        level = [list(graph.node) for nodes in level for node in nodes for graph in subgraphs(node)]
        if not level:
            return total
    raise ParseError(f"graphs nest deeper than {MAX_NESTING}")


def free_names(graph: Any) -> list[str]:
    """Names that a subgraph reads and does not define, each once, in order of use."""
    defined = {value.name for value in graph.input}
    defined |= {tensor.name for tensor in graph.initializer}
    defined |= {tensor.values.name for tensor in graph.sparse_initializer}
    defined |= {name for node in graph.node for name in node.output}
    used = (name for node in graph.node for name in needed_names(node))
    outputs = (value.name for value in graph.output)
    return [name for name in dict.fromkeys((*used, *outputs)) if name and name not in defined]


def needed_names(node: Any) -> list[str]:
    """Names that must have values before a node: its inputs, and what its subgraphs read from outside."""
    names = list(node.input)
    for graph in subgraphs(node):
        names += free_names(graph)
    return [name for name in dict.fromkeys(names) if name]


def ordered(nodes: Sequence[Any], where: str) -> list[Any]:
    """The nodes, each after those whose results it needs; in the given order where that is one already."""
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [{maker[name] for name in needed_names(node) if name in maker} for node in nodes]
    if all(place < index for index, places in enumerate(needs) for place in places):
        return list(nodes)
    waiting = [len(places) for places in needs]
    users: list[list[int]] = [[] for _ in nodes]
    for index, places in enumerate(needs):
        for place in places:
            users[place].append(index)
    ready, order = [index for index, count in enumerate(waiting) if not count], []
    for index in ready:  # `ready` grows while it is walked.
        order.append(nodes[index])
        for user in users[index]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(order) < len(nodes):
        stuck = [node.name or node.op_type for node, count in zip(nodes, waiting) if count]
        raise ParseError(f"nodes need each other's results in a circle: {', '.join(stuck[:5])}", where=where)
    return order
