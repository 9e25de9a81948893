"""Attention, kept whole."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, cast, dtype, rank
from mm_parser_torch.sizes import reshape, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_BOOL = BY_NAME["bool"]


@op("scaled_dot_product_attention")
def scaled_dot_product_attention(
    g: Graph,
    call: Call,
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Any:
    if dropout:
        raise call.unsupported("dropout in attention is for training", remedy="call eval() on the module")
    return _attention(g, call, q, k, v, mask, causal, scale)


@op("_scaled_dot_product_flash_attention_for_cpu")
def flash_attention(
    g: Graph, call: Call, q: Value, k: Value, v: Value, dropout: float, causal: bool, mask: Any, scale: Any
) -> Any:
    if dropout or call.wants(1):
        raise call.unsupported("dropout and the sums of exponents are for training", remedy="use torch.no_grad()")
    return _attention(g, call, q, k, v, mask, causal, scale), None


def _attention(g: Graph, call: Call, q: Value, k: Value, v: Value, mask: Any, causal: bool, scale: Any) -> Any:
    """The engine's attention has a batch and a head axis: missing ones are added, further ones joined."""
    if isinstance(scale, Value):
        raise call.unsupported("the scale must be known while exporting")
    mask = mask if mask is None or dtype(mask) is _BOOL else cast(g, mask, dtype(q))
    options = {"causal": causal, "scale": scale}
    axes = rank(q)
    if axes == 4:
        return g.attention(q, k, v, mask, **options)
    if axes < 4:
        missing = tuple(range(4 - axes))
        widened = (g.unsqueeze(value, axes=missing) for value in (q, k, v))
        return g.squeeze(g.attention(*widened, mask, **options), axes=missing)
    sizes = sizes_of(g, q)
    if mask is not None and rank(mask) > 4:
        raise call.unsupported(f"a mask of rank {rank(mask)} is not offered")
    joined = (reshape(g, value, [-1, *sizes_of(g, value)[-3:]]) for value in (q, k, v))
    return reshape(g, g.attention(*joined, mask, **options), [*sizes[:-1], sizes_of(g, v)[-1]])
