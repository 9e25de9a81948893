"""Attention as one kernel: queries, keys and values are read where they lie, by their strides."""

from __future__ import annotations

from math import sqrt

from mm_backend_cpu.codegen.attention import AttentionSpec, Heads, Mask, attention
from mm_backend_cpu.lowering.lowering import Lowering, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View
from mm_core.ir import Operation, Value
from mm_core.types import Dim

_ROWS_OUTSIDE_HEADS = (0, 2, 1, 3)
"""Results lie as [batch, row, head, size]: what follows usually joins heads and sizes."""


def check_attention(operation: Operation) -> str:
    q, k, v, mask = (*operation.operands, None)[:4]
    assert q is not None
    assert k is not None
    assert v is not None
    attributes = operation.attributes
    if any(tensor_type(value).dtype.text != "f32" for value in (q, k, v)):
        return f"no generated attention of {tensor_type(q).dtype.name}"
    if attributes["softcap"] or attributes["left_window"] != -1 or attributes["right_window"] != -1:
        return "a soft cap or a window"
    shapes = [shape_of(value) for value in (q, k, v)]
    if any(len(shape) != 4 for shape in shapes):
        return "operands that are not [batch, heads, rows, size]"
    (batch, heads, _, size), (_, key_heads, keys, _), value_shape = shapes
    if not all(isinstance(d, int) and d > 0 for d in (heads, size, key_heads, value_shape[3])) or 0 in (batch, keys):
        return "numbers or sizes of heads that are not known or zero"
    if any(shape[0] != batch for shape in shapes) or value_shape[1] != key_heads:
        return "batches or heads that differ"
    if mask is not None:
        if tensor_type(mask).dtype.text not in ("f32", "i1"):
            return f"a mask of {tensor_type(mask).dtype.name}"
        scores = (batch, heads, shapes[0][2], keys)
        if len(shape_of(mask)) > 4 or View.dense(0, shape_of(mask)).broadcast(scores) is None:
            return "a mask whose broadcasting is known only when running"
    return ""


def _heads(low: Lowering, value: Value, number: int) -> tuple[Heads, int]:
    view = low.view(value)
    if view.strides[3] != 1:
        view = low.ordered(value, range(4))
    batch, head, row, _ = view.strides
    return Heads(number, view.offset, batch, head, row), view.buffer


def lower_attention(low: Lowering, operation: Operation) -> None:
    assert low.isa is not None
    q, k, v, mask = (*operation.operands, None)[:4]
    assert q is not None
    assert k is not None
    assert v is not None
    (batch, heads, rows, size), (_, key_heads, keys, _) = shape_of(q), shape_of(k)
    value_size = shape_of(v)[3]
    placed = [_heads(low, value, number) for number, value in enumerate((q, k, v))]
    buffers = [buffer for _, buffer in placed]
    mask_spec = None
    if mask is not None:
        view = low.view(mask)
        if view.offset != 0:
            view = low.ordered(mask, range(len(view.shape)))
        seen = view.broadcast((batch, heads, rows, keys))
        assert seen is not None
        dtype = tensor_type(mask).dtype.text
        mask_spec = Mask(3, dtype, *seen.strides)  # type: ignore[arg-type]
        buffers.append(view.buffer)
    attributes = operation.attributes
    causal_offset: Dim | None = None
    if attributes["causal"]:
        causal_offset = keys - rows if attributes["alignment"] == "bottom_right" else 0
    output = low.result(operation.result, _ROWS_OUTSIDE_HEADS)
    place = low.view(operation.result).strides
    assert isinstance(heads, int)
    assert isinstance(key_heads, int)
    assert isinstance(size, int)
    assert isinstance(value_size, int)
    scale = attributes["scale"]
    spec = AttentionSpec(
        batch, heads, key_heads, rows, keys, size, value_size, 1 / sqrt(size) if scale is None else scale,
        placed[0][0], placed[1][0], placed[2][0], Heads(0, 0, place[0], place[1], place[2]), len(buffers),
        mask_spec, causal_offset,
    )  # fmt: skip
    low.generated(attention(spec, low.isa), buffers, [output], "attention")
