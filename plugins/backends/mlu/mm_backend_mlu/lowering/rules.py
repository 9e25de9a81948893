"""Which rule lowers which operator. This table is the support."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from itertools import chain

from mm_backend_mlu.lowering import (
    attention,
    contraction,
    conv_transpose,
    convolution,
    elementwise,
    indexing,
    movement,
    normalization,
    pooling,
    quantization,
    reduction,
)
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Preference, Rule
from mm_backend_mlu.lowering.values import elements
from mm_backend_mlu.target import Target
from mm_core.errors import CompileError
from mm_core.ir import Operation, Value, known_value
from mm_core.types import Array, TensorType, symbols

_MODULES = (
    elementwise, movement, indexing, reduction, attention, contraction, convolution, normalization, pooling,
    conv_transpose, quantization,
)  # fmt: skip
RULES: Mapping[str, Rule] = ChainMap(*(dict(module.RULES) for module in _MODULES))


def rule_for(operation: Operation) -> Rule | None:
    """The rule of an operator, or of a kind of fused ones."""
    if operation.name == "mm.fused":
        return RULES.get(f"fused:{operation.attributes['kind']}")
    return RULES.get(operation.name)


def refusal(operation: Operation, target: Target) -> str:
    """Why an operation cannot run on the device; empty if it can."""
    for value in chain(operation.operands, operation.results):
        reason = "" if value is None else _unfit(value)
        if reason:
            return reason
    if known_results(operation) is not None:
        return ""
    rule = rule_for(operation)
    if rule is None:
        kind = f" of kind {operation.attributes['kind']}" if operation.name == "mm.fused" else ""
        return f"no kernel for {operation.name}{kind}"
    if not any(map(elements, operation.results)):
        return ""
    return rule.check(operation, target)


def preference(operation: Operation) -> Preference:
    """How an operation wants its results to lie."""
    rule = rule_for(operation)
    return Preference.DENSE if rule is None else rule.layout


def lower_operation(low: Lowering, operation: Operation) -> None:
    """Append the launches of an operation. One whose results are all empty needs none."""
    low.current = operation
    known = known_results(operation)
    if known is not None:
        for value, array in zip(operation.results, known):
            low.alias(value, low.constant(array, ("known", value)))
        return
    rule = rule_for(operation)
    if rule is None:
        raise CompileError(f"{operation.name} was accepted but has no kernel", where=operation.where)
    if any(map(elements, operation.results)):
        rule.lower(low, operation)
    else:
        for value in operation.results:
            low.result(value)


def known_results(operation: Operation) -> list[Array] | None:
    """The results of an operation that computes with sizes only; None if they are not all known when building."""
    arrays = []
    for value in operation.results:
        known = known_value(value)
        if known is None or not isinstance(value.type, TensorType):
            return None
        if not all(isinstance(element, (int, bool)) for element in known.reshape(-1)):
            return None
        arrays.append(known.astype(value.type.dtype.numpy))
    return arrays or None


def _unfit(value: Value) -> str:
    """Why the device cannot hold a value: it is no tensor, or its size is not known."""
    type_ = value.type
    if not isinstance(type_, TensorType):
        return f"a value of type {type_}"
    if type_.shape is None:
        return "a tensor of unknown rank"
    if type_.dtype.kind == "string":
        return "strings"
    names = sorted({name for dim in type_.shape for name in symbols(dim)})
    if names:
        return f"the size {names[0]} is not known when building; give --batch_size or --input_dims"
    return ""
