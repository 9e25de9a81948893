"""From a `Program` to a network: its inputs, its outputs, its variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mm_core.errors import MMError, ParseError
from mm_core.ir import Network, Value
from mm_core.parsing import InputShapes
from mm_parser_tensorflow.elements import dtype_of
from mm_parser_tensorflow.names import tensor_name
from mm_parser_tensorflow.reader import Reader, Scope
from mm_parser_tensorflow.source import Port, Program


def read_program(program: Program, input_shapes: InputShapes) -> Network:
    """The network of a program; one UnsupportedOpError tells all that it has and mm does not."""
    shapes = _shapes(program, input_shapes)
    network = Network(program.name)
    reader = Reader(program)
    scope = reader.scope(network, program.graph.node)
    for port in program.inputs:
        name, index = tensor_name(port.tensor)
        node = scope.nodes[name]
        code = node.attr["dtype"].type if "dtype" in node.attr else node.attr["T"].type
        if tf.as_dtype(code) in (tf.resource, tf.variant):
            raise ParseError(
                "this input is the handle of a variable, table or list, whose value the graph does not have",
                where=port.name,
                remedy="freeze the graph (convert_variables_to_constants_v2), or give the function or SavedModel",
            )
        dtype = dtype_of(code, port.name)
        scope.define(name, index, network.add_input(port.name, dtype, shapes[port.name]))
    reader.refuse_unknown([port.tensor for port in program.inputs], [port.tensor for port in program.outputs], scope)
    outputs = reader.read(scope, [port.tensor for port in program.outputs])
    reader.unsupported.raise_all()
    for port, value in zip(program.outputs, outputs):
        _mark(network, scope, port, value)
    return network


def _mark(network: Network, scope: Scope, port: Port, value: Any) -> None:
    try:
        plain = scope.plain(value, port.name)
    except MMError as error:
        raise error.located(f"the output {port.name}") from None
    if plain.defining_op is None or plain.defining_op.name == "mm.constant" or plain in network.outputs:
        plain = network.identity(plain)
    assert isinstance(plain, Value)
    network.mark_output(plain, port.name)


def _shapes(program: Program, given: InputShapes) -> dict[str, Sequence[int | str | None]]:
    known = {port.name: port.shape for port in program.inputs}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ParseError(f"input_shapes names {', '.join(unknown)}", available=", ".join(known) or "no inputs")
    shapes: dict[str, Sequence[int | str | None]] = {}
    for name, stated in known.items():
        wanted = given.get(name)
        if wanted is None:
            if stated is None:
                raise ParseError("the rank of this input is not known", where=name, remedy="state it with input_shapes")
            shapes[name] = stated
            continue
        if stated is not None and len(stated) != len(wanted):
            raise ParseError(f"input_shapes gives {len(wanted)} sizes, the model has {len(stated)}", where=name)
        for size, own in zip(wanted, stated or ()):
            if isinstance(own, int) and size is not None and size != own:
                raise ParseError(f"the model has the size {own}, input_shapes says {size}", where=name)
        shapes[name] = [own if size is None else size for size, own in zip(wanted, stated or [None] * len(wanted))]
    return shapes
