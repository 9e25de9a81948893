"""What is known while building is computed while building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mm_core.ir import Builder, Graph, Network, Operation, Value, known_value
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, is_pure
from mm_core.types import TensorData, TensorType


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Operations on constants are replaced by their results, and so are integer tensors whose elements inference knows.

    A result is kept if it has at most `max_bytes`, or no more bytes than the constants that it was made of: a weight is
    transposed, but neither dequantized nor repeated.
    """

    name: ClassVar[str] = "fold-constants"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    phases_again: ClassVar[tuple[Phase, ...]] = (Phase.FOLD, Phase.FINALIZE, Phase.PLACED)
    before: ClassVar[tuple[str, ...]] = ("simplify", "prune-branches")
    max_bytes: int = 1 << 20

    def run(self, network: Network, context: PassContext) -> PassResult:
        notes: list[str] = []
        folded = self._fold_graph(network, notes)
        return PassResult(folded > 0, {"folded": folded} if folded else {}, tuple(notes))

    def _fold_graph(self, graph: Graph, notes: list[str]) -> int:
        folded = 0
        for operation in graph.operations:
            if operation.name == "mm.fused":
                continue
            for region in operation.regions:
                folded += self._fold_graph(region, notes)
            results = self._results(operation, notes)
            if results is None:
                continue
            if operation.name == "mm.sizes":
                graph.root.substitute(dict(zip(operation.attributes["names"], results[0].numpy().reshape(-1).tolist())))
            builder = Builder(graph, operation, operation.locations)
            operands = operation.operands
            operation.replace_with([builder.constant(result) for result in results])
            for operand in operands:
                maker = None if operand is None else operand.defining_op
                if maker is not None and maker.name == "mm.constant" and not maker.results[0].is_used:
                    maker.erase()
            folded += 1
        return folded

    def _results(self, operation: Operation, notes: list[str]) -> list[TensorData] | None:
        if operation.name == "mm.constant" or not operation.results or operation.regions or not is_pure(operation):
            return None
        known = [_known_array(result) for result in operation.results]
        if all(array is not None for array in known):
            return [TensorData.of(array) for array in known]
        inputs = [constant_of(operand) for operand in operation.operands]
        if not operation.definition.has_reference or not self._small_enough(operation, inputs):
            return None
        try:
            return _evaluate(operation, inputs)
        except Exception as error:  # a reference of any package may fail on values that would never be reached
            notes.append(f"{operation.name} at {operation.where} is left to run time: {type(error).__name__}: {error}")
            return None

    def _small_enough(self, operation: Operation, inputs: list[TensorData | None]) -> bool:
        absent = [operand is None for operand in operation.operands]
        if any(data is None and not gone for data, gone in zip(inputs, absent)):
            return False
        size = 0
        for result in operation.results:
            count = result.type.element_count() if isinstance(result.type, TensorType) else None
            if not isinstance(count, int):
                return False
            size += count * result.type.dtype.itemsize  # type: ignore[union-attr]
        return size <= max(self.max_bytes, sum(data.nbytes for data in inputs if data is not None))


def _known_array(value: Value) -> Any:
    """An array of the value's type if inference knows every element as an integer."""
    if not isinstance(value.type, TensorType) or not value.type.is_static:
        return None
    known = known_value(value)
    if known is None or not all(isinstance(item, (int, np.integer)) for item in known.flat):
        return None
    return np.array([int(item) for item in known.flat], value.type.dtype.numpy).reshape(value.type.shape)


def _evaluate(operation: Operation, inputs: list[TensorData | None]) -> list[TensorData]:
    arrays = [None if data is None else data.numpy() for data in inputs]
    with np.errstate(all="ignore"):
        made = operation.definition.reference(*arrays, **operation.attributes)
    outputs = list(made) if isinstance(made, (tuple, list)) else [made]
    results = []
    for value, output in zip(operation.results, outputs, strict=True):
        assert isinstance(value.type, TensorType)
        array = np.asarray(output)
        if array.dtype != value.type.dtype.numpy or array.shape != value.type.shape:
            raise ValueError(f"the reference gave {array.dtype}{list(array.shape)} for {value.type}")
        # Views would keep the whole of what they were cut from in memory.
        results.append(TensorData.of(array if array.flags.c_contiguous and array.base is None else array.copy()))
    return results
