"""One part of a compiled graph: a graph that our engine runs, built when it is first called."""

from __future__ import annotations

import gc
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from mm_core.build import Builder, BuilderConfig
from mm_core.errors import MMError
from mm_core.ir import Network, Value
from mm_core.runtime import Context, Engine
from mm_core.types import TensorType
from mm_parser_torch.layout import inverse, memory_order
from mm_parser_torch.reader import Reader
from mm_parser_torch.report import CompileReport, Left
from mm_parser_torch.tensors import array_of, tensor_of
from mm_parser_torch.weights import Weights

_LOG = logging.getLogger(__name__)
_WORTHWHILE = 16
"""Calls that an engine should serve before its weights change."""
_PATIENCE = 2
"""How often a weight may change sooner than that before it becomes an input."""

_NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool)

Take = Callable[[Any], Any]


class Part:
    """Callable as the graph is. `weights` are the places of arguments that are the same tensors at each call.

    They are shared with the module as constants of the engine, which is built again if one was replaced or changed in
    place; those that keep changing become inputs. What the engine cannot build or run, PyTorch runs, and the report
    has the reason. Safe to call from several threads.
    """

    def __init__(
        self, graph: torch.fx.GraphModule, weights: Set[int], config: BuilderConfig, report: CompileReport
    ) -> None:
        self.graph = graph
        self.weights = sorted(weights)
        self.config = config
        self.report = report
        self._session: _Session | None = None
        self._is_left = False
        self._changes: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        session = self._session
        if session is None or not session.is_current(arguments):
            session = self._renewed(arguments)
            if session is None:
                return self.graph(*arguments)
        try:
            return session.run(arguments)
        except MMError as error:
            # The graph changes nothing, so PyTorch may begin anew; what is an error there too is PyTorch's to tell.
            results = self.graph(*arguments)
            self.report.refused[str(error)] += 1
            return results

    def _renewed(self, arguments: Sequence[Any]) -> _Session | None:
        """A session with the weights as they are now; None if there can be none."""
        with self._lock:
            if self._is_left:
                return None
            if self._session is not None:
                if self._session.is_current(arguments):
                    return self._session
                self._note_changes(self._session, arguments)
            try:
                self._session = self._build(arguments)
            except Exception as error:  # Whatever fails in our house, the user's program goes on.
                self._session, self._is_left = None, True
                self._leave(error)
                return None
            self.report.builds += 1
            return self._session

    def _note_changes(self, session: _Session, arguments: Sequence[Any]) -> None:
        for place in session.changed(arguments):
            self._changes[place] = self._changes[place] + 1 if session.calls < _WORTHWHILE else 0
        self.weights = [place for place in self.weights if self._changes[place] < _PATIENCE]

    def _leave(self, error: Exception) -> None:
        """The part is PyTorch's from now on."""
        calls = sum(node.op == "call_function" for node in self.graph.graph.nodes)
        expected = isinstance(error, MMError)
        self.report.parts -= 1
        self.report.engine_nodes -= calls
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        self.report.left.append(Left("a part", f"{calls} nodes", reason))
        _LOG.warning("a part of %d nodes stays in eager: %s", calls, reason, exc_info=not expected)

    def _build(self, arguments: Sequence[Any]) -> _Session:
        network, reader = Network("torch_compile"), Reader()
        placeholders = [node for node in self.graph.graph.nodes if node.op == "placeholder"]
        examples = [node.meta.get("val") for node in placeholders]
        values: list[Any] = [None] * len(examples)
        inputs: list[tuple[str, int, Take]] = []
        for index, (node, example) in enumerate(zip(placeholders, examples)):
            if index in self.weights:
                values[index] = reader.weight(network, arguments[index], node.name)
            elif isinstance(example, torch.Tensor):
                order = memory_order(example)
                type_ = reader.type_of(example, node.name)
                dims = type_.shape or ()
                given = network.add_typed_input(node.name, type_.with_shape(dims[axis] for axis in order))
                values[index] = _transposed(network, given, inverse(order))
                inputs.append((node.name, index, partial(_array, order=order) if _moves(order) else _array))
            elif not isinstance(example, _NUMBERS):
                values[index] = arguments[index]
        for index, (node, example) in enumerate(zip(placeholders, examples)):
            if isinstance(example, _NUMBERS):
                values[index] = _size(network, example, values)
                if values[index] is None:
                    values[index] = network.add_typed_input(node.name, reader.type_of(example, node.name))
                    inputs.append((node.name, index, np.asarray))
        results = reader.read(self.graph, network, values)
        reader.unsupported.raise_all()
        give: list[Take] = []
        for index, (value, example) in enumerate(zip(results, _results(self.graph))):
            order = memory_order(example)
            network.mark_output(network.identity(_transposed(network, value, order)), f"output_{index}")
            give.append(partial(_tensor, order=inverse(order)) if _moves(order) else tensor_of)
        # The state before the engine reads the weights: what changes meanwhile is seen at the next call.
        weights = Weights([arguments[place] for place in self.weights])
        model = Builder(self.config).build(network)
        del network, values, results, reader
        gc.collect()  # Networks are cyclic, and passes leave weights in them that are as large as the model's own.
        engine = model.create_engine(threads=self.config.threads)
        return _Session(engine, tuple(self.weights), weights, inputs, give)


