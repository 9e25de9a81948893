"""Matrix products on the tensor unit, with what follows them computed on each tile."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from mm_backend_mlu.lowering.contraction_tiling import MatmulTiles, matmul_tiles
from mm_backend_mlu.lowering.epilogues import (
    Contraction,
    Epilogue,
    check_epilogue,
    contraction_of,
    epilogue_of,
    is_channel_vector,
)
from mm_backend_mlu.lowering.filters import packed_matrices
from mm_backend_mlu.lowering.layout import round_up
from mm_backend_mlu.lowering.library import (
    bias_buffers,
    contraction_kernel,
    epilogue_buffers,
    launch_kind,
    not_float,
    shape_text,
)
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.tiling import LANES
from mm_backend_mlu.lowering.values import constant_data, dtype_of, shape_of
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value
from mm_core.types import Array

_BATCH_AXES = 3
_ARRANGED = {"kPacked": 0, "kColumns": 3, "kRows": 4}
"""Blocks of the right operand that lie in NRAM, by how it lies in device memory: see kernels/matmul.h."""


@dataclass(frozen=True)
class _Product:
    """A matrix product: sizes, batch axes with the steps of both operands in matrices, and the right operand's form."""

    m: int
    n: int
    k: int
    batch: tuple[int, ...]
    left_steps: tuple[int, ...]
    right_steps: tuple[int, ...]
    columns_in_rows: bool

    @property
    def count(self) -> int:
        return prod(self.batch)


def _product(contraction: Contraction) -> _Product | str:
    """The product of a contraction, or why there is no kernel for it."""
    root = contraction.root
    left, right = contraction.operand(0), contraction.operand(1)
    assert left is not None
    assert right is not None
    if root.name == "mm.gemm":
        if root.attributes["alpha"] != 1 or root.attributes["trans_a"]:
            return "a factor, or a left operand that is transposed"
        if contraction.bias is not None and root.attributes["beta"] != 1:
            return "a factor of the operand that is added"
    a, b = shape_of(left), shape_of(right)
    turned = root.name == "mm.linear" or bool(root.attributes.get("trans_b")) or len(b) == 1
    a = (1, *a) if len(a) == 1 else a
    b = (1, *b) if len(b) == 1 else b
    n, k = b[-2:] if turned else b[:-3:-1]
    if k == 0:
        return "an inner axis without elements"
    batch, left_steps, right_steps = _batch_axes(a[:-2], b[:-2])
    m = a[-2]
    if not any(right_steps) and left_steps == _dense_steps(batch):
        m, batch, left_steps, right_steps = m * prod(batch), (1,), (0,), (0,)
    if len(batch) > _BATCH_AXES:
        return f"more than {_BATCH_AXES} batch axes that broadcast in different ways"
    return _Product(m, n, k, batch, left_steps, right_steps, turned)


def _dense_steps(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(sizes[axis + 1 :]) if size > 1 else 0 for axis, size in enumerate(sizes))


