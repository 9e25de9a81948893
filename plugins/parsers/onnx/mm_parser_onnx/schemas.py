"""What ONNX itself says about operators: their names, and function bodies of those made from simpler ones."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import onnx
import onnx.defs

from mm_core.types import OptionalType, SequenceType, TensorType, ValueType
from mm_parser_onnx.elements import CODES

if TYPE_CHECKING:
    from mm_parser_onnx.node import Node

NEWEST_OPSET = 28
"""The newest version of the standard operators whose meaning this parser knows."""


@cache
def schema_names(domain: str) -> frozenset[str]:
    """Names of all operators that ONNX defines in a domain, of any version."""
    return frozenset(schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == domain)


def schema_function(node: Node, domain: str) -> Any:
    """The function body that ONNX gives for a node, for its attributes and the types of its inputs; else None."""
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, min(node.version, onnx.defs.onnx_opset_version()), domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_function:
        return _complete(schema, schema.function_body, node)
    if not schema.has_context_dependent_function:
        return None
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]
    for name, attribute in node.attribute_protos().items():
        proto.attribute.add().CopyFrom(attribute)
        proto.attribute[-1].name = name
    types = [b"" if value is None else _type_proto(value.type).SerializeToString() for value in node.inputs]
    body = onnx.FunctionProto()
    text = schema.get_context_dependent_function(proto.SerializeToString(), types)
    if not text:
        return None
    body.ParseFromString(text)
    return _complete(schema, body, node)


def _complete(schema: Any, function: Any, node: Node) -> Any:
    """The body with the schema's attributes and their defaults, and the operator sets it is written in."""
    body = onnx.FunctionProto()
    body.CopyFrom(function)
    domains = {item.domain for item in body.opset_import}
    if schema.domain not in domains:
        body.opset_import.add(domain=schema.domain, version=node.version)
    if "" not in domains | {schema.domain} | set(node.scope.opsets):
        body.opset_import.add(domain="", version=onnx.defs.onnx_opset_version())
    defaults = {attribute.name for attribute in body.attribute_proto}
    for name, attribute in schema.attributes.items():
        if attribute.default_value.name and name not in defaults:
            body.attribute_proto.add().CopyFrom(attribute.default_value)
        elif name not in defaults and name not in body.attribute:
            body.attribute.append(name)
    return body


def _type_proto(type_: ValueType) -> Any:
    if isinstance(type_, SequenceType):
        return onnx.helper.make_sequence_type_proto(_type_proto(type_.element))
    if isinstance(type_, OptionalType):
        return onnx.helper.make_optional_type_proto(_type_proto(type_.element))
    assert isinstance(type_, TensorType)
    shape = None if type_.shape is None else [dim if isinstance(dim, int) else str(dim) for dim in type_.shape]
    return onnx.helper.make_tensor_type_proto(CODES[type_.dtype], shape)
