"""What queries may attend, in the forms that ONNX Runtime's attention operators take it, as numbers added to scores.

Where padding leaves a query nothing to attend, adding a finite number is not the same as leaving keys out: these masks
add `mask_filter_value`, as ONNX Runtime does.
"""

from __future__ import annotations

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import DType
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import Size, product, size_of


def counted(g: Graph, x: Value, axis: int) -> Value:
    """0, 1, ... for the elements along an axis of x, as int64 [size]."""
    return g.iota(g.shape(x, start=axis, end=axis + 1), axis=0)  # type: ignore[no-any-return]


def shifted(g: Graph, x: Value, by: Size) -> Value:
    """x + by; the size may be static."""
    return x if isinstance(by, int) and by == 0 else g.add(x, by)


def as_bias(g: Graph, kept: Value, dtype: DType, filtered: float) -> Value:
    """Zero where `kept` is true, else `filtered`."""
    return g.select(kept, g.constant(0.0, dtype), g.constant(filtered, dtype))  # type: ignore[no-any-return]


def extended(g: Graph, x: Value, by: Value, axis: int) -> Value:
    """Zeros, as many as the one size in `by`, put behind the elements along an axis of x [*, *, *, *]."""
    behind = g.mul(by, np.eye(4, dtype=np.int64)[axis])
    return g.pad(x, g.concat(np.zeros(4, np.int64), behind, axis=0))  # type: ignore[no-any-return]


def padding_bias(g: Graph, node: Node, index: int, q: Value, k: Value, past: Size, filtered: float) -> Value | None:
    """The mask at a position of the node's inputs, shaped to broadcast to scores [B, H, S, T].

    Forms: [B] the numbers of keys; [2 * B] ends, then starts, of the keys; [3 * B + 2] numbers of keys, then places in
    a packed batch, which are not used; [B, T]; [B, S, T]; [B, 1, M, M] with M the longest sequence. q is
    [B, H, S, D] and k [B, H, T, D], the `past` keys first.
    """
    mask = node.optional(index)
    if mask is None:
        return None
    rank = node.rank(index)
    if rank == 1:
        kept = _between(g, node, index, mask, k)
    elif rank == 2:
        kept = g.unsqueeze(g.less(0, mask), axes=(1, 2))
    elif rank == 3:
        kept = g.unsqueeze(g.less(0, mask), axes=(1,))
    elif rank == 4:
        rows = shifted(g, counted(g, q, 2), past)
        kept = g.less(0, g.gather(g.gather(mask, rows, axis=2), counted(g, k, 2), axis=3))
    else:
        raise node.unsupported(f"a mask of rank {rank} is not offered")
    return as_bias(g, kept, q.type.dtype, filtered)  # type: ignore[union-attr]


def _between(g: Graph, node: Node, index: int, mask: Value, k: Value) -> Value:
    """[B, 1, 1, T]: the keys before the ends and not before the starts that a mask of rank 1 states."""
    (length,), batch = node.shape(index), k.type.shape[0]  # type: ignore[union-attr, index]
    forms = [length == wanted for wanted in (batch, 2 * batch, 3 * batch + 2)]
    if isinstance(length, int) and isinstance(batch, int) and not any(forms):
        raise node.unsupported(f"a mask of {length} elements fits no form for a batch of {batch}")
    places, rows = counted(g, k, 2), counted(g, k, 0)
    limits = g.cast(mask, to="int64")
    kept = g.less(places, g.reshape(g.gather(limits, rows, axis=0), [-1, 1, 1, 1]))
    if forms[0] or forms[2]:
        return kept  # type: ignore[no-any-return]
    count = size_of(g, k, 0)
    later = shifted(g, rows, count)
    if not forms[1]:
        # Only running tells whether there are starts: the first of a list of ends alone is read and thrown away.
        has_starts = g.equal(g.shape(mask), product(g, [count, 2]))
        starts = g.select(has_starts, g.gather(limits, g.select(has_starts, later, 0), axis=0), 0)
    else:
        starts = g.gather(limits, later, axis=0)
    return g.logical_and(kept, g.less_or_equal(g.reshape(starts, [-1, 1, 1, 1]), places))  # type: ignore[no-any-return]
