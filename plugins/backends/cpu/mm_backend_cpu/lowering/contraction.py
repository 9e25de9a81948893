"""Matrix products with what follows them computed on the tile in registers; convolutions share how that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mm_backend_cpu.codegen.expression import Epilogue, Expression, Node, Ref, vectorizable
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.matmul import MatmulSpec, Strides
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, outside, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View
from mm_backend_cpu.tuning.problems import gemm_problem, matmul_problem
from mm_core.ir import Operation, Value
from mm_core.types import Array, Shape

_OPERANDS = ("mm.constant", "mm.dequantize", "mm.transpose")
"""What a fused region may hold before its contraction: how the weights are made."""


def root_and_tail(operation: Operation) -> tuple[Operation, dict[Value, Value | None], list[Operation]]:
    """The contraction of an operation, plain or fused, what its region's arguments stand for, and what follows it."""
    operations, alias, _ = parts_of(operation)
    operations = [op for op in operations if op.name not in _OPERANDS]
    return operations[0], alias, operations[1:]


def check_tail(operation: Operation, channel_axis: int) -> str:
    """Why what follows a fused contraction cannot be computed with it; empty if it can."""
    root, alias, rest = root_and_tail(operation)
    if not rest:
        return ""
    _, _, results = parts_of(operation)
    shape = shape_of(root.result)
    if len(results) != 1 or shape_of(results[0]) != shape:
        return "the fused region has more than one result, or one of another shape"
    reason = refusal(rest, alias)
    if reason:
        return reason
    builder = _tail_builder(rest, alias, root.result)
    dtypes = [tensor_type(value).dtype.text for value in builder.inputs]
    if not vectorizable(builder.expression, dtypes) or set(dtypes) != {"f32"}:
        return "what follows the contraction has no vector form in float32"
    for value in builder.inputs[1:]:
        if shape_of(value) != shape and not is_channel_vector(value, shape, channel_axis):
            return "an operand of what follows is neither a tensor of the result's shape nor a vector over channels"
    return ""


def _tail_builder(rest: Sequence[Operation], alias: dict[Value, Value | None], accumulator: Value) -> ExpressionBuilder:
    builder = ExpressionBuilder(alias)
    builder.input(accumulator)
    for operation in rest:
        builder.add(operation)
    return builder


def is_channel_vector(value: Value, shape: Shape, axis: int) -> bool:
    """Whether a value varies along one axis of `shape` only."""
    own = shape_of(value)
    position = axis - (len(shape) - len(own))
    return 0 <= position < len(own) and own[position] == shape[axis] and all(
        dim == 1 for index, dim in enumerate(own) if index != position
    )


@dataclass
class EpilogueInputs:
    """The epilogue as the generator wants it, and the buffers that it reads."""

    epilogue: Epilogue
    buffers: list[int]


def epilogue_inputs(
    low: Lowering,
    rest: Sequence[Operation],
    alias: dict[Value, Value | None],
    accumulator: Value,
    bias: Value | None,
    shape: Shape,
    channel_axis: int,
    tensor: Callable[[Value], int],
) -> EpilogueInputs:
    """The epilogue of bias and following operations. Inputs are put in the generator's order."""
    builder = _tail_builder(rest, alias, accumulator)
    vectors: list[int | Value] = []
    tensors: list[Value] = []
    mapping: dict[int, tuple[str, int]] = {}
    if bias is not None:
        vectors.append(bias)
    for index, value in enumerate(builder.inputs[1:], 1):
        if shape_of(value) == shape and not is_channel_vector(value, shape, channel_axis):
            mapping[index] = ("tensor", len(tensors))
            tensors.append(value)
        else:
            mapping[index] = ("vector", len(vectors))
            vectors.append(value)

    first = 1 if bias is not None else 0

    def renumber(ref: Ref) -> Ref:
        kind, number = ref
        if kind == "node":
            return ("node", int(number) + first)
        if kind == "scalar":
            return ref
        if number == 0:
            return ("node", 0) if first else ("input", 0)
        group, position = mapping[int(number)]
        return ("input", 1 + position + (len(vectors) if group == "tensor" else 0))

    nodes: list[Node] = [Node("add", (("input", 0), ("input", 1)))] if first else []
    nodes += [Node(n.op, tuple(renumber(ref) for ref in n.args), n.attributes) for n in builder.expression]
    expression: Expression = tuple(nodes)
    buffers = [low.dense(value) for value in vectors if isinstance(value, Value)] + [tensor(v) for v in tensors]
    return EpilogueInputs(Epilogue(expression, len(vectors), len(tensors)), buffers)



