"""One traced function, in pieces that run one after another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mm_core.build import BuilderConfig
from mm_core.errors import MMError
from mm_parser_tensorflow.part import Part, Step, Values, Watch, tensorflow_step
from mm_parser_tensorflow.partition import Piece, Whole, split, whole_of
from mm_parser_tensorflow.report import CompileReport, Left

_LOG = logging.getLogger(__name__)
Shapes = Sequence[Sequence[int | None]]


class Trace:
    """A concrete function for arguments of some shapes, None where any size will do. Safe to call from several threads.

    With `follows`, engines are built again when a variable that they hold has been written to.
    """

    def __init__(
        self, function: Any, shapes: Shapes, config: BuilderConfig, *, name: str, model: Any = None, follows: bool
    ) -> None:
        self.function = function
        self.shapes = shapes
        self.report = CompileReport()
        self._config = config
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        whole = whole_of(function, name, model)
        self._given = whole.inputs
        self._results = [_result(whole, tensor) for tensor in whole.outputs]
        self._steps = [self._step(whole, piece) for piece in split(whole, self.report)]
        self._parts = [step for step in self._steps if isinstance(step, Part)]
        if follows and any(part.variables for part in self._parts):
            self._watch = self._watched()
        _LOG.info("%s", self.report)

    def takes(self, shapes: Shapes) -> bool:
        """Whether arguments of these shapes can be given."""
        return all(
            own is None or own == size
            for mine, given in zip(self.shapes, shapes, strict=True)
            for own, size in zip(mine, given, strict=True)
        )

    def __call__(self, tensors: Sequence[Any]) -> Any:
        """The function's results, nested as they are, for its tensors in the order of the arguments."""
        self._follow()
        values: Values = dict(zip(self._given, tensors, strict=True))
        for step in self._steps:
            values |= step(values)
        structure = self.function.structured_outputs
        results = iter([values[item] if isinstance(item, str) else item for item in self._results])
        flat = [
            None if leaf is None else tf.convert_to_tensor(next(results))
            for leaf in tf.nest.flatten(structure, expand_composites=True)
        ]
        return tf.nest.pack_sequence_as(structure, flat, expand_composites=True)

    def _step(self, whole: Whole, piece: Piece) -> Step:
        """A piece in our engine, or in TensorFlow where it cannot be built there, which the report tells."""
        if piece.is_ours:
            try:
                return Part(whole, piece, self._config, self.report)
            except MMError as error:
                self.report.left.append(Left(whole.program.name, f"{len(piece.nodes)} nodes", str(error)))
                self.report.parts -= 1
                self.report.engine_nodes -= len(piece.nodes)
        return tensorflow_step(whole, piece)

    def _follow(self) -> None:
        if self._watch is None or not self._watch.has_changed():
            return
        with self._lock:
            if self._watch.has_changed():
                for part in self._parts:
                    if part.variables:
                        part.refresh()
                self._watch = self._watched()

    def _watched(self) -> Watch:
        return Watch([variable for part in self._parts for variable in part.variables])


def _result(whole: Whole, tensor: str) -> Any:
    """The name of a result among the values, or the result itself where no piece gives it."""
    if tensor in whole.captured:
        return whole.captured[tensor]
    static = tf.get_static_value(whole.graph.get_tensor_by_name(tensor))
    return tensor if static is None else tf.constant(static)
