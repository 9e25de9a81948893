"""Weights of few bits, quantized in blocks: MatMulNBits, MatMulBnb4, GatherBlockQuantized."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, Array, DType, TensorData
from mm_parser_onnx.node import Node, weight_of
from mm_parser_onnx.table import MICROSOFT, Family
from mm_parser_onnx.weights import unpack

FAMILY = Family(MICROSOFT)
op = FAMILY.op
_CODES = {2: BY_NAME["uint2"], 4: BY_NAME["uint4"], 8: BY_NAME["uint8"]}

_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
_FP4_POSITIVE = (0.0, 5.208333333e-03, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25)
_TABLES = (_FP4_POSITIVE + tuple(-value for value in _FP4_POSITIVE), _NF4)
"""The numbers that codes of 4 bits stand for, by `quant_type`: FP4 and NF4 (arXiv 2305.14314)."""


@op("MatMulNBits")
def matmul_nbits(g: Graph, node: Node) -> Any:
    """x @ w.T; each row of w [N, K] has a scale, and perhaps a zero point, for each block of K."""
    node.ignore("accuracy_level")
    if node.int("weight_prepacked", 0):
        raise node.unsupported("weights packed for one kind of device are not offered")
    dtype, bits, rows, columns = _codes(node), node.int("bits", 4), node.int("N"), node.int("K")
    block = node.int("block_size")
    count = -(-columns // block)
    codes = _unpacked(g, node, 1, dtype, (rows, count * block))
    scales = g.reshape(node.input(2), [rows, count])
    if node.optional(3) is None:
        zeros = g.constant(np.full((rows, count), 2 ** (bits - 1), dtype.numpy))
    elif node.type(3).dtype is BY_NAME["uint8"]:
        zeros = _unpacked(g, node, 3, dtype, (rows, count))
    else:
        zeros = g.reshape(node.input(3), [rows, count])
    groups = node.optional(4)
    if groups is None:
        w = _dequantized(g, codes, scales, zeros, block)
        w = w if count * block == columns else g.slice(w, [0], [columns], [1])
    else:
        codes = codes if count * block == columns else g.slice(codes, [0], [columns], [1])
        scales, zeros = (g.gather(values, groups, axis=1) for values in (scales, zeros))
        w = _dequantized(g, codes, scales, zeros, 1)
    return g.linear(node.input(0), w, node.optional(5))


def _codes(node: Node) -> DType:
    bits = node.int("bits", 4)
    if bits not in _CODES:
        raise node.unsupported(f"weights of {bits} bits are not offered, only of {', '.join(map(str, _CODES))}")
    return _CODES[bits]


def _unpacked(g: Graph, node: Node, index: int, dtype: DType, shape: tuple[int, int]) -> Value:
    """An initializer of bytes that hold several codes each, row by row; it is unpacked when it is first read."""
    packed = weight_of(node.input(index))
    if packed is None:
        raise node.unsupported(f"input {index} depends on data, it must be constant", remedy="make it an initializer")
    width = -(-shape[1] * dtype.bits // 8)
    if packed.size != shape[0] * width:
        raise node.unsupported(f"input {index} has {packed.size} bytes, {shape[0]} rows of {width} are expected")

    def load() -> Array:
        rows = packed.numpy().reshape(shape[0], width)
        if dtype.bits == 8:
            return rows
        whole = (shape[0], width * 8 // dtype.bits)
        return unpack(rows.reshape(-1), dtype, whole)[:, : shape[1]]

    key = None if packed.key is None else node.reader.weights.key(f"{packed.key}.{dtype.name}")
    return g.constant(TensorData(dtype, shape, load, key=key))


def _dequantized(g: Graph, codes: Value, scales: Value, zeros: Value, block: int) -> Value:
    """(codes - zeros) * scales along axis 1; zero points may be floats."""
    if zeros.type.dtype is codes.type.dtype:  # type: ignore[union-attr]
        return g.dequantize(codes, scales, zeros, axis=1, block_size=block)  # type: ignore[no-any-return]
    ones = g.constant(1.0, scales.type.dtype)  # type: ignore[union-attr]
    numbers = g.dequantize(codes, ones)
    rows, count = scales.type.shape  # type: ignore[union-attr, misc]
    blocks = g.reshape(numbers, [rows, count, block])
    away = g.sub(blocks, g.unsqueeze(zeros, axes=(2,)))
    return g.reshape(g.mul(away, g.unsqueeze(scales, axes=(2,))), [rows, count * block])  # type: ignore[no-any-return]


@op("MatMulBnb4")
def matmul_bnb4(g: Graph, node: Node) -> Any:
    """x @ w.T, or x @ w; w [N, K] is one list of codes of 4 bits, each block of it with its largest absolute value."""
    node.ignore("training_mode")
    rows, columns, block, kind = (node.int(name) for name in ("N", "K", "block_size", "quant_type"))
    if kind not in (0, 1):
        raise node.unsupported(f"quant_type {kind} is unknown, 0 is FP4 and 1 is NF4")
    packed = weight_of(node.input(1))
    if packed is None or packed.size != (rows * columns + 1) // 2:
        raise node.unsupported(f"input 1 must be an initializer of {(rows * columns + 1) // 2} bytes")
    count = -(-rows * columns // block)

    def load() -> Array:
        pairs = packed.numpy().reshape(-1)
        codes = np.zeros((count * block + 1) // 2 * 2, np.uint8)
        codes[: 2 * pairs.size] = np.stack([pairs >> 4, pairs & 15], 1).reshape(-1)
        return codes[: count * block].reshape(count, block)

    codes = g.constant(TensorData(BY_NAME["uint8"], (count, block), load))
    table = g.constant(np.array(_TABLES[kind], node.type(2).dtype.numpy))
    numbers = g.mul(g.gather(table, g.cast(codes, to="int32"), axis=0), g.reshape(node.input(2), [count, 1]))
    w = g.reshape(g.slice(g.reshape(numbers, [-1]), [0], [rows * columns]), [rows, columns])
    return g.linear(node.input(0), w) if node.flag("transB", True) else g.matmul(node.input(0), w)


@op("GatherBlockQuantized")
def gather_block_quantized(g: Graph, node: Node) -> Any:
    """Rows of a table quantized in blocks: they are taken first, with their scales, and then dequantized."""
    axis, block = node.axis("quantize_axis", 1), node.int("block_size", 128)
    node.ignore("bits")
    table, zeros, rank = node.input(0), node.optional(3), node.rank()
    dtype = node.type().dtype
    if dtype is BY_NAME["uint8"]:
        dtype, shape = _codes(node), node.shape()
        if rank != 2 or axis != 1:
            raise node.unsupported("packed codes must be a matrix with blocks along its rows")
        rows, width = (int(size) for size in shape)  # type: ignore[arg-type]
        table = _unpacked(g, node, 0, dtype, (rows, width * 8 // dtype.bits))
        blocks = -(-width * 8 // dtype.bits // block)
        if zeros is None:
            zeros = g.constant(np.full((rows, blocks), 2 ** (dtype.bits - 1), dtype.numpy))
        else:
            zeros = _unpacked(g, node, 3, dtype, (rows, blocks))
    elif dtype.is_float:
        raise node.unsupported("tables of floats are not offered")
    place = node.axis("gather_axis", 0)
    if place == axis:
        numbers = g.dequantize(table, node.input(2), zeros, axis=axis, block_size=block)
        return g.gather(numbers, node.input(1), axis=place)
    parts = (
        value if value is None else g.gather(value, node.input(1), axis=place)
        for value in (table, node.input(2), zeros)
    )
    return g.dequantize(*parts, axis=axis if axis < place else axis + node.rank(1) - 1, block_size=block)