def check_matmul(operation: Operation) -> str:
    """Why a matrix product (matmul, linear, gemm), plain or fused, has no generated kernel."""
    root, alias, _ = root_and_tail(operation)
    a, b = operands_of(root, alias, 2)
    assert a is not None
    assert b is not None
    if tensor_type(a).dtype.text != "f32":
        return f"no generated matrix product of {tensor_type(a).dtype.name}"
    left, right = shape_of(a), shape_of(b)
    if len(left) < 2 or len(right) < 2:
        return "an operand that is a vector"
    if root.name != "mm.matmul" and (reason := _check_affine(root, alias)):
        return reason
    if constant_data(b) is None or len(right) != 2 or not isinstance(right[0], int):
        if root.name != "mm.matmul":
            return "weights known only when running"
        batch = shape_of(root.result)[:-2]
        for operand in (left, right):
            for dim, target in zip(reversed(operand[:-2]), reversed(batch)):
                if dim not in (1, target):
                    return "whether a batch dimension is broadcast is known only when running"
    if 0 in (*left, *right):
        return "an empty operand"
    return check_tail(operation, len(shape_of(root.result)) - 1)


def _check_affine(root: Operation, alias: dict[Value, Value | None]) -> str:
    """Why a gemm or linear is not left times constant weights plus a vector."""
    operands = operands_of(root, alias, 3)
    bias, outputs = operands[2], shape_of(root.result)[-1]
    if root.name == "mm.gemm":
        attributes = root.attributes
        if attributes["trans_a"]:
            return "a transposed left operand"
        if bias is not None and attributes["beta"] not in (0.0, 1.0):
            return "a scaled bias"
    if bias is not None and not (
        shape_of(bias)[-1:] == (outputs,) and all(dim == 1 for dim in shape_of(bias)[:-1])
    ):
        return "a bias that is not a vector over the outputs"
    return ""


def lower_matmul(low: Lowering, operation: Operation) -> None:
    """A matrix product: packed constant weights, or both operands by their strides."""
    assert low.isa is not None
    root, alias, rest = root_and_tail(operation)
    a, b, bias = operands_of(root, alias, 3)
    assert a is not None
    assert b is not None
    if root.name == "mm.gemm" and root.attributes["beta"] == 0.0:
        bias = None
    shape = shape_of(root.result)
    target = operation.result
    extras = epilogue_inputs(low, rest, alias, root.result, bias, shape, len(shape) - 1, low.dense)
    weights = shape_of(b)
    if constant_data(b) is not None and len(weights) == 2:
        attributes = root.attributes
        transposed = root.name == "mm.linear" or attributes.get("trans_b", False)
        alpha = float(attributes.get("alpha", 1.0))
        reduction, outputs = (weights[1], weights[0]) if transposed else weights
        spec = GemmSpec(product(shape[:-1]), outputs, reduction, extras.epilogue)  # type: ignore[arg-type]
        choice = low.chooser.choose(gemm_problem(spec, low.isa, low.chooser.threads))
        kernel = choice.kernel

        def pack(array: Array) -> Array:
            matrix = array.T if transposed else array
            packed: Array = kernel.pack(np.ascontiguousarray(matrix * np.float32(alpha) if alpha != 1.0 else matrix))
            return packed

        packed = low.packed(b, kernel.source.symbol + f"/{transposed}/{alpha}", pack)
        left = low.dense(a)
        output = low.result(target)
        low.generated(kernel.source, [left, packed, *extras.buffers], [output], kernel_name("gemm", rest), choice)
        return
    left_view, right_view = matrix_view(low, a), matrix_view(low, b)
    output = low.result(target)
    strides = matrix_strides_of(left_view, shape), matrix_strides_of(right_view, shape)
    matmul = MatmulSpec(shape[:-2], shape[-2], shape[-1], shape_of(a)[-1], *strides, extras.epilogue)
    product_choice = low.chooser.choose(matmul_problem(matmul, low.isa, low.chooser.threads))
    inputs = [left_view.buffer, right_view.buffer, *extras.buffers]
    low.generated(product_choice.kernel.source, inputs, [output], kernel_name("matmul", rest), product_choice)


def matrix_view(low: Lowering, value: Value) -> View:
    """A view whose matrices the generator can read: rows or columns adjacent, from the buffer's start."""
    view = low.view(value)
    if view.offset == 0 and 1 in view.strides[-2:]:
        return view
    return low.ordered(value, range(len(view.shape)))


def matrix_strides_of(view: View, shape: Shape) -> Strides:
    """Strides of an operand of a product whose result has `shape`; see `matrix_view`."""
    batch = view.broadcast((*shape[:-2], *view.shape[-2:]))
    assert batch is not None
    return Strides(batch.strides[:-2], view.strides[-2], view.strides[-1])


def operands_of(root: Operation, alias: Mapping[Value, Value | None], count: int) -> list[Value | None]:
    """The operands of a contraction as they are outside of its region, `count` of them."""
    values = [None if value is None else outside(value, alias) for value in root.operands]
    return (values + [None] * count)[:count]


def kernel_name(kind: str, rest: Sequence[Operation]) -> str:
    """The name of a kernel with what follows in it, for reports."""
    return "+".join([kind, *(op.name.removeprefix("mm.") for op in rest)])

