"""Attention over heads, and the rotary embedding of positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.ops import BOOL, FLOATS, INDEX, Arity, Attribute, KnownValues, OpDef, Operand
from mm_core.types import Array, broadcast_dims
from mm_ops_standard.checks import require, require_multiple, require_rank, same
from mm_ops_standard.places import places
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import Size, over, reshape, shape_operand, sizes_of, times


class Attention(OpDef):
    """softmax(q @ k.T * scale + mask) @ v for each head (arXiv 1706.03762; the core of ONNX Attention).

    q is [B, H, L, D], k [B, G, S, D], v [B, G, S, E] with H a multiple of G: each k/v head serves H / G neighbouring
    q heads. `mask` broadcasts to [B, H, L, S]: bool (true attends) or added to the scores. `scale` defaults to
    1 / sqrt(D). `softcap` c > 0 bounds scores to c * tanh(score / c) before masking. `causal` lets query i attend
    keys up to i + offset, where the offset is 0 (`top_left`) or S - L (`bottom_right`, as with a key cache);
    `left_window` and `right_window` >= 0 bound how far from i + offset keys may be. A query that may attend no key
    gives zeros.
    """

    name = "mm.attention"
    operands = (Operand("q"), Operand("k"), Operand("v"), Operand("mask", "M", Arity.OPTIONAL))
    dtypes = {"T": FLOATS, "M": FLOATS | BOOL}
    attributes = (
        Attribute("scale", float, None),
        Attribute("causal", bool, False),
        Attribute("alignment", str, "top_left", ("top_left", "bottom_right")),
        Attribute("softcap", float, 0.0),
        Attribute("left_window", int, -1),
        Attribute("right_window", int, -1),
    )

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        q, k, v = (type_.shape for type_ in types[:3])
        for name, shape in (("q", q), ("k", k), ("v", v)):
            require_rank(self.name, name, shape, 4)
        batch = same(same(q[0], k[0], f"{self.name}: batch of q and k"), v[0], f"{self.name}: batch of q and v")
        same(k[1], v[1], f"{self.name}: heads of k and v")
        same(k[2], v[2], f"{self.name}: lengths of k and v")
        same(q[3], k[3], f"{self.name}: head sizes of q and k")
        if isinstance(k[1], int):
            require(k[1] > 0, f"{self.name}: k and v have no heads")
            require_multiple(q[1], k[1], f"{self.name}: heads of q in groups for each head of k")
        else:
            same(q[1], k[1], f"{self.name}: heads of q and k")
        if types[3] is not None:
            mask = types[3].shape
            require_rank(self.name, "mask", mask, 0, 4)
            require(
                types[3].dtype in BOOL or types[3].dtype is types[0].dtype,
                f"{self.name}: the mask is {types[3].dtype.name}, q is {types[0].dtype.name}",
                remedy="use a bool mask or cast one of them",
            )
            for size, target in zip(reversed(mask), (k[2], q[2], q[1], batch)):
                broadcast_dims(size, target)
        return (batch, q[1], q[2], v[3])

    def reference(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None = None,
        *,
        scale: float | None,
        causal: bool,
        alignment: str,
        softcap: float,
        left_window: int,
        right_window: int,
    ) -> Array:
        batch, heads, length, depth = q.shape
        groups, count = k.shape[1:3]
        factor = 1 / math.sqrt(depth) if scale is None else scale
        grouped = wide(q).reshape(batch, groups, heads // groups, length, depth) * np.asarray(factor, wide(q).dtype)
        scores = (grouped @ wide(k)[:, :, None].swapaxes(-1, -2)).reshape(batch, heads, length, count)
        if softcap > 0:
            scores = softcap * np.tanh(scores / softcap)
        if mask is not None:
            scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + wide(mask)
        offset = count - length if alignment == "bottom_right" else 0
        distance = np.arange(count) - (np.arange(length)[:, None] + offset)
        for limit, far in _limits(distance, -distance, causal, left_window, right_window):
            scores = np.where(far <= limit, scores, -np.inf)
        top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        masked = np.isneginf(top)
        powers = np.exp(scores - np.where(masked, 0, top))
        weights = powers / np.where(masked, 1, powers.sum(axis=-1, keepdims=True))
        weights = weights.astype(grouped.dtype).reshape(batch, groups, heads // groups, length, count)
        y: Array = weights @ wide(v)[:, :, None]
        return y.reshape(batch, heads, length, v.shape[3]).astype(q.dtype)

    def decompose(self, graph: Any, q: Any, k: Any, v: Any, mask: Any, **attributes: Any) -> Any:
        if mask is not None and mask.type.dtype not in BOOL:
            return in_float32(graph, lambda *values: _attend(graph, *values, **attributes), q, k, v, mask)
        return in_float32(graph, lambda q, k, v: _attend(graph, q, k, v, mask, **attributes), q, k, v)


def _limits(ahead: Any, behind: Any, causal: bool, left_window: int, right_window: int) -> list[tuple[int, Any]]:
    """Pairs (limit, distance): keys attend only where the distance is at most the limit."""
    right = 0 if causal else right_window
    return [(limit, far) for limit, far in ((right, ahead), (left_window, behind)) if limit >= 0]


def _attend(
    graph: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    *,
    scale: float | None,
    causal: bool,
    alignment: str,
    softcap: float,
    left_window: int,
    right_window: int,
) -> Any:
    _, heads, length, depth = sizes_of(graph, q)
    groups, count = k.type.shape[1], sizes_of(graph, k)[2]
    if isinstance(groups, int) and q.type.shape[1] != groups:
        repeats = over(graph, heads, groups)
        k, v = (_repeat_heads(graph, value, repeats) for value in (k, v))
    if scale is not None:
        scaled = graph.mul(q, scale)
    elif isinstance(depth, int):
        scaled = graph.mul(q, 1 / math.sqrt(depth))
    else:
        scaled = graph.div(q, graph.sqrt(graph.cast(depth, to=q.type.dtype)))
    scores = graph.matmul(scaled, graph.transpose(k, permutation=(0, 1, 3, 2)))
    if softcap > 0:
        scores = graph.mul(graph.tanh(graph.div(scores, softcap)), softcap)
    if mask is not None:
        scores = graph.select(mask, scores, -math.inf) if mask.type.dtype in BOOL else graph.add(scores, mask)
    if causal or left_window >= 0 or right_window >= 0:
        queries, keys = places(graph, length, 1), places(graph, count)
        if alignment == "bottom_right":
            queries = graph.add(queries, _difference(graph, count, length))
        ahead, behind = graph.sub(keys, queries), graph.sub(queries, keys)
        for limit, far in _limits(ahead, behind, causal, left_window, right_window):
            scores = graph.select(graph.less_or_equal(far, limit), scores, -math.inf)
    weights = graph.softmax(scores, axis=-1)
    # Only a mask, or keys cut off on both sides of a query, can leave a query without any key.
    if mask is not None or alignment == "bottom_right" or left_window >= 0:
        top = graph.reduce_max(scores, axes=(3,), keepdims=True)
        weights = graph.select(graph.equal(top, -math.inf), 0.0, weights)
    return graph.matmul(weights, v)


def _difference(graph: Any, left: Size, right: Size) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return left - right
    return graph.sub(*(graph.constant([size], "int64") if isinstance(size, int) else size for size in (left, right)))


def _repeat_heads(graph: Any, value: Any, repeats: Size) -> Any:
    """[B, G, S, D] to [B, G * repeats, S, D], every head `repeats` times in a row."""
    batch, groups, count, depth = sizes_of(graph, value)
    spread = shape_operand(graph, [batch, groups, repeats, count, depth])
    repeated = graph.expand(graph.unsqueeze(value, axes=(2,)), spread)
    return reshape(graph, repeated, [batch, times(graph, groups, repeats), count, depth])


class RotaryEmbedding(OpDef):
    """Pairs of features rotated by angles that grow with the position (arXiv 2104.09864; ONNX RotaryEmbedding).

    x is [B, H, L, D]. Without `position_ids`, cos and sin are [B, L, R / 2]; with them ([B, L]), tables of
    [positions, R / 2]. The first R = `rotary_dim` features (0: all) are rotated; pairs are (i, i + R / 2), or
    neighbours if `interleaved`.
    """

    name = "mm.rotary_embedding"
    operands = (
        Operand("x"),
        Operand("cos"),
        Operand("sin"),
        Operand("position_ids", "I", Arity.OPTIONAL),
    )
    dtypes = {"T": FLOATS, "I": INDEX}
    attributes = (Attribute("interleaved", bool, False), Attribute("rotary_dim", int, 0))

    def infer(self, types: Any, values: KnownValues, *, interleaved: bool, rotary_dim: int) -> Any:
        x, cos, sin = (type_.shape for type_ in types[:3])
        require_rank(self.name, "x", x, 4)
        rotated = rotary_dim or x[3]
        if isinstance(rotated, int):
            require(rotated % 2 == 0, f"{self.name}: {rotated} features do not pair up")
            require(not isinstance(x[3], int) or rotated <= x[3], f"{self.name}: {rotated} of {x[3]} features")
        for name, table in (("cos", cos), ("sin", sin)):
            require_rank(self.name, name, table, 3 if types[3] is None else 2)
            same(table[-1] * 2, rotated, f"{self.name}: twice the columns of {name} and rotated features")
            if types[3] is None:
                same(table[1], x[2], f"{self.name}: rows of {name} and positions of x")
        if types[3] is not None:
            require_rank(self.name, "position_ids", types[3].shape, 2)
            same(types[3].shape[1], x[2], f"{self.name}: position_ids and positions of x")
        return x

    def reference(
        self, x: Array, cos: Array, sin: Array, positions: Array | None = None, *, interleaved: bool, rotary_dim: int
    ) -> Array:
        if positions is not None:
            cos, sin = cos[positions], sin[positions]
        cos, sin = wide(cos)[:, None], wide(sin)[:, None]
        rotated = rotary_dim or x.shape[3]
        turning, rest = wide(x)[..., :rotated], x[..., rotated:]
        if interleaved:
            first, second = turning[..., 0::2], turning[..., 1::2]
        else:
            first, second = np.split(turning, 2, axis=-1)
        pairs = (first * cos - second * sin, second * cos + first * sin)
        turned = np.stack(pairs, -1).reshape(turning.shape) if interleaved else np.concatenate(pairs, -1)
        return np.concatenate([turned.astype(x.dtype), rest], axis=-1)

    def decompose(
        self, graph: Any, x: Any, cos: Any, sin: Any, positions: Any, *, interleaved: bool, rotary_dim: int
    ) -> Any:
        rotated = rotary_dim or x.type.shape[3]
        if not isinstance(rotated, int):
            return None
        if positions is not None:
            cos, sin = graph.gather(cos, positions, axis=0), graph.gather(sin, positions, axis=0)
        cos, sin = graph.unsqueeze(cos, axes=(1,)), graph.unsqueeze(sin, axes=(1,))

        def part(value: Any, start: int, end: int, step: int = 1) -> Any:
            return graph.slice(value, [start], [end], [3], [step])

        def build(turning: Any, cos: Any, sin: Any) -> Any:
            half = rotated // 2
            if interleaved:
                first, second = part(turning, 0, rotated, 2), part(turning, 1, rotated, 2)
            else:
                first, second = part(turning, 0, half), part(turning, half, rotated)
            real = graph.sub(graph.mul(first, cos), graph.mul(second, sin))
            imaginary = graph.add(graph.mul(second, cos), graph.mul(first, sin))
            if not interleaved:
                return graph.concat(real, imaginary, axis=3)
            pairs = graph.concat(graph.unsqueeze(real, axes=(4,)), graph.unsqueeze(imaginary, axes=(4,)), axis=4)
            return reshape(graph, pairs, sizes_of(graph, turning))

        if rotated == x.type.shape[3]:
            return in_float32(graph, build, x, cos, sin)
        turned = in_float32(graph, build, part(x, 0, rotated), cos, sin)
        return graph.concat(turned, part(x, rotated, np.iinfo(np.int64).max), axis=3)


OPS: tuple[type[OpDef], ...] = (Attention, RotaryEmbedding)
