"""Sequences and optionals."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, SequenceType
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("SequenceConstruct")
def sequence_construct(g: Graph, node: Node) -> Any:
    return g.sequence_construct(*node.operands())


@op("SequenceEmpty")
def sequence_empty(g: Graph, node: Node) -> Any:
    return g.sequence_empty(dtype=node.dtype("dtype", BY_NAME["float32"]))


@op("SequenceInsert")
def sequence_insert(g: Graph, node: Node) -> Any:
    return g.sequence_insert(node.input(0), node.input(1), _position(node, 2))


@op("SequenceErase")
def sequence_erase(g: Graph, node: Node) -> Any:
    return g.sequence_erase(node.input(0), _position(node, 1))


@op("SequenceAt")
def sequence_at(g: Graph, node: Node) -> Any:
    return g.sequence_at(node.input(0), node.scalar(1))


def _position(node: Node, index: int) -> Value | None:
    return None if node.optional(index) is None else node.scalar(index)


@op("SequenceLength")
def sequence_length(g: Graph, node: Node) -> Any:
    return g.sequence_length(node.input())


@op("SplitToSequence")
def split_to_sequence(g: Graph, node: Node) -> Any:
    keepdims = node.flag("keepdims", True)
    return g.split_to_sequence(node.input(0), node.optional(1), axis=node.int("axis", 0), keepdims=keepdims)


@op("ConcatFromSequence")
def concat_from_sequence(g: Graph, node: Node) -> Any:
    return g.concat_from_sequence(node.input(), axis=node.int("axis", 0), new_axis=node.flag("new_axis"))


@op("SequenceMap")
def sequence_map(g: Graph, node: Node) -> Any:
    body, operands = node.graph("body"), node.operands()
    captures = node.reader.captures(node.scope, body)
    if any(isinstance(value.type, SequenceType) for value in captures.operands):
        return NotImplemented
    types = [value.type.element if isinstance(value.type, SequenceType) else value.type for value in operands]
    region = node.reader.read_region(node, body, types, captures, "body")
    return g.sequence_map(*operands, *captures.operands, regions=(region,))


@op("Optional")
def optional(g: Graph, node: Node) -> Any:
    return g.optional(node.optional(0), type=node.value_type("type"))


@op("OptionalHasElement")
def optional_has_element(g: Graph, node: Node) -> Any:
    return g.optional_has_element(node.optional(0))


@op("OptionalGetElement")
def optional_get_element(g: Graph, node: Node) -> Any:
    return g.optional_get_element(node.input())
