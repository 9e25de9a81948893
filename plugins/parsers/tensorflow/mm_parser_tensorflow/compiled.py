"""mm inside TensorFlow: a callable that runs in our engine what it supports, and the rest in TensorFlow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mm_core.build import Builder, BuilderConfig
from mm_core.errors import InputError, MMError
from mm_parser_tensorflow.elements import array_of
from mm_parser_tensorflow.partition import Piece, function_of, network_of, port, split, wrapped
from mm_parser_tensorflow.report import CompileReport, Left
from mm_parser_tensorflow.source import of_function

_LOG = logging.getLogger(__name__)
Values = dict[str, Any]


class Compiled:
    """Callable as the model or function is. Safe to call from several threads.

    Variables are read when a trace is built, at the first call with arguments of its kind: `reset` after training.
    """

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        try:
            self.config = BuilderConfig(**{"backends": ["cpu"], **options})
        except (TypeError, MMError) as error:
            raise InputError(f"options of compile: {error}", remedy="give fields of mm.BuilderConfig") from error
        if not callable(source):
            raise InputError(f"a {type(source).__name__} cannot be called", remedy="give a model or a function")
        self.source = source
        self.is_model = any(base.__module__ == "keras.src.models.model" for base in type(source).__mro__)
        self._traces: dict[Any, _Trace] = {}
        self._lock = threading.Lock()

    @property
    def reports(self) -> tuple[CompileReport, ...]:
        """One report for each trace so far."""
        return tuple(trace.report for trace in self._traces.values())

    def reset(self) -> None:
        """Forget all traces, so that variables are read again."""
        with self._lock:
            self._traces.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = tf.nest.flatten((args, kwargs))
        if any(isinstance(leaf, tf.Tensor) and not hasattr(leaf, "numpy") for leaf in leaves):
            return self._call(*args, **kwargs)  # Inside another function of TensorFlow's.
        tensors = [tf.convert_to_tensor(leaf) if _is_tensor(leaf) else leaf for leaf in leaves]
        args, kwargs = tf.nest.pack_sequence_as((args, kwargs), tensors)
        key = (_structure((args, kwargs)), tuple(map(self._kind, tensors)))
        with self._lock:
            trace = self._traces.get(key)
            if trace is None:
                trace = self._traces[key] = self._trace(args, kwargs)
        return trace(tensors)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        function = getattr(self.source, "python_function", self.source)
        return function(*args, **{"training": False, **kwargs} if self.is_model else kwargs)

    def _kind(self, leaf: Any) -> Any:
        """What a trace holds for: the batch of a model is free."""
        if not isinstance(leaf, tf.Tensor):
            return type(leaf), leaf
        shape = tuple(leaf.shape)
        return leaf.dtype, (None, *shape[1:]) if self.is_model and shape else shape

    def _trace(self, args: Any, kwargs: Any) -> _Trace:
        def spec(leaf: Any) -> Any:
            return tf.TensorSpec(self._kind(leaf)[1], leaf.dtype) if isinstance(leaf, tf.Tensor) else leaf

        specs, named = tf.nest.map_structure(spec, (args, kwargs))
        function = tf.function(self._call).get_concrete_function(*specs, **named)
        trace = _Trace(function, self.config)
        _LOG.info("%s", trace.report)
        return trace


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic, tf.Tensor, tf.Variable))


def _structure(nested: Any) -> str:
    return str(tf.nest.map_structure(lambda _: 0, nested))


class _Trace:
    """One concrete function in pieces."""

    def __init__(self, function: Any, config: BuilderConfig) -> None:
        self.function = function
        self.report = CompileReport()
        self.program = of_function(function, "compiled")
        self.steps: list[tuple[Piece, Callable[[Values], Values]]] = []
        pieces = split(self.program, self.report)
        whole = None if all(piece.is_ours for piece in pieces) else wrapped(self.program)
        for piece in pieces:
            step = _engine_step(self.program, piece, config, self.report) if piece.is_ours else None
            if step is None:
                whole = whole or wrapped(self.program)
                step = _function_step(self.program, whole, piece)
            self.steps.append((piece, step))

    def __call__(self, leaves: list[Any]) -> Any:
        graph = self.function.graph
        given = [tensor for tensor in graph.inputs if tensor.op.name not in self.program.captures]
        values: Values = {}
        for tensor, leaf in zip(given, (leaf for leaf in leaves if isinstance(leaf, tf.Tensor)), strict=True):
            values[tensor.name] = leaf
        for _, step in self.steps:
            values |= step(values)
        flat = [self._output(tensor, values) for tensor in graph.outputs]
        structure = self.function.structured_outputs
        results = iter(flat)
        return tf.nest.map_structure(lambda leaf: None if leaf is None else next(results), structure)

    def _output(self, tensor: Any, values: Values) -> Any:
        """A result; what no piece gives is a constant or captured."""
        if tensor.name in values:
            return values[tensor.name]
        if tensor.op.name in self.program.captures:
            return self.program.captures[tensor.op.name]
        return tf.constant(tf.get_static_value(tensor))


def _engine_step(program: Any, piece: Piece, config: BuilderConfig, report: CompileReport) -> Any:
    """A piece in our engine; None where it cannot be built, which the report tells."""
    try:
        engine = Builder(config).build(network_of(program, piece)).create_engine()
    except MMError as error:
        report.left.append(Left("a part", f"{len(piece.nodes)} nodes", str(error)))
        report.parts -= 1
        report.engine_nodes -= len(piece.nodes)
        return None
    idle: list[Any] = []

    def run(values: Values) -> Values:
        try:
            context = idle.pop()
        except IndexError:
            context = engine.create_context()
        results = context.run({port(name): array_of(values[name]) for name in piece.inputs})
        idle.append(context)
        return {name: tf.convert_to_tensor(results[port(name)]) for name in piece.outputs}

    return run


def _function_step(program: Any, whole: Any, piece: Piece) -> Any:
    function, captured = function_of(program, whole, piece)
    names = [name for name in piece.inputs if name.partition(":")[0] not in program.captures]

    def run(values: Values) -> Values:
        results, _ = function(*(values[name] for name in names), *captured)
        return dict(zip(piece.outputs, results))

    return run
