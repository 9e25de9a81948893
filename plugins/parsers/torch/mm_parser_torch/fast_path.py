"""Rules for the fast paths of PyTorch's attention modules: one operator each where no gradient is wanted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_OF_KEYS = 1
"""The kind of a mask [batch, keys]; others are [rows, keys] or [batch, heads, rows, keys]."""


def native_multi_head_attention(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_head: int,
    qkv_weight: Tensor, qkv_bias: Tensor, proj_weight: Tensor, proj_bias: Tensor,
    mask: Tensor | None = None, need_weights: bool = True, average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Attention of [batch, rows, embed_dim]; gives the weights too where they are wanted, else nothing."""
    batch = query.shape[0]
    q, k, v = (
        F.linear(source, weight, bias).view(batch, -1, num_head, embed_dim // num_head).transpose(1, 2)
        for source, weight, bias in zip((query, key, value), qkv_weight.chunk(3), qkv_bias.chunk(3))
    )
    allowed = None if mask is None else _allowed(mask, mask_type)
    if need_weights:
        scores = q @ k.transpose(2, 3) * (embed_dim // num_head) ** -0.5
        weights = (scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))).softmax(-1)
        mixed = weights @ v
        told = weights.mean(1) if average_attn_weights else weights
    else:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        if allowed is not None:  # What may look nowhere gets NaN here, where that function gives 0.
            mixed = mixed.masked_fill(~allowed.any(-1, keepdim=True), float("nan"))
        told = query.new_empty(0)
    return F.linear(mixed.transpose(1, 2).reshape(batch, -1, embed_dim), proj_weight, proj_bias), told


def transformer_encoder_layer(
    src: Tensor, embed_dim: int, num_heads: int,
    qkv_weight: Tensor, qkv_bias: Tensor, proj_weight: Tensor, proj_bias: Tensor,
    use_gelu: bool, norm_first: bool, eps: float,
    norm_weight_1: Tensor, norm_bias_1: Tensor, norm_weight_2: Tensor, norm_bias_2: Tensor,
    ffn_weight_1: Tensor, ffn_bias_1: Tensor, ffn_weight_2: Tensor, ffn_bias_2: Tensor,
    mask: Tensor | None = None, mask_type: int | None = None,
) -> Tensor:  # fmt: skip
    """A layer of torch.nn.TransformerEncoder."""

    def attended(x: Tensor) -> Tensor:
        return native_multi_head_attention(
            x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, False,
            mask_type=mask_type,
        )[0]  # fmt: skip

    def fed_forward(x: Tensor) -> Tensor:
        hidden = F.linear(x, ffn_weight_1, ffn_bias_1)
        return F.linear(F.gelu(hidden) if use_gelu else F.relu(hidden), ffn_weight_2, ffn_bias_2)

    def first(x: Tensor) -> Tensor:
        return F.layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def second(x: Tensor) -> Tensor:
        return F.layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    if norm_first:
        x = src + attended(first(src))
        return x + fed_forward(second(x))
    x = first(src + attended(src))
    return second(x + fed_forward(x))


def _allowed(mask: Tensor, kind: int | None) -> Tensor:
    """Where attention may look, to be broadcast over [batch, heads, rows, keys]; `mask` is not 0 where it may not."""
    allowed = ~mask.to(torch.bool)
    return allowed[:, None, None, :] if kind == _OF_KEYS else allowed


RULES = {
    torch.ops.aten._native_multi_head_attention.default: native_multi_head_attention,
    torch.ops.aten._transformer_encoder_layer_fwd.default: transformer_encoder_layer,
}
