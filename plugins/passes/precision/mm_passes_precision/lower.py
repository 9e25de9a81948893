"""`force_float16`: what is float32 becomes float16 inside the network; inputs and outputs keep their types."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Builder, Network, Operation, Value
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, is_dead, operations_to_rewrite
from mm_core.types import BY_NAME, Array, TensorData, TensorType
from mm_passes_precision.table import KEEPS_FLOAT32

FLOAT32, FLOAT16 = BY_NAME["float32"], BY_NAME["float16"]
_LARGEST = float(np.finfo(np.float16).max)
_SMALL_CONSTANT = 64
"""Up to so many elements a constant is looked at: an epsilon that vanishes keeps its reader in float32."""


@dataclass(frozen=True)
class LowerPrecision(Pass):
    """Each operation that stands it computes in float16, between casts; casts there and back cancel.

    Weights are rounded once, finite numbers to the largest finite one at most, so that a mask of -3e38 stays finite.
    It does nothing unless the build asks for `force_float16`.
    """

    name: ClassVar[str] = "lower-precision"
    phase: ClassVar[Phase] = Phase.PRECISION
    opt_level: ClassVar[int] = 0
    precisions: ClassVar[tuple[str, ...]] = ("force_float16",)

    def run(self, network: Network, context: PassContext) -> PassResult:
        if context.precision not in self.precisions:
            return PassResult(False)
        constants: dict[int, TensorData] = {}
        counts: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        for operation in operations_to_rewrite(network):
            variables = _variables(operation)
            if not variables:
                continue
            if reason := _obstacle(operation):
                kept[f"{operation.name} stays in float32: {reason}"] += 1
                continue
            _lower(operation, variables, constants)
            counts["lowered"] += 1
        for operation in reversed(operations_to_rewrite(network)):
            if operation.name == "mm.cast" and is_dead(operation):  # It would hide that a value has one user.
                operation.erase()
        notes = tuple(f"{what} ({count} times)" if count > 1 else what for what, count in sorted(kept.items()))
        return PassResult(bool(counts), counts, notes)


def _variables(operation: Operation) -> frozenset[str]:
    """The type variables of the operator's definition that are float32 here and may be float16."""
    definition = operation.definition
    return frozenset(
        schema.dtype
        for index, value in enumerate(operation.operands)
        if _is_float32(value)
        and isinstance((schema := definition.operand_schema(index)).dtype, str)
        and FLOAT16 in definition.dtypes[schema.dtype]
    )


def _is_float32(value: Value | None) -> bool:
    return value is not None and isinstance(value.type, TensorType) and value.type.dtype is FLOAT32


def _obstacle(operation: Operation) -> str:
    """Why an operation keeps its type; empty if it does not."""
    if operation.name in KEEPS_FLOAT32:
        return KEEPS_FLOAT32[operation.name]
    if operation.regions:
        return "the operations of its region are looked at one by one"
    if any(_vanishes(constant_of(value)) for value in operation.operands if _is_float32(value)):
        return "a constant of it vanishes in float16"
    return ""


def _vanishes(data: TensorData | None) -> bool:
    """Whether a small constant holds a number that is not zero but would be, or nearly: float16's subnormals."""
    if data is None or data.size > _SMALL_CONSTANT:
        return False
    magnitudes = np.abs(data.numpy())
    return bool(((magnitudes > 0) & (magnitudes < np.finfo(np.float16).tiny)).any())


def _lower(operation: Operation, variables: frozenset[str], constants: dict[int, TensorData]) -> None:
    """Put the same operation in float16 into its place, with casts around it."""
    assert operation.parent is not None
    builder = Builder(operation.parent, operation, operation.locations)
    operands = [
        _lowered(builder, value, constants)
        if value is not None and _is_float32(value) and operation.definition.operand_schema(index).dtype in variables
        else value
        for index, value in enumerate(operation.operands)
    ]
    made = builder.create(operation.definition, operands, operation.attributes)
    results = []
    for new, old in zip(made.results, operation.results):
        assert isinstance(new.type, TensorType)
        assert isinstance(old.type, TensorType)
        new.type = old.type.with_dtype(new.type.dtype)
        results.append(new if new.type.dtype is old.type.dtype else builder.cast(new, to=FLOAT32))
    operation.replace_with(results)


def _lowered(builder: Builder, value: Value, constants: dict[int, TensorData]) -> Value:
    """The value in float16: a rounded constant, what was float16 before a cast, or a new cast."""
    data, maker = constant_of(value), value.defining_op
    if data is not None:
        if id(data) not in constants:
            constants[id(data)] = _rounded(data)
        return builder.constant(constants[id(data)])
    if maker is not None and maker.name == "mm.cast":
        (source,) = maker.operands
        assert source is not None
        assert isinstance(source.type, TensorType)
        if source.type.dtype is FLOAT16:
            return source
    result: Value = builder.cast(value, to=FLOAT16)
    return result


def _rounded(data: TensorData) -> TensorData:
    """A handle to the same numbers in float16; nothing is read before somebody asks."""

    def load() -> Array:
        wide = data.numpy()
        limited = np.where(np.isfinite(wide), np.clip(wide, -_LARGEST, _LARGEST), wide)
        return limited.astype(np.float16)

    return TensorData(FLOAT16, data.shape, load, key=None if data.key is None else f"{data.key}.float16")
