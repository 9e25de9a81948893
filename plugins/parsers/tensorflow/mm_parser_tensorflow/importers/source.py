"""Where values come from: constants, variables, placeholders; and nodes that pass them on."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_tensorflow.elements import constant_of
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.resources import Resource
from mm_parser_tensorflow.table import Family

FAMILY = Family()
op = FAMILY.op

REFUSED = {
    **dict.fromkeys(
        ("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "RefSwitch", "RefMerge", "RefEnter"),
        "a loop of TensorFlow 1: freeze the model with lower_control_flow=False, or build it with control flow v2",
    ),
    **dict.fromkeys(
        ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "Assign", "AssignAdd", "AssignSub"),
        "the model changes a variable: pass the state in and out as tensors",
    ),
    **dict.fromkeys(
        (
            "RandomUniform", "RandomStandardNormal", "RandomUniformInt", "TruncatedNormal", "RandomShuffle",
            "Multinomial", "RandomGamma", "RandomPoissonV2", "ParameterizedTruncatedNormal",
        ),
        "a random stream with state: draw the numbers outside and pass them in",
    ),
    **dict.fromkeys(("PyFunc", "PyFuncStateless", "EagerPyFunc"), "it calls Python"),
    **dict.fromkeys(("Variable", "VariableV2", "VarHandleOp"), "the graph is not frozen, its variables have no values"),
    "SymbolicGradient": "a gradient that TensorFlow derives while running",
}  # fmt: skip
"""Operators that are no part of a network, and why."""


@op("Const", "HostConst")
def const(g: Graph, node: Node) -> Any:
    data = constant_of(node.proto.attr["value"].tensor, node.name)
    data.key = node.reader.key(node.name, data)
    return node.reader.constant(g, data)


@op("Placeholder", "PlaceholderV2")
def placeholder(g: Graph, node: Node) -> Any:
    """A captured tensor, or the handle of what was captured; inputs are defined beforehand."""
    resource = node.reader.resources.get(node.name)
    if resource is None:
        raise node.unsupported("it is no input of the model", remedy="name it with inputs=[...]")
    if node.proto.attr["dtype"].type in _HANDLES:
        return resource
    return node.reader.constant(g, resource.value(None))


_HANDLES = (20, 21)
"""TensorFlow's element types for resources and variants."""


@op("PlaceholderWithDefault")
def placeholder_with_default(g: Graph, node: Node) -> Any:
    return node.tensor()


@op("ReadVariableOp")
def read_variable(g: Graph, node: Node) -> Any:
    return node.reader.constant(g, _variable(node).value(node.proto.attr["dtype"].type))


@op("VariableShape")
def variable_shape(g: Graph, node: Node) -> Any:
    handle = _variable(node).tensor
    return g.constant([int(size) for size in handle._handle_data.shape_and_type[0].shape.dim], node.dtype("out_type"))


@op("ResourceGather")
def resource_gather(g: Graph, node: Node) -> Any:
    table = node.reader.constant(g, _variable(node).value(node.proto.attr["dtype"].type))
    if node.integer("batch_dims"):
        raise node.unsupported("batch_dims is not 0")
    return g.gather(table, node.input(1), axis=0)


def _variable(node: Node) -> Resource:
    found = node.operand()
    if not isinstance(found, Resource):
        raise node.unsupported(f"it reads {found}, not a variable")
    return found


@op(
    "Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot", "DebugGradientIdentity", "EnsureShape",
    "DeepCopy",
)  # fmt: skip
def same(g: Graph, node: Node) -> Any:
    return node.operand()


@op("IdentityN")
def same_all(g: Graph, node: Node) -> Any:
    return node.operands()


@op("NoOp", "Assert", "PrintV2")
def nothing(g: Graph, node: Node) -> Any:
    """What only gives an order, or checks what the operators check themselves."""
    return []
