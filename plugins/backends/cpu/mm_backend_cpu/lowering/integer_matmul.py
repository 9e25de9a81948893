"""`mm.matmul_integer` with constant weights, and what follows it: sums of bytes, exact in int32, and their epilogue.

Where activations are quantized at run time, the left operand's zero point and scale are known only then. A small loop
before the product makes vectors over the outputs of them, which the epilogue reads like any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.codegen.expression import Node, Ref
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.integer import MOST_TERMS
from mm_backend_cpu.codegen.quads import ByteInput, centred, zero_point_share
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.contraction import kernel_name, operands_of
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.epilogue import EpilogueBuilder, refuse_tail, tail_of
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.tuning.problems import byte_gemm_problem
from mm_core.ir import Operation, Value
from mm_core.types import Array


@dataclass(frozen=True)
class _Product:
    """A product taken apart. `weights` less their zero points are [outputs, reduction]; `rest` follows the product."""

    root: Operation
    alias: dict[Value, Value | None]
    left: Value
    right: Value
    zero_point: Value | None
    weights: NDArray[np.int8]
    rest: Sequence[Operation]

    @property
    def form(self) -> ByteInput:
        """The left operand as kernels see it; a zero point that only running tells is added to the form's own."""
        data = constant_data(self.zero_point)
        known = 0 if data is None else int(data.numpy().reshape(()))
        return ByteInput(self.weights.shape[1], tensor_type(self.left).dtype.text == "i8", known)


def _product(operation: Operation) -> _Product | str:
    """The product, or why it is none that the kernel here can compute."""
    operations, alias, _ = parts_of(operation)
    root, *rest = (op for op in operations if op.name != "mm.constant")
    left, right, left_zero, right_zero = operands_of(root, alias, 4)
    assert left is not None
    assert right is not None
    data, zeros = constant_data(right), constant_data(right_zero)
    if data is None or (right_zero is not None and zeros is None):
        return "weights known only when running"
    if len(data.shape) != 2 or len(shape_of(left)) < 2 or 0 in (*data.shape, *shape_of(left)):
        return "an operand that is a vector, empty, or of weights that are not one matrix"
    if data.shape[0] > MOST_TERMS:
        return f"sums of {data.shape[0]} products of bytes may not fit int32"
    if left_zero is not None and any(dim != 1 for dim in shape_of(left_zero)):
        return "a zero point for each row"
    weights = centred(data.numpy().T, np.zeros(1, np.int32) if zeros is None else zeros.numpy().reshape(-1))
    if weights is None:
        return "weights whose distances from their zero point need more than eight bits"
    return _Product(root, alias, left, right, left_zero, weights, rest)


def check_integer_matmul(operation: Operation) -> str:
    """Why a product of integers, plain or fused, has no generated kernel."""
    parts = _product(operation)
    if isinstance(parts, str):
        return parts
    shape, (*_, result) = shape_of(parts.root.result), parts_of(operation)
    if len(result) != 1 or shape_of(result[0]) != shape:
        return "the fused region has more than one result, or one of another shape"
    return refuse_tail(parts.root.result, parts.rest, parts.alias, len(shape) - 1, spread=True)


def lower_integer_matmul(low: Lowering, operation: Operation) -> None:
    """A product of bytes with constant weights, after the loop for what only running tells."""
    assert low.isa is not None
    parts = _product(operation)
    assert isinstance(parts, _Product)
    shape = shape_of(operation.result)
    outputs, reduction = parts.weights.shape
    spread = _Spread(low, outputs)
    tail = tail_of(parts.root.result, parts.rest, parts.alias)
    builder = EpilogueBuilder(low, shape, len(shape) - 1, low.dense)
    if (offsets := _offsets(low, parts, spread)) is not None:
        builder.apply("add", builder.vector(offsets))
    epilogue, buffers = builder.finish(tail.expression, tail.inputs[1:], spread.number)
    spread.emit()
    spec = GemmSpec(product(shape[:-1]), outputs, reduction, epilogue, parts.form)
    choice = low.chooser.choose(byte_gemm_problem(spec, low.isa, low.chooser.threads))
    kernel = choice.kernel

    def pack(_: Array) -> Array:
        return kernel.pack(parts.weights.T)

    packed = low.packed(parts.right, kernel.source.symbol, pack)
    left = low.dense(parts.left)
    name = kernel_name(f"{tensor_type(parts.left).dtype.text}_gemm", parts.rest)
    low.generated(kernel.source, [left, packed, *buffers], [low.result(operation.result)], name, choice)


def _offsets(low: Lowering, parts: _Product, spread: _Spread) -> int | None:
    """What zero points contribute to each output: int32. None if it is nothing."""
    share = zero_point_share(parts.weights, 1)
    if parts.zero_point is not None and constant_data(parts.zero_point) is None:
        return spread.zero_point(parts.zero_point, low.constant(share), parts.form.unsigned_zero)
    offsets = share * np.int32(parts.form.unsigned_zero)
    return low.constant(offsets) if offsets.any() else None


class _Spread:
    """Collects vectors over the outputs that one loop makes of single numbers."""

    __slots__ = ("_buffers", "_inputs", "_low", "_nodes", "_outputs", "_results", "_targets")

    def __init__(self, low: Lowering, outputs: int) -> None:
        self._low, self._outputs = low, outputs
        self._inputs: list[Operand] = []
        self._buffers: list[int] = []
        self._nodes: list[Node] = []
        self._results: list[Ref] = []
        self._targets: list[int] = []

    def number(self, value: Value) -> int:
        """The buffer of a vector with a number for every output."""
        return self._result(self._read(self._low.dense(value), 0), tensor_type(value).dtype.text)

    def zero_point(self, value: Value, share: int, known: int) -> int:
        """The buffer of `share`, a vector, times a zero point and what is known of it."""
        zero = self._node("cast", self._read(self._low.dense(value), 0), to="i32")
        total = self._node("add", zero, ("scalar", float(known)))
        return self._result(self._node("mul", total, self._read(share, 1)), "i32")

    def emit(self) -> None:
        """Append the loop, if there is something to make."""
        if self._targets:
            expression, results = tuple(self._nodes), tuple(self._results)
            source = elementwise(ElementwiseSpec((self._outputs,), tuple(self._inputs), expression, results))
            self._low.generated(source, self._buffers, self._targets, "spread")

    def _read(self, buffer: int, stride: int) -> Ref:
        self._buffers.append(buffer)
        self._inputs.append(Operand(self._low.buffers[buffer].dtype, (stride,)))
        return ("input", len(self._buffers) - 1)

    def _node(self, op: str, *args: Ref, **attributes: Any) -> Ref:
        self._nodes.append(Node(op, args, attributes))
        return ("node", len(self._nodes) - 1)

    def _result(self, ref: Ref, dtype: str) -> int:
        self._results.append(ref)
        self._targets.append(self._low.temporary(dtype, (self._outputs,)))
        return self._targets[-1]
