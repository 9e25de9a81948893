"""From a source to a network: the file is read, its top level checked, its main graph built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from mm_core.errors import MMError, ParseError
from mm_core.ir import Network
from mm_core.parsing import InputShapes
from mm_parser_onnx.external import ExternalFiles, map_file
from mm_parser_onnx.order import count_nodes
from mm_parser_onnx.reader import DAMAGE, Reader, Scope, opset_versions
from mm_parser_onnx.types import check_text, override_shapes
from mm_parser_onnx.weights import Weights
from mm_parser_onnx.wire import slim

_SPARE_NODES = 20_000


def read_network(source: Any, input_shapes: InputShapes) -> Network:
    """The network of a path, bytes or ModelProto."""
    is_path = isinstance(source, (str, os.PathLike))
    where = os.fspath(source) if is_path else "the model"
    try:
        model, weights = _load(source)
        return _read(model, weights, Path(source).parent if is_path else None, input_shapes)
    except MMError as error:
        raise error.located(where) from error.__cause__
    except DAMAGE as error:
        raise ParseError(f"the model is damaged: {type(error).__name__}: {error}", where=where) from error


def _load(source: Any) -> tuple[Any, Mapping[int, memoryview]]:
    """The model as protobuf has it, and large weights that stay in the source, by index of their initializer."""
    if isinstance(source, onnx.ModelProto):
        return source, {}
    try:
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = memoryview(source).cast("B")
        else:
            data = map_file(Path(source), links=True)
    except (OSError, TypeError) as error:
        raise ParseError(f"the source cannot be read: {error}") from error
    split = slim(data)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(split.data)
    except (DecodeError, RuntimeError) as error:
        raise ParseError(
            f"this is not a complete ONNX model: {error}",
            remedy="the file is truncated, damaged or of another kind; download or export it again",
        ) from error
    return model, split.weights


def _read(model: Any, weights: Mapping[int, memoryview], folder: Path | None, input_shapes: InputShapes) -> Network:
    if not model.HasField("graph") or not model.ir_version:
        raise ParseError("there is no graph in this file", remedy="it is empty, damaged or not an ONNX model")
    graph = model.graph
    check_text(graph.name, "the name of the graph")
    functions = {(function.domain, function.name, function.overload): function for function in model.functions}
    nodes = count_nodes(graph.node) + sum(count_nodes(function.node) for function in model.functions)
    reader = Reader(Weights(ExternalFiles(folder)), functions, 10 * nodes + _SPARE_NODES)
    # Files of IR version 1 and 2 may leave the operator set out: it is the first.
    scope = Scope(Network(graph.name or "network"), opset_versions(model.opset_import) or {"": 1})
    _add_inputs(reader, scope, graph, input_shapes)
    outputs = reader.read_graph(scope, graph, weights)
    network = scope.graph
    assert isinstance(network, Network)
    if not outputs:
        raise ParseError("the graph has no outputs")
    for value, info in zip(outputs, graph.output):
        network.mark_output(value, info.name)
    return network


def _add_inputs(reader: Reader, scope: Scope, graph: Any, input_shapes: InputShapes) -> None:
    """The graph's inputs as the network's. Up to IR version 3 initializers are inputs too: these are constants."""
    network = scope.graph
    assert isinstance(network, Network)
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {sparse.values.name for sparse in graph.sparse_initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    names = [info.name for info in inputs]
    if len(set(names)) < len(names) or not all(names):
        raise ParseError(f"the names of the graph's inputs must differ and not be empty: {', '.join(map(repr, names))}")
    for info in inputs:
        reader.symbols.note(info.type)
    types = {info.name: reader.read_type(info.type, network, f"the input {info.name!r}") for info in inputs}
    for name, type_ in override_shapes(types, input_shapes, lambda: reader.symbols.fresh(network)).items():
        scope.define(name, network.add_typed_input(name, type_))
