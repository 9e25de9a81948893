"""From what a user has (a model, a function, a file) to a `Program`: a graph, its functions, its variables."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from mm_core.errors import ParseError
from mm_parser_tensorflow.legacy import without_branches
from mm_parser_tensorflow.names import tensor_name

_DEFAULT_SIGNATURE = "serving_default"
_BATCH = "N"
KERAS_SUFFIXES = frozenset({".keras", ".h5", ".hdf5"})


@dataclass(frozen=True)
class Port:
    """An input or output of a program: the user's name and the tensor (`node:0`) behind it.

    `shape` is as TensorFlow states it, None for unknown sizes and unknown ranks.
    """

    name: str
    tensor: str
    shape: tuple[int | str | None, ...] | None = None


@dataclass(frozen=True)
class Program:
    """A graph as TensorFlow has it. `captures` are what its placeholders stand for where they are no inputs.

    `layers` are names of the user's layers, for messages; `weights` names of variables by their handles' identity.
    """

    name: str
    graph: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    captures: Mapping[str, Any] = field(default_factory=dict)
    layers: frozenset[str] = frozenset()
    variables: Mapping[int, str] = field(default_factory=dict)
    owner: Any = None
    """What must stay alive for the variables to stay."""


def program_of(
    source: Any,
    example_inputs: Any = None,
    *,
    signature: str | None = None,
    tags: str | Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Program:
    """The program of a path, model or function. ParseError says what is missing."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.name in ("saved_model.pb", "saved_model.pbtxt"):
            path = path.parent
        if path.is_dir():
            _refuse(path, inputs=inputs, outputs=outputs, example_inputs=example_inputs)
            return _saved_model(path, signature, tags)
        _refuse(path, signature=signature, tags=tags)
        if path.suffix.lower() in KERAS_SUFFIXES:
            source = _keras_file(path)
        else:
            _refuse(path, example_inputs=example_inputs)
            return _frozen(_graph_file(path), path.stem, inputs, outputs)
    if type(source).__name__ == "GraphDef":
        return _frozen(source, "graph", inputs, outputs)
    _refuse(type(source).__name__, signature=signature, tags=tags, inputs=inputs, outputs=outputs)
    if is_keras(source):
        return _keras_model(source, example_inputs)
    return of_function(_concrete(source, example_inputs), str(getattr(source, "__name__", "function")))


def _refuse(where: object, **options: Any) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ParseError(f"this kind of source takes no {', '.join(given)}", where=str(where))


# --- functions --------------------------------------------------------------------------------------------------------


def of_function(function: Any, name: str, *, model: Any = None, batch: str | None = None) -> Program:
    """The program of a concrete function. `batch` names the first axis of its inputs where it is not known."""
    names = zip(_output_names(function, model), function.graph.outputs, strict=True)
    outputs = tuple(Port(name, tensor.name) for name, tensor in names)
    return replace(of_call(function, name, model=model, batch=batch), outputs=outputs)


def of_call(function: Any, name: str, *, model: Any = None, batch: str | None = None) -> Program:
    """The program of a concrete function whose results need no names and are no part of it."""
    graph = function.graph
    captures = {internal.op.name: external for external, internal in graph.captures}
    given = [tensor for tensor in graph.inputs if tensor.op.name not in captures]
    names = _input_names(function, given)
    variables = {id(variable.handle): _plain(variable.name) for variable in graph.variables}
    return Program(
        name,
        without_branches(graph.as_graph_def(), (tensor.name for tensor in given)),
        tuple(Port(name, tensor.name, _shape(tensor, batch)) for name, tensor in zip(names, given)),
        (),
        captures,
        _layers(variables.values(), model),
        variables,
    )


def _plain(name: str) -> str:
    return name.partition(":")[0]


def _shape(tensor: Any, batch: str | None) -> tuple[int | str | None, ...] | None:
    if tensor.shape.rank is None:
        return None
    sizes: list[int | str | None] = tensor.shape.as_list()
    if batch and sizes and sizes[0] is None:
        sizes[0] = batch
    return tuple(sizes)


def _input_names(function: Any, tensors: Sequence[Any]) -> list[str]:
    """Names of the arguments; those of nested arguments are the placeholders' own."""
    stated = getattr(function, "_arg_keywords", None)
    if stated is not None and len(stated) == len(tensors):
        return [str(name) for name in stated]
    return [tensor.op.name for tensor in tensors]


