"""mm inside TensorFlow: a callable that runs in our engine what it supports, and the rest in TensorFlow."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record

from mm_core.build import BuilderConfig
from mm_core.errors import InputError, MMError
from mm_parser_tensorflow.report import CompileReport
from mm_parser_tensorflow.source import is_keras, signature_of
from mm_parser_tensorflow.trace import Trace

Shape = tuple[int | None, ...]


class Compiled:
    """Callable as the model or function is. Safe to call from several threads.

    Calls that gradients are wanted of, and calls inside other functions of TensorFlow's, are TensorFlow's;
    `left_calls` counts those by reason.
    """

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        settings = {"backends": ["cpu"], **options}
        self.follows_variables = not settings.pop("freeze", False)
        try:
            self.config = BuilderConfig(**settings)
        except (TypeError, MMError) as error:
            raise InputError(
                f"options of compile: {error}", remedy="give freeze=True or fields of mm.BuilderConfig"
            ) from error
        if not callable(source) and not hasattr(source, "signatures"):
            raise InputError(f"a {type(source).__name__} cannot be called", remedy="give a model or a function")
        self.source = source if callable(source) else signature_of(source)
        self.model = source if is_keras(source) else None
        self.name = str(getattr(source, "name", "") or getattr(source, "__name__", "function"))
        self.left_calls: Counter[str] = Counter()
        self._traces: dict[Any, list[Trace]] = {}
        self._lock = threading.Lock()
        self._function = tf.function(self._call)
        specs = tf.nest.flatten(getattr(source, "input_signature", None) or ())
        self._stated = [tuple(spec.shape) for spec in specs if spec.shape.rank is not None]

    @property
    def reports(self) -> tuple[CompileReport, ...]:
        """One report for each trace so far."""
        return tuple(trace.report for traces in self._traces.values() for trace in traces)

    def reset(self) -> None:
        """Forget all traces: for `freeze=True` after training."""
        with self._lock:
            self._traces.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if tf.inside_function():
            return self._leave("inside a function of TensorFlow's", self._call, args, kwargs)
        if record.could_possibly_record():
            return self._leave("a gradient may be wanted", self._function, args, kwargs)
        if not kwargs and all(map(_is_tensor, args)):
            leaves, structure = list(args), str(len(args))
        else:
            leaves = tf.nest.flatten((args, kwargs))
            structure = str(tf.nest.map_structure(lambda _: 0, (args, kwargs)))
        strange = next(filter(_is_strange, leaves), None)
        if strange is not None:
            function = self._call if _is_symbolic(strange) else self._function
            return self._leave(f"an argument is a {type(strange).__name__}", function, args, kwargs)
        tensors = [_array(leaf) for leaf in leaves if _is_tensor(leaf)]
        key = structure, tuple(map(_kind, leaves))
        return self._find(key, args, kwargs, [tuple(tensor.shape) for tensor in tensors])(tensors)

    def _leave(self, reason: str, function: Any, args: Any, kwargs: Any) -> Any:
        self.left_calls[reason] += 1
        return function(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        function = getattr(self.source, "python_function", self.source)
        return function(*args, **kwargs if self.model is None else {"training": False, **kwargs})

    # --- traces -------------------------------------------------------------------------------------------------------

    def _find(self, key: Any, args: Any, kwargs: Any, shapes: list[Shape]) -> Trace:
        """The trace for arguments: one that there is, or a new one."""
        with self._lock:
            traces = self._traces.setdefault(key, [])
            for trace in traces:
                if trace.takes(shapes):
                    return trace
            traces.insert(0, self._trace(args, kwargs, shapes, self._wider(shapes, traces)))
            return traces[0]

    def _wider(self, shapes: list[Shape], traces: list[Trace]) -> list[Shape]:
        """Shapes to trace for: a model's batch is free, and so is each size that differs from an earlier trace's."""
        if shapes and len(self._stated) == len(shapes):
            return self._stated
        found = shapes
        if self.model is not None:
            found = [(None, *shape[1:]) if shape else shape for shape in found]
        for trace in traces:
            found = [
                tuple(size if size == own else None for size, own in zip(shape, mine))
                for shape, mine in zip(found, trace.shapes)
            ]
        return found

    def _trace(self, args: Any, kwargs: Any, shapes: list[Shape], wider: list[Shape]) -> Trace:
        try:
            function = self._traced(args, kwargs, wider)
        except Exception:
            if wider == shapes:
                raise  # As the function itself would.
            wider, function = shapes, self._traced(args, kwargs, shapes)
        return Trace(function, wider, self.config, name=self.name, model=self.model, follows=self.follows_variables)

    def _traced(self, args: Any, kwargs: Any, shapes: list[Shape]) -> Any:
        sizes = iter(shapes)

        def spec(leaf: Any) -> Any:
            return tf.TensorSpec(next(sizes), _dtype(leaf)) if _is_tensor(leaf) else leaf

        specs, named = tf.nest.map_structure(spec, (args, kwargs))
        return self._function.get_concrete_function(*specs, **named)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, (tf.Tensor, np.ndarray, np.generic))


def _is_strange(leaf: Any) -> bool:
    """Whether an argument is no value that a trace could be found by: a variable, a ragged or symbolic tensor."""
    if _is_tensor(leaf):
        return False
    kinds = (tf.Variable, tf.__internal__.CompositeTensor)
    return _is_symbolic(leaf) or isinstance(leaf, kinds) or not isinstance(leaf, Hashable)


def _is_symbolic(leaf: Any) -> bool:
    """Whether an argument stands for a tensor of a Keras model that is being built."""
    return type(leaf).__name__ == "KerasTensor"


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if isinstance(leaf, tf.Tensor) else tf.as_dtype(leaf.dtype)


def _kind(leaf: Any) -> Any:
    """What a trace holds for, of one argument: type and value, or element type and rank."""
    return (_dtype(leaf), len(leaf.shape)) if _is_tensor(leaf) else (type(leaf), leaf)


def _array(leaf: Any) -> Any:
    """A tensor or array as pieces take it; strings are TensorFlow's tensors."""
    if isinstance(leaf, tf.Tensor):
        return leaf
    return tf.convert_to_tensor(leaf) if leaf.dtype.kind in "OSU" else np.asarray(leaf)