@dataclass(slots=True)
class _Session:
    """An engine and the weights that it holds. `inputs`: name, place and how to make an array of the argument."""

    engine: Engine
    places: tuple[int, ...]
    weights: Weights
    inputs: list[tuple[str, int, Take]]
    outputs: list[Take]
    calls: int = 0
    idle: list[Context] = field(default_factory=list)

    def is_current(self, arguments: Sequence[Any]) -> bool:
        return self.weights.hold([arguments[place] for place in self.places])

    def changed(self, arguments: Sequence[Any]) -> list[int]:
        changed = self.weights.changed([arguments[place] for place in self.places])
        return [self.places[index] for index in changed]

    def run(self, arguments: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        self.calls += 1
        try:
            context = self.idle.pop()
        except IndexError:  # Each call that is under way at this moment has one.
            context = self.engine.create_context()
        results = context.run({name: take(arguments[place]) for name, place, take in self.inputs})
        self.idle.append(context)
        return tuple(give(array) for give, array in zip(self.outputs, results.values()))


def _results(graph: torch.fx.GraphModule) -> Iterable[torch.Tensor]:
    """What PyTorch says of the results."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    results = output.args[0] if isinstance(output.args[0], (tuple, list)) else [output.args[0]]
    return [node.meta["val"] for node in results]


def _size(network: Network, size: torch.SymInt | torch.SymFloat | torch.SymBool, values: Sequence[Any]) -> Value | None:
    """A symbolic size that an input's shape tells, read from there."""
    for value in values:
        if isinstance(value, Value) and isinstance(value.type, TensorType):
            for axis, dim in enumerate(value.type.shape or ()):
                if str(dim) == str(size.node.expr):
                    found = network.shape(value, start=axis, end=axis + 1)
                    return network.reshape(found, [])  # type: ignore[no-any-return]
    return None


def _moves(order: Sequence[int]) -> bool:
    return list(order) != sorted(order)


def _transposed(network: Network, value: Any, order: Sequence[int]) -> Any:
    return network.transpose(value, permutation=tuple(order)) if _moves(order) else value


def _array(argument: torch.Tensor, order: tuple[int, ...] | None = None) -> Any:
    """The tensor's elements in row-major order of its (permuted) axes, in place if they lie so."""
    return array_of((argument if order is None else argument.permute(order)).contiguous())


def _tensor(array: Any, order: tuple[int, ...]) -> torch.Tensor:
    return tensor_of(array).permute(order)
