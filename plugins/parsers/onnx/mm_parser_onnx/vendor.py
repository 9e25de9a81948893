"""Operators of other domains: an installed operator package gives the meaning.

The node `FooBar` of the domain `com.acme` is the operator `acme.foo_bar`: the dialect is the domain's last part, the
name is the node's in lower case with underscores, and attributes keep their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from mm_core.errors import PluginMissingError, UnsupportedOpError
from mm_core.ir import Graph
from mm_core.ops import Attribute, dialect, lookup
from mm_core.types import DType, TensorData
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Importer


def vendor_importer(domain: str, op_type: str) -> Importer | None:
    """The importer of a node of another domain; None if no operator package defines it."""
    name = operator_name(domain, op_type)
    try:
        definition = lookup(name)
    except (PluginMissingError, UnsupportedOpError):
        return None

    def build(g: Graph, node: Node) -> Any:
        declared = {attribute.name: attribute for attribute in definition.attributes}
        given = {name: _value(node, declared[name]) for name in node.attribute_names() if name in declared}
        return g.op(name, *node.inputs, **given)

    return build


def unknown_operator(domain: str, op_type: str, version: int, imported: Iterable[str]) -> UnsupportedOpError:
    """What is missing for a node of another domain: the operator package, or the operator in it.

    `imported` names the nodes of the domain that this parser itself reads.
    """
    name = operator_name(domain, op_type)
    prefix = name.partition(".")[0]
    try:
        defined = dialect(prefix)
        missing = f"the dialect {prefix!r} has no {name}"
    except PluginMissingError:
        defined, missing = {}, f"no operator package for the dialect {prefix!r} is installed"
    near = [*get_close_matches(op_type, imported, n=3), *get_close_matches(name, defined, n=3)]
    return UnsupportedOpError(
        f"the operator {op_type} is unknown in the domain {domain!r}, version {version}: {missing}",
        available=", ".join(near) or (f"{len(defined)} operators of the dialect {prefix!r}" if defined else ""),
        remedy=f"install an operator package that defines {name}, or put a function into the model",
    )


def operator_name(domain: str, op_type: str) -> str:
    """The full name of our operator for a node: `acme.foo_bar` for `FooBar` of `com.acme`."""
    dialect = re.sub(r"\W", "_", domain.rpartition(".")[2])
    return f"{dialect}.{snake_case(op_type)}"


def snake_case(name: str) -> str:
    """`FooBar` as `foo_bar`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _value(node: Node, attribute: Attribute) -> Any:
    """An attribute of the node in the Python type that the operator declares."""
    readers: dict[object, Callable[[str], Any]] = {
        int: node.int, float: node.float, str: node.text, bool: node.flag, DType: node.dtype, TensorData: node.tensor,
        (int,): node.ints, (float,): node.floats, (str,): node.texts, (bool,): node.ints,
    }  # fmt: skip
    reader = readers.get(attribute.type)
    if reader is None:
        raise node.unsupported(f"the attribute {attribute.name!r} has no form in ONNX")
    return reader(attribute.name)
