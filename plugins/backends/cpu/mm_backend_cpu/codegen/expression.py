"""Element-wise expressions, and C written from them: one emitter for epilogues and for fused element-wise loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mm_core.errors import CompileError

from .operations import (
    BYTE_RANGES,
    C_TYPES,
    UNSIGNED_TYPES,
    VECTOR_TYPES,
    Attribute,
    Template,
    literal,
    operation_names,
    power_templates,
    templates,
    vector_literal,
)

Ref = tuple[Literal["input", "node", "scalar"], float]
"""("input", i), ("node", i) or ("scalar", value). A scalar has the dtype of the operands beside it."""


@dataclass(frozen=True)
class Node:
    """One operation: its name as in dialect `mm`, its operands, its attributes (a mapping is accepted)."""

    op: str
    args: tuple[Ref, ...]
    attributes: Mapping[str, Attribute] | tuple[tuple[str, Attribute], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", tuple(sorted(dict(self.attributes).items())))


Expression = tuple[Node, ...]


@dataclass(frozen=True)
class Epilogue:
    """What is done to a matmul's or a convolution's result before it is stored.

    Inputs of the expression: 0 is the accumulator, then vectors over the output channels, then tensors of the output's
    shape. The last node is the result; an empty expression keeps the accumulator. `dtypes` are those of the inputs,
    all float32 if it is left out.
    """

    expression: Expression = ()
    channel_inputs: int = 0
    tensor_inputs: int = 0
    dtypes: tuple[str, ...] = ()

    @property
    def input_dtypes(self) -> tuple[str, ...]:
        """The dtype of each input."""
        return self.dtypes or ("f32",) * (1 + self.channel_inputs + self.tensor_inputs)

    @property
    def result_dtype(self) -> str:
        """The dtype of what is stored."""
        return (self.input_dtypes[:1] + infer_dtypes(self.expression, self.input_dtypes))[-1]

    def tensor_positions(self, first: int) -> tuple[int, ...]:
        """Which inputs of a kernel are the tensors, where the first vector or tensor is input `first`."""
        return tuple(range(first + self.channel_inputs, first + self.channel_inputs + self.tensor_inputs))

    def emit(self, inputs: Sequence[str], prefix: str = "e") -> tuple[str, str]:
        """Vector statements and the name of the result, from the C names of the input vectors in the order above."""
        if not self.expression:
            return "", inputs[0]
        code, names = emit(self.expression, inputs, self.input_dtypes[: len(inputs)], vector=True, prefix=prefix)
        return code, names[-1]


def infer_dtypes(expression: Expression, inputs: Sequence[str]) -> tuple[str, ...]:
    """The dtype of each node, from those of the inputs; a CompileError names a node that has no C."""
    dtypes: list[str] = []
    for node in expression:
        operands = _operand_dtypes(node, inputs, dtypes)
        template = _select_template(node, operands)
        dtypes.append(template.result or operands[-1])
    return tuple(dtypes)


def vectorizable(expression: Expression, inputs: Sequence[str]) -> bool:
    """Whether every node, input and result takes 32 bits a lane and has a vector form."""
    dtypes = infer_dtypes(expression, inputs)
    return all(dtype in VECTOR_TYPES for dtype in (*inputs, *dtypes)) and all(
        _has_vector_form(node, _operand_dtypes(node, inputs, dtypes), result)
        for node, result in zip(expression, dtypes)
    )


def _has_vector_form(node: Node, operands: tuple[str, ...], result: str) -> bool:
    template = _select_template(node, operands)
    return template.vector is not None and (template.bytes or BYTE_RANGES.keys().isdisjoint({*operands, result}))


def emit(
    expression: Expression, inputs: Sequence[str], dtypes: Sequence[str], *, vector: bool, prefix: str = "e"
) -> tuple[str, tuple[str, ...]]:
    """C statements that compute each node once, and the name of each node.

    `inputs` are C names of values of `dtypes`; `vector` chooses vectors of MM_LANES or single elements.
    """
    node_dtypes = infer_dtypes(expression, dtypes)
    if vector and not vectorizable(expression, dtypes):
        raise CompileError(f"{', '.join(node.op for node in expression)} on {', '.join(dtypes)} has no vector form")
    names = tuple(f"{prefix}{index}" for index in range(len(expression)))
    statements = []
    for node, name, dtype in zip(expression, names, node_dtypes, strict=True):
        operand_dtypes = _operand_dtypes(node, dtypes, node_dtypes)
        template = _select_template(node, operand_dtypes)
        code = _vector_code(node, template, operand_dtypes) if vector else template.scalar
        operands = [
            _operand(ref, operand_dtype, inputs, names, vector)
            for ref, operand_dtype in zip(node.args, operand_dtypes, strict=True)
        ]
        c_type = VECTOR_TYPES[dtype] if vector else C_TYPES[dtype]
        value = code.format(*operands, T=C_TYPES[dtype], U=UNSIGNED_TYPES[dtype])
        statements.append(f"const {c_type} {name} = {value};")
    return "\n".join(statements), names


def _operand(ref: Ref, dtype: str, inputs: Sequence[str], names: Sequence[str], vector: bool) -> str:
    kind, value = ref
    if kind == "scalar":
        return vector_literal(value, dtype) if vector else literal(value, dtype)
    return (inputs if kind == "input" else names)[int(value)]


def _operand_dtypes(node: Node, inputs: Sequence[str], nodes: Sequence[str]) -> tuple[str, ...]:
    """The dtype of each operand; scalars take that of their neighbours, float32 if there is none."""
    known = [None if kind == "scalar" else (inputs if kind == "input" else nodes)[int(i)] for kind, i in node.args]
    values = known[1:] if node.op == "select" else known
    default = next((dtype for dtype in values if dtype is not None), "f32")
    dtypes = [dtype or default for dtype in known]
    if node.op == "select" and known[0] is None:
        dtypes[0] = "i1"
    return tuple(dtypes)


def _select_template(node: Node, operands: tuple[str, ...]) -> Template:
    """The overload for these dtypes, one with a vector form if there is one."""
    values = operands[1:] if node.op == "select" else operands
    if len(set(values)) == 1 and (values == operands or operands[0] == "i1"):
        for template in _overloads(node):
            if values[0] in template.dtypes:
                return template
    raise CompileError(
        f"operation {node.op!r} on {', '.join(operands) or 'nothing'} has no generated code",
        available=", ".join(operation_names()),
        remedy="leave it to a library kernel",
    )


def _overloads(node: Node) -> tuple[Template, ...]:
    if node.op != "pow":
        return templates(node.op, dict(node.attributes))
    kind, exponent = node.args[1]
    return power_templates(exponent) if kind == "scalar" else ()


def _vector_code(node: Node, template: Template, operands: tuple[str, ...]) -> str:
    """The vector form; a maximum or minimum with a constant that is not NaN is cheaper than in general."""
    function = {"maximum": "mm_at_least", "minimum": "mm_at_most"}.get(node.op)
    if function and operands[0] == "f32":
        for constant, other in ((1, 0), (0, 1)):
            kind, value = node.args[constant]
            if kind == "scalar" and not math.isnan(value):
                return f"{function}({{{other}}}, {{{constant}}})"
    assert template.vector is not None  # `vectorizable` was asked before
    return template.vector
