"""One part of a compiled graph: a graph that our engine runs, built when it is first called."""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from typing import Any

import torch

from mm_core.build import Builder, BuilderConfig
from mm_core.errors import MMError
from mm_core.ir import Network, Value
from mm_core.runtime import Context, Engine
from mm_core.types import TensorType
from mm_parser_torch.reader import Reader
from mm_parser_torch.report import CompileReport, Left
from mm_parser_torch.tensors import array_of, tensor_of


class Part:
    """Callable as the graph is. `weights` are the places of arguments that are the same tensors at each call.

    They are shared with the module as constants of the engine, which is built again if one was replaced or changed in
    place. A graph that cannot be built runs in eager from then on. Safe to call from several threads.
    """

    def __init__(
        self, graph: torch.fx.GraphModule, weights: Set[int], config: BuilderConfig, report: CompileReport
    ) -> None:
        self.graph = graph
        self.weights = sorted(weights)
        self.config = config
        self.report = report
        self._stamp: tuple[Any, ...] | None = None
        self._engine: Engine | None = None
        self._idle: list[Context] = []
        self._inputs: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        stamp = tuple(_stamp(arguments[index]) for index in self.weights)
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._build(arguments)
            engine, context = self._engine, self._idle.pop() if self._idle else None
        if engine is None:
            return self.graph(*arguments)
        context = context or engine.create_context()
        results = context.run({name: _array(arguments[index]) for name, index in self._inputs})
        with self._lock:
            if engine is self._engine:
                self._idle.append(context)
        return tuple(tensor_of(array) for array in results.values())

    def _build(self, arguments: Sequence[Any]) -> None:
        self._engine, self._idle = None, []
        try:
            network = self._network(arguments)
            self._engine = Builder(self.config).build(network).create_engine()
        except MMError as error:
            self.report.left.append(Left("a part", f"{len(self.graph.graph.nodes)} nodes", str(error)))
            return
        self.report.builds += 1

    def _network(self, arguments: Sequence[Any]) -> Network:
        network, reader = Network("torch_compile"), Reader()
        placeholders = [node for node in self.graph.graph.nodes if node.op == "placeholder"]
        examples = [node.meta.get("val") for node in placeholders]
        values: list[Any] = [None] * len(examples)
        self._inputs = []
        for index, (node, example) in enumerate(zip(placeholders, examples)):
            if index in self.weights:
                values[index] = reader.weight(network, arguments[index], node.name)
            elif isinstance(example, torch.Tensor):
                values[index] = network.add_typed_input(node.name, reader.type_of(example, node.name))
                self._inputs.append((node.name, index))
        for index, (node, example) in enumerate(zip(placeholders, examples)):
            if isinstance(example, torch.SymInt):
                values[index] = _size(network, example, values)
                if values[index] is None:
                    values[index] = network.add_typed_input(node.name, reader.type_of(example, node.name))
                    self._inputs.append((node.name, index))
        results = reader.read(self.graph, network, values)
        reader.unsupported.raise_all()
        for index, value in enumerate(results):
            network.mark_output(network.identity(value), f"output_{index}")
        return network


def _size(network: Network, size: torch.SymInt, values: Sequence[Any]) -> Value | None:
    """A symbolic size that an input's shape tells, read from there."""
    for value in values:
        if isinstance(value, Value) and value.defining_op is None and isinstance(value.type, TensorType):
            for axis, dim in enumerate(value.type.shape or ()):
                if str(dim) == str(size.node.expr):
                    found = network.shape(value, start=axis, end=axis + 1)
                    return network.reshape(found, [])  # type: ignore[no-any-return]
    return None


def _stamp(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Changes when a parameter's memory is another or has been written to."""
    return tensor.data_ptr(), tuple(tensor.shape), -1 if tensor.is_inference() else tensor._version


def _array(argument: Any) -> Any:
    return array_of(argument) if isinstance(argument, torch.Tensor) else argument
