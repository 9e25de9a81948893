"""Pieces of a traced function as steps: from the values there are, by tensors' names, to those that a piece gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mm_core.build import Builder, BuilderConfig
from mm_core.errors import InputError
from mm_core.runtime import Context, Engine
from mm_parser_tensorflow.elements import array_of, tensor_of
from mm_parser_tensorflow.partition import Piece, Whole, function_of, network_of, port
from mm_parser_tensorflow.report import CompileReport
from mm_parser_tensorflow.resources import Resource

Values = dict[str, Any]
"""Tensors and arrays."""
Step = Callable[[Values], Values]


class Part:
    """A piece in our engine, built when it is made and again when `refresh` is told so. For one thread while building.

    `variables` are what the engine holds as its weights.
    """

    def __init__(self, whole: Whole, piece: Piece, config: BuilderConfig, report: CompileReport) -> None:
        self.whole = whole
        self.piece = piece
        self.config = config
        self.report = report
        self.variables: list[Resource] = []
        self._built: tuple[Engine, list[Context]]
        self._inputs = [(name, port(name)) for name in piece.inputs]
        self._outputs = [(name, port(name)) for name in piece.outputs]
        self._lock = threading.Lock()
        self._fallback: Step | None = None
        self.refresh()

    def refresh(self) -> None:
        """Build the engine with the values that the variables have now."""
        network, self.variables = network_of(self.whole, self.piece)
        self._built = Builder(self.config).build(network).create_engine(), []
        self.report.builds += 1

    def __call__(self, values: Values) -> Values:
        engine, idle = self._built
        try:
            context = idle.pop()
        except IndexError:
            context = engine.create_context()
        try:
            results = context.run({own: _array(values[name]) for name, own in self._inputs})
        except InputError as error:  # Such as sizes that do not go together, which TensorFlow tells in its own way.
            self.report.refused[error.what] += 1
            return self._instead(values)
        finally:
            idle.append(context)
        return {name: tensor_of(results[own]) for name, own in self._outputs}

    def _instead(self, values: Values) -> Values:
        """A request that the engine does not take, in TensorFlow."""
        with self._lock:
            self._fallback = self._fallback or tensorflow_step(self.whole, self.piece)
        return self._fallback(values)


def tensorflow_step(whole: Whole, piece: Piece) -> Step:
    """A piece in TensorFlow."""
    function, captured = function_of(whole, piece)
    names = [name for name in piece.inputs if name not in whole.captured]

    def run(values: Values) -> Values:
        results, _ = function(*(tf.convert_to_tensor(values[name]) for name in names), *captured)
        return dict(zip(piece.outputs, results))

    return run


class Watch:
    """Tells whether variables have been written to since their values were read.

    Reading a variable gives its own memory, and as long as somebody has that, TensorFlow writes elsewhere. So nobody
    has written where the memory is the same. Only where sparse updates have made TensorFlow copy what it reads
    are elements compared.
    """

    def __init__(self, variables: Sequence[Resource]) -> None:
        handles = {id(item.tensor): item for item in variables if item.read.shape.num_elements()}
        self._known = [array_of(item.read) for item in handles.values()]
        reads = [(item.tensor, item.read.dtype) for item in handles.values()]

        def read() -> list[Any]:
            return [tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype) for handle, dtype in reads]

        self._read = tf.function(read, autograph=False).get_concrete_function() if reads else list

    def has_changed(self) -> bool:
        for place, tensor in enumerate(self._read()):
            array, known = array_of(tensor), self._known[place]
            if np.may_share_memory(array, known):
                continue
            if not np.array_equal(array, known):
                return True
            self._known[place] = array  # The same elements elsewhere: next time that is seen at once.
        return False


def _array(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else array_of(value)