def _batch_axes(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Sizes of the batch axes and the steps of both operands along them, in matrices; neighbours are joined."""
    rank = max(len(a), len(b))
    a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    axes: list[tuple[int, int, int]] = []
    for size_a, size_b, step_a, step_b in zip(a, b, _dense_steps(a), _dense_steps(b)):
        size = max(size_a, size_b)
        if size == 1:
            continue
        if axes and axes[-1][1] == step_a * size and axes[-1][2] == step_b * size:
            axes[-1] = (axes[-1][0] * size, step_a, step_b)
        else:
            axes.append((size, step_a, step_b))
    sizes, left, right = zip(*axes or [(1, 0, 0)])
    return sizes, left, right


def _form(contraction: Contraction, product: _Product) -> str:
    if constant_data(contraction.operand(1)) is not None:
        return "kPacked"
    return "kColumns" if product.columns_in_rows else "kRows"


def _tiles(contraction: Contraction, product: _Product, epilogue: Epilogue, target: Target) -> MatmulTiles | None:
    itemsize = dtype_of(contraction.root.result).itemsize
    arranged = _ARRANGED[_form(contraction, product)]
    return matmul_tiles(product.m, product.n, product.k, product.count, itemsize, arranged, epilogue.cost, target)


def check_matmul(operation: Operation, target: Target) -> str:
    """Why a product, plain or fused, has no kernel."""
    contraction = contraction_of(operation)
    reason = not_float(contraction.operand(0), contraction.operand(1))
    if reason:
        return reason
    product = _product(contraction)
    if isinstance(product, str):
        return product
    shape = shape_of(contraction.root.result)
    if contraction.bias is not None and not is_channel_vector(contraction.bias, shape, contraction.channel_axis):
        return "what is added is not one number for each column"
    reason = check_epilogue(contraction)
    if reason:
        return reason
    if _tiles(contraction, product, epilogue_of(contraction), target) is None:
        return f"a product of [{product.m}, {product.k}] and [{product.k}, {product.n}] fits no tiling of {target.arch}"
    return ""


def lower_matmul(low: Lowering, operation: Operation) -> None:
    """A product as one launch."""
    contraction = contraction_of(operation)
    product = _product(contraction)
    epilogue = epilogue_of(contraction)
    assert isinstance(product, _Product)
    tiles = _tiles(contraction, product, epilogue, low.target)
    assert tiles is not None
    left, right = contraction.operand(0), contraction.operand(1)
    assert left is not None
    assert right is not None
    form = _form(contraction, product)
    if form == "kPacked":
        right_buffer, right_size = _packed(low, right, product, tiles)
    else:
        right_buffer, right_size = low.dense(right), product.n * product.k
    axes = (1,) * (_BATCH_AXES - len(product.batch)) + product.batch
    unused = (0,) * (_BATCH_AXES - len(product.batch))
    results = tiles.m * tiles.n
    text = shape_text(
        "MatmulShape",
        {
            "m": product.m, "n": product.n, "k": product.k,
            "tile_m": tiles.m, "tile_n": tiles.n, "tile_k": tiles.k,
            "batch": axes,
            "a_step": (*unused, *(step * product_rows(left) * product.k for step in product.left_steps)),
            "b_step": (*unused, *(step * right_size for step in product.right_steps)),
            "a_pitch": product.k, "b_pitch": product.k if product.columns_in_rows else product.n,
            "c_pitch": product.n, "stored_n": product.n,
            "epilogue": epilogue.cost.sizes(results, tiles.n),
        },
    )  # fmt: skip
    note = (
        f"{product.count} x [{product.m}, {product.k}] x [{product.k}, {product.n}], "
        f"tiles of {tiles.m} x {tiles.n} x {tiles.k}"
    )
    memory = tiles.on_chip
    kernel = contraction_kernel(
        "matmul", ("a", "b", "c"), contraction, epilogue, memory, text, note, form=f"mm::{form}"
    )
    bias = bias_buffers(low, contraction.kernel_bias, product.n)
    reads = [low.dense(left), right_buffer, *bias, *epilogue_buffers(low, epilogue, product.n, low.dense)]
    low.launch(kernel, reads, [low.result(operation.result)], memory.tasks, launch_kind(memory))


def product_rows(left: Value) -> int:
    """Rows of one matrix of a left operand."""
    shape = shape_of(left)
    return shape[-2] if len(shape) > 1 else 1


def _packed(low: Lowering, right: Value, product: _Product, tiles: MatmulTiles) -> tuple[int, int]:
    """The buffer of reordered weights, and the elements of one matrix of them."""
    depth = round_up(product.k, tiles.k)

    def pack(array: Array) -> Array:
        matrices = array.reshape(-1, product.n, product.k) if product.columns_in_rows else np.ascontiguousarray(
            array.reshape(-1, product.k, product.n).transpose(0, 2, 1)
        )
        return packed_matrices(matrices, product.n, tiles.n, tiles.k)

    key = ("matmul", product.columns_in_rows, product.n, product.k, tiles.n, tiles.k)
    return low.packed(right, key, pack), round_up(product.n, LANES) * depth


_MATMUL = Rule(check_matmul, lower_matmul)
RULES = {**{f"mm.{name}": _MATMUL for name in ("matmul", "gemm", "linear")}, "fused:matmul": _MATMUL}
