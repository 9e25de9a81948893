"""Products with weights of few bits, read as codes by a kernel that scales them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mm_backend_cpu.codegen.codes import WORD_BITS, CodeFormat
from mm_backend_cpu.codegen.gemv import CodedGemmSpec, generate_coded_gemm
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.contraction import check_tail, epilogue_inputs, root_and_tail
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, outside, shape_of, tensor_type
from mm_core.ir import Operation, Value
from mm_core.types import Array, TensorData

_BITS = (2, 4, 8)


@dataclass(frozen=True)
class _Product:
    """The parts of a fused product: its left operand, how its weights are made, and what follows it."""

    left: Value
    codes: TensorData
    scale: TensorData
    zero: TensorData | None
    axis: int
    block: int
    transposed: bool
    root: Operation
    rest: list[Operation]
    alias: dict[Value, Value | None]

    @property
    def code_format(self) -> CodeFormat:
        """The weights as the kernel reads them. Without blocks, a scale is for all inputs of an output."""
        reduction, outputs = self.codes.shape[::-1] if self.transposed else self.codes.shape
        zero = None
        if self.zero is None or (values := np.unique(self.zero.numpy().astype(np.int64))).size == 1:
            zero = self._origin + (0 if self.zero is None else int(values[0]))
        return CodeFormat(self.codes.dtype.bits, reduction, outputs, self.block or reduction, zero)

    @property
    def _origin(self) -> int:
        """What is added to signed codes to make them start from 0."""
        return 0 if self.codes.dtype.kind == "unsigned" else 1 << (self.codes.dtype.bits - 1)

    def pack(self, width: int) -> Array:
        """The words of all panels."""
        layout = self.code_format
        zeros = None if layout.zero is not None or self.zero is None else self._by_output(self.zero) + self._origin
        codes = self.codes.numpy().astype(np.int16)
        codes = (codes.T if self.transposed else codes) + self._origin
        packed: Array = layout.pack(codes, self._by_output(self.scale), zeros, width)
        return packed

    def _by_output(self, grain: TensorData) -> Array:
        """Scales or zero points as [blocks, outputs]."""
        layout = self.code_format
        values = grain.numpy()
        values = values.astype(np.float32 if values.dtype == np.float32 else np.int16)
        if self.block:
            return values.T if self.transposed else values
        return np.broadcast_to(values.reshape(1, -1), (1, layout.outputs))


def _product_of(operation: Operation) -> _Product | str:
    """The parts of a fused operation, or why there is no kernel for it."""
    root, alias, rest = root_and_tail(operation)
    left, right = root.operands
    assert left is not None
    left = outside(left, alias)
    maker, transposed = None if right is None else right.defining_op, False
    while maker is not None and maker.name == "mm.transpose" and maker.operands[0] is not None:
        maker, transposed = maker.operands[0].defining_op, not transposed
    if root.name != "mm.matmul" or maker is None or maker.name != "mm.dequantize":
        return "not a product with dequantized weights"
    codes, scale, zero = (
        None if value is None else constant_data(outside(value, alias)) for value in (*maker.operands, None)[:3]
    )
    if codes is None or scale is None or (maker.operand("zero_point") is not None and zero is None):
        return "weights known only when running"
    if tensor_type(left).dtype.text != "f32" or tensor_type(maker.result).dtype.text != "f32":
        return "operands of another type than float32"
    axis, block = maker.attributes["axis"], maker.attributes["block_size"]
    return _Product(left, codes, scale, zero, axis, block, transposed, root, rest, alias)


def check_dequantized(operation: Operation) -> str:
    """Why a product with dequantized weights has no generated kernel."""
    parts = _product_of(operation)
    if isinstance(parts, str):
        return parts
    codes = parts.codes
    if codes.dtype.kind not in ("signed", "unsigned") or codes.dtype.bits not in _BITS or len(codes.shape) != 2:
        return f"weights of {codes.dtype.name}, or not a matrix"
    if parts.scale.dtype.text != "f32":
        return f"scales of {parts.scale.dtype.name}"
    outputs_axis = 0 if parts.transposed else 1
    if parts.scale.size > 1 and (parts.axis % 2 == outputs_axis) == bool(parts.block):
        return "a scale for each input, or for each block of outputs"
    if 0 in codes.shape or len(shape_of(parts.left)) < 2:
        return "an operand that is empty or a vector"
    layout = parts.code_format
    if any(size % (WORD_BITS // layout.bits) for size in (layout.block, layout.reduction)):
        return f"a reduction over {layout.reduction} inputs in blocks of {layout.block} does not fill words with codes"
    return check_tail(operation, len(shape_of(parts.root.result)) - 1)


def lower_dequantized(low: Lowering, operation: Operation) -> None:
    """One kernel that reads the codes."""
    assert low.isa is not None
    parts = _product_of(operation)
    assert isinstance(parts, _Product)
    shape = shape_of(parts.root.result)
    extras = epilogue_inputs(low, parts.rest, parts.alias, parts.root.result, None, shape, len(shape) - 1, low.dense)
    kernel = generate_coded_gemm(CodedGemmSpec(product(shape[:-1]), parts.code_format, extras.epilogue), low.isa)
    packed = low.constant(parts.pack(kernel.width), (id(parts.codes), id(parts.scale), kernel.source.symbol))
    left = low.dense(parts.left)
    name = "+".join(["coded_gemm", *(op.name.removeprefix("mm.") for op in parts.rest)])
    low.generated(kernel.source, [left, packed, *extras.buffers], [low.result(operation.result)], name)