def _output_names(function: Any, model: Any) -> list[str]:
    """`output` alone, else keys and positions joined by dots; a keras.Model's results are called as its layers."""
    structure = function.structured_outputs
    count = len(function.graph.outputs)
    own = list(getattr(model, "output_names", None) or ())
    if len(own) == count and len(set(own)) == count:
        return own
    found = [".".join(map(str, path)) for path, leaf in _walk(structure, ()) if leaf is not None]
    if len(found) != count:
        raise ParseError(
            "a result is no dense tensor (ragged, sparse or composite)", where=str(structure), remedy="return its parts"
        )
    return [f"output_{path}" if path[:1].isdigit() else path or "output" for path in found]


def _walk(structure: Any, path: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], Any]]:
    """Leaves in TensorFlow's order: keys of a dict sorted."""
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _walk(structure[key], (*path, key))
    elif isinstance(structure, tuple) and hasattr(structure, "_fields"):
        for key, child in zip(structure._fields, structure):
            yield from _walk(child, (*path, key))
    elif isinstance(structure, (list, tuple)):
        for index, child in enumerate(structure):
            yield from _walk(child, (*path, index))
    elif isinstance(structure, (tf.Tensor, tf.TensorSpec)) or structure is None:
        yield path, structure


def _concrete(function: Any, example_inputs: Any) -> Any:
    """A concrete function of a function."""
    if hasattr(function, "graph") and hasattr(function, "captured_inputs"):
        _refuse("a concrete function", example_inputs=example_inputs)
        return function
    try:
        if example_inputs is None:
            return function.get_concrete_function()
        positional, keywords = arguments_of(example_inputs)
        return function.get_concrete_function(*_specs(positional), **_specs(keywords))
    except Exception as error:
        raise ParseError(
            f"TensorFlow cannot trace the function: {_first_lines(error)}",
            where=str(getattr(function, "__name__", "function")),
            remedy="" if example_inputs is not None else "give example_inputs, or a concrete function",
        ) from error


def arguments_of(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: a tuple, a dict, a pair of both, or a tensor."""
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple):
        if len(example_inputs) == 2 and isinstance(example_inputs[0], tuple) and isinstance(example_inputs[1], dict):
            return example_inputs[0], example_inputs[1]
        return example_inputs, {}
    return (example_inputs,), {}


def _specs(structure: Any) -> Any:
    def spec(leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic, tf.Tensor, tf.Variable)):
            return tf.TensorSpec(leaf.shape, leaf.dtype)
        return leaf

    return tf.nest.map_structure(spec, structure)


def _first_lines(error: Exception, lines: int = 4) -> str:
    text = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(text[:lines]) or type(error).__name__


# --- Keras ------------------------------------------------------------------------------------------------------------


def is_keras(source: Any) -> bool:
    """Whether an object is a keras.Model, without importing Keras."""
    return any(base.__module__ == "keras.src.models.model" for base in type(source).__mro__)


def trace_keras(model: Any, example_inputs: Any = None) -> Any:
    """The concrete function of a model's call for inference."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ParseError(
            f"Keras runs on {keras.backend.backend()}", where=model.name, remedy="set KERAS_BACKEND=tensorflow"
        )
    if example_inputs is not None:
        positional, keywords = arguments_of(example_inputs)
        positional, keywords = _free_batch(_specs(positional)), _free_batch(_specs(keywords))
    else:
        structure = getattr(model, "_inputs_struct", None)
        if structure is None and model.built and getattr(model, "inputs", None):
            structure = model.inputs if len(model.inputs) > 1 else model.inputs[0]
        if structure is None:
            raise ParseError(
                "the model's inputs are not known",
                where=model.name,
                remedy="give example_inputs, or build it with Input",
            )
        names = {id(leaf): leaf.name for leaf in tf.nest.flatten(structure)}
        positional = (
            tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype, names[id(leaf)]), structure),
        )
        keywords = {}
    try:
        function = tf.function(lambda *args, **kwargs: model(*args, training=False, **kwargs))
        return function.get_concrete_function(*positional, **keywords)
    except Exception as error:
        raise ParseError(f"Keras cannot trace the model: {_first_lines(error)}", where=model.name) from error


def _free_batch(structure: Any) -> Any:
    """Specs whose first axis may have any size."""

    def free(leaf: Any) -> Any:
        if isinstance(leaf, tf.TensorSpec) and leaf.shape.rank:
            return tf.TensorSpec([None, *leaf.shape.as_list()[1:]], leaf.dtype)
        return leaf

    return tf.nest.map_structure(free, structure)


