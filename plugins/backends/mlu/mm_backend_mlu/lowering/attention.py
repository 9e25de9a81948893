"""Attention as one kernel that never stores the scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.layout import LINE_BYTES, round_up
from mm_backend_mlu.lowering.library import ctype_of, not_float, shape_text
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.tiling import FOLD_COLUMNS, LANES, TENSOR_BYTES, sizes_up_to
from mm_backend_mlu.lowering.values import dtype_of, shape_of
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value

_MOST_KEYS = 512
_LINES = 40
"""Rounding of the pieces of NRAM, at most, in lines."""


@dataclass(frozen=True)
class _Tiles:
    rows: int
    keys: int
    nram: int
    wram: int
    tasks: int


def _operands(operation: Operation) -> tuple[Value, Value, Value, Value | None]:
    q, k, v, mask = (*operation.operands, None)[:4]
    assert q is not None
    assert k is not None
    assert v is not None
    return q, k, v, mask


def _tiles(operation: Operation, target: Target) -> _Tiles | None:
    """The largest tiles that fit and leave work for every core."""
    q, k, v, mask = _operands(operation)
    batch, heads, rows, size = shape_of(q)
    keys, itemsize = shape_of(k)[2], dtype_of(q).itemsize
    depth, lanes = round_up(size, TENSOR_BYTES // itemsize), round_up(shape_of(v)[3], LANES)
    mask_size = 0 if mask is None else dtype_of(mask).itemsize
    for tile_s in range(min(_MOST_KEYS, round_up(keys, FOLD_COLUMNS)), 0, -FOLD_COLUMNS):
        wram = tile_s * (depth + lanes) * itemsize
        for tile_r in sizes_up_to(min(rows, 256)):
            if tile_r > 16 and batch * heads * ceil(rows / tile_r) < target.cores:
                continue
            each_key = (2 * (depth + lanes) + lanes + max(depth, lanes)) * itemsize + 4
            each_row = 2 * (depth + lanes) * itemsize + 2 * 4 * lanes + 4 * (4 + 2 * FOLD_COLUMNS)
            each_score = itemsize + 2 * 4 + 2 * mask_size
            nram = tile_s * each_key + tile_r * each_row + tile_r * tile_s * each_score + _LINES * LINE_BYTES
            if nram <= target.nram_bytes and wram + 2 * LINE_BYTES <= target.wram_bytes:
                return _Tiles(tile_r, tile_s, nram, wram + 2 * LINE_BYTES, batch * heads * ceil(rows / tile_r))
    return None


def check_attention(operation: Operation, target: Target) -> str:
    """Why an attention has no kernel."""
    q, k, v, mask = _operands(operation)
    reason = not_float(q, k, v)
    if reason:
        return reason
    attributes = operation.attributes
    if attributes["softcap"] or attributes["left_window"] != -1 or attributes["right_window"] != -1:
        return "a soft cap or a window"
    if 0 in (*shape_of(k), *shape_of(q)):
        return "an empty operand"
    if mask is not None:
        own = shape_of(mask)
        if dtype_of(mask).text != "i1" and dtype_of(mask) is not dtype_of(q):
            return f"a mask of {dtype_of(mask).name} for queries of {dtype_of(q).name}"
        if not own or own[-1] != shape_of(k)[2]:
            return "a mask that is the same for all keys"
    if _tiles(operation, target) is None:
        return f"heads of {shape_of(q)[3]} and {shape_of(v)[3]} elements fit no tiling of {target.arch}"
    return ""


def _steps(view: View) -> dict[str, int]:
    """`mm::HeadSteps` of [batch, head, row, element]; axes of size 1, also absent ones, are the same for all."""
    rank = len(view.shape)
    steps = [0 if size == 1 else step for size, step in zip(view.shape, view.strides)]
    batch, head, row, _ = [0] * (4 - rank) + steps
    return {"batch": batch, "head": head, "row": row}


def _read(low: Lowering, value: Value) -> View:
    """Where a value lies, its elements of one row neighbours; it is moved only if they are not."""
    view = low.view(value)
    return view if view.strides[-1] == 1 or view.shape[-1] == 1 else View.dense(low.dense(value), shape_of(value))


def _result(low: Lowering, value: Value) -> View:
    """Where results go: as [batch, row, head, element] where heads are joined next, which then moves nothing."""
    if not any(user.name == "mm.transpose" for user in value.users):
        return View.dense(low.result(value), shape_of(value))
    batch, heads, rows, size = shape_of(value)
    buffer = low.temporary(batch * heads * rows * size * dtype_of(value).itemsize)
    view = View(buffer, shape_of(value), (rows * heads * size, size, heads * size, 1))
    low.define(value, view)
    return view


def lower_attention(low: Lowering, operation: Operation) -> None:
    """Attention as one launch."""
    q, k, v, mask = _operands(operation)
    (batch, heads, rows, size), (_, key_heads, keys, _), (*_, value_size) = shape_of(q), shape_of(k), shape_of(v)
    attributes = operation.attributes
    tiles = _tiles(operation, low.target)
    assert tiles is not None
    given = zip(("q", "k", "v", "mask"), operation.operands)
    views = {name: _read(low, value) for name, value in given if value is not None}
    views["y"] = _result(low, operation.result)
    scale = attributes["scale"]
    text = shape_text(
        "AttentionShape",
        {
            "batch": batch, "heads": heads, "key_heads": key_heads, "rows": rows, "keys": keys,
            "size": size, "value_size": value_size,
            **{name: _steps(view) for name, view in views.items()},
            "causal": attributes["causal"], "offset": keys - rows if attributes["alignment"] == "bottom_right" else 0,
            "scale": 1 / sqrt(size) if scale is None else float(scale),
            "tile_r": tiles.rows, "tile_s": tiles.keys,
        },
    )  # fmt: skip
    ctype = ctype_of(q)
    kind = "NoMask"
    mask_parameter: tuple[str, ...] = ()
    if mask is not None:
        kind = "KeepingMask" if dtype_of(mask).text == "i1" else f"AddedMask<{ctype}>"
        mask_parameter = (f"const {'unsigned char' if dtype_of(mask).text == 'i1' else ctype} *mask",)
    handed = ", ".join(
        f"{name} + {views[name].offset}" if name in views else "nullptr" for name in ("q", "k", "v", "mask", "y")
    ).replace(" + 0", "")
    kernel = Kernel(
        "attention",
        (*(f"const {ctype} *{name}" for name in "qkv"), *mask_parameter, f"{ctype} *y"),
        f"{text}\nmm::attention<{ctype}, mm::{kind}>"
        f"(shape, {handed}, mm_nram, mm_wram);",
        ("kernels/attention.h",),
        nram=tiles.nram,
        wram=tiles.wram,
        note=f"{batch} x {heads} heads, {rows} rows of {size}, {keys} keys; tiles of {tiles.rows} by {tiles.keys}",
    )
    *reads, written = (view.buffer for view in views.values())
    low.launch(kernel, reads, [written], tiles.tasks)


RULES = {"mm.attention": Rule(check_attention, lower_attention)}
