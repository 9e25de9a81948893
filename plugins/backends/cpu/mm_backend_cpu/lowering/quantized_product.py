"""Products of two dequantized operands that are known only when running, as attention's, computed on the bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mm_backend_cpu.codegen.byte_matmul import ByteMatmulSpec, ByteOperand, generate_byte_matmul
from mm_backend_cpu.codegen.integer import MOST_TERMS
from mm_backend_cpu.codegen.operations import BYTE_RANGES
from mm_backend_cpu.lowering.contraction import kernel_name, matrix_strides_of, matrix_view
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.epilogue import EpilogueBuilder, refuse_tail, tail_of
from mm_backend_cpu.lowering.expressions import Grain, whole_tensor_grain
from mm_backend_cpu.lowering.lowering import Lowering, outside, shape_of, tensor_type
from mm_backend_cpu.lowering.quantized import leading_factor
from mm_backend_cpu.lowering.view import View
from mm_core.ir import Operation, Value
from mm_core.types import Shape


@dataclass(frozen=True)
class _Operand:
    """Bytes and what they count."""

    value: Value
    grain: Grain

    @property
    def dtype(self) -> str:
        return tensor_type(self.value).dtype.text

    def form(self, view: View, shape: Shape) -> ByteOperand:
        """The operand as the kernel sees it."""
        return ByteOperand(matrix_strides_of(view, shape), self.dtype == "i8", self.grain.zero_point)


@dataclass(frozen=True)
class _Product:
    """A region taken apart; `rest` follows the product."""

    root: Operation
    alias: dict[Value, Value | None]
    left: _Operand
    right: _Operand
    rest: tuple[Operation, ...]


def _product(operation: Operation) -> _Product | str:
    """The region's parts, or why it is none that the kernel here can compute."""
    operations, alias, results = parts_of(operation)
    (root,) = (op for op in operations if op.name == "mm.matmul")
    operands = []
    for value in root.operands:
        maker = None if value is None else value.defining_op
        if maker is None or maker.name != "mm.dequantize":
            return "an operand that is not dequantized in the region"
        grain, x = whole_tensor_grain(maker, alias), outside(maker.operands[0], alias)  # type: ignore[arg-type]
        if grain is None or tensor_type(x).dtype.text not in BYTE_RANGES or len(shape_of(x)) < 2 or 0 in shape_of(x):
            return "an operand that is no matrix of bytes with one known scale"
        operands.append(_Operand(x, grain))
    if len(results) != 1 or shape_of(results[0]) != shape_of(root.result):
        return "the region has more than one result, or one of another shape"
    makers = [value.defining_op for value in root.operands if value is not None]
    rest = tuple(op for op in operations if op is not root and op not in makers and op.name != "mm.constant")
    return _Product(root, alias, operands[0], operands[1], rest)


def check_quantized_product(operation: Operation) -> str:
    """Why a product of two operands of bytes has no generated kernel."""
    parts = _product(operation)
    if isinstance(parts, str):
        return parts
    shape, left, right = (shape_of(value) for value in (parts.root.result, parts.left.value, parts.right.value))
    terms = left[-1]
    # Both operands' distances from zero points may be as much as 255.
    if not isinstance(terms, int) or terms > MOST_TERMS // 2:
        return f"sums of {terms} products of bytes may not fit int32"
    for operand in (left, right):
        for dim, target in zip(reversed(operand[:-2]), reversed(shape[:-2])):
            if dim not in (1, target):
                return "whether a batch dimension is broadcast is known only when running"
    return refuse_tail(parts.root.result, parts.rest, parts.alias, len(shape) - 1)


def lower_quantized_product(low: Lowering, operation: Operation) -> None:
    """One kernel, the right operand packed panel by panel while it runs."""
    assert low.isa is not None
    parts = _product(operation)
    assert isinstance(parts, _Product)
    shape, reduction = shape_of(operation.result), shape_of(parts.left.value)[-1]
    assert isinstance(reduction, int)
    left, right = matrix_view(low, parts.left.value), matrix_view(low, parts.right.value)
    if left.strides[-1] != 1:
        left = low.ordered(parts.left.value, range(len(left.shape)))
    tail = tail_of(parts.root.result, parts.rest, parts.alias)
    expression, factor = leading_factor(tail.expression)
    scale = np.float32(parts.left.grain.scale) * np.float32(parts.right.grain.scale) * np.float32(factor)
    builder = EpilogueBuilder(low, shape, len(shape) - 1, low.dense)
    builder.apply("cast", to="f32")
    builder.apply("mul", ("scalar", float(scale)))
    epilogue, buffers = builder.finish(expression, tail.inputs[1:], low.dense)
    spec = ByteMatmulSpec(
        shape[:-2], shape[-2], shape[-1], reduction, parts.left.form(left, shape), parts.right.form(right, shape),
        epilogue,
    )  # fmt: skip
    source = generate_byte_matmul(spec, low.isa)
    name = kernel_name(f"{parts.left.dtype}_matmul", parts.rest)
    low.generated(source, [left.buffer, right.buffer, *buffers], [low.result(operation.result)], name)