def _keras_model(model: Any, example_inputs: Any) -> Program:
    return of_function(trace_keras(model, example_inputs), str(model.name), model=model, batch=_BATCH)


def _keras_file(path: Path) -> Any:
    """The model in a .keras or .h5 file. Nothing that the file holds is run: Lambda layers and the like are refused."""
    import keras

    if path.suffix.lower() == ".keras" and not zipfile.is_zipfile(path):
        raise ParseError("the file is no archive of Keras, or a damaged one", where=str(path), remedy="save it again")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ParseError(
            f"Keras does not read the file: {_first_lines(error)}",
            where=str(path),
            remedy="code in a model file is never run: build the model where its code is and give the object",
        ) from error


def _layers(variables: Iterable[str], model: Any) -> frozenset[str]:
    """Names of layers: parts of variables' names, and of all layers in a model's tree."""
    names = {part for name in variables for part in name.split("/")[:-1]}
    if model is not None:
        names.add(str(model.name))
        names.update(str(layer.name) for layer in model._flatten_layers(include_self=False, recursive=True))
    return frozenset(names)


# --- SavedModels ------------------------------------------------------------------------------------------------------


def _saved_model(path: Path, signature: str | None, tags: str | Sequence[str] | None) -> Program:
    wanted = tags.split(",") if isinstance(tags, str) else tags
    try:
        loaded = tf.saved_model.load(str(path), tags=wanted)
    except Exception as error:
        several = "MetaGraph" in str(error)
        raise ParseError(
            f"TensorFlow does not read the SavedModel: {_first_lines(error)}",
            where=str(path),
            remedy='choose one of its graphs with tags="..."' if several else "",
        ) from error
    return replace(of_function(signature_of(loaded, signature, str(path)), path.name), owner=loaded)


def signature_of(loaded: Any, signature: str | None = None, where: str = "") -> Any:
    """A signature of a loaded SavedModel as a concrete function; None: the usual one, or the only one."""
    signatures = getattr(loaded, "signatures", {})
    wanted = signature or (_DEFAULT_SIGNATURE if len(signatures) != 1 else next(iter(signatures)))
    if wanted not in signatures:
        raise ParseError(
            f"the SavedModel has no signature {wanted!r}" if signatures else "the SavedModel has no signatures",
            where=where,
            available=", ".join(sorted(signatures)) or "none",
            remedy="name one with signature=..."
            if signatures
            else "save it with tf.saved_model.save(model, path, signatures=...) or keras' model.export(path)",
        )
    return signatures[wanted]


# --- frozen graphs ----------------------------------------------------------------------------------------------------


def _graph_file(path: Path) -> Any:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph = GraphDef()
    try:
        if path.suffix.lower() == ".pbtxt":
            text_format.Parse(path.read_text(encoding="utf-8"), graph)
        else:
            graph.ParseFromString(path.read_bytes())
    except (OSError, DecodeError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ParseError(f"the file is no TensorFlow graph: {error}", where=str(path)) from error
    if not graph.node:
        raise ParseError(
            "the file is no TensorFlow graph, or an empty one",
            where=str(path),
            remedy="for a SavedModel give the folder that saved_model.pb is in",
        )
    return graph


def _frozen(graph: Any, name: str, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Program:
    nodes = {node.name: node for node in graph.node}
    if len(nodes) != len(graph.node):
        raise ParseError("two nodes have one name", where=name, remedy="the graph is damaged: save it again")
    read = {tensor_name(source)[0] for node in graph.node for source in node.input}
    if inputs is None:
        inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    if outputs is None:
        outputs = [
            node.name
            for node in graph.node
            if node.name not in read and node.op not in ("NoOp", "Assert", "Placeholder")
        ]
    for tensor in (*inputs, *outputs):
        if tensor_name(tensor)[0] not in nodes:
            raise ParseError(f"the graph has no node {tensor!r}", where=name, available=", ".join(sorted(nodes)[:20]))
    if not outputs:
        raise ParseError("the graph has no outputs", where=name, remedy="name them with outputs=[...]")

    def port(tensor: str) -> Port:
        node = nodes[tensor_name(tensor)[0]]
        return Port(tensor, tensor, stated_shape(node))

    graph = without_branches(graph, inputs)
    return Program(name, graph, tuple(map(port, inputs)), tuple(Port(tensor, tensor) for tensor in outputs))


def stated_shape(node: Any) -> tuple[int | None, ...] | None:
    """The shape that a placeholder states; None where it does not."""
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in node.attr["shape"].shape.dim)
