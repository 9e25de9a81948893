"""The fast paths of PyTorch's attention modules, which it takes where no gradient is wanted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compiling import check, fresh
from torch import nn

__all__ = ["fresh"]

PADDING = torch.tensor([[False] * 5, [False, False, False, True, True]])
NOTHING = torch.tensor([[False] * 5, [True] * 5])
CAUSAL = nn.Transformer.generate_square_subsequent_mask(5)
MASKS: dict[str, dict[str, Any]] = {
    "none": {}, "padding": {"src_key_padding_mask": PADDING}, "causal": {"src_mask": CAUSAL},
    "nothing": {"src_key_padding_mask": NOTHING},
    "both": {"src_mask": CAUSAL, "src_key_padding_mask": PADDING},
}  # fmt: skip


@pytest.mark.parametrize(
    ("masks", "norm_first", "activation"),
    [*((masks, False, "relu") for masks in MASKS), ("none", True, "gelu"), ("both", True, "gelu")],
)
def test_encoder_layers(masks: str, norm_first: bool, activation: str) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, norm_first=norm_first, activation=activation, batch_first=True).eval()
    module = Called(layer, MASKS[masks])
    report = check(module, torch.randn(2, 5, 16), calls=1)
    assert (report.parts, report.left) == (1, [])


@pytest.mark.parametrize(("weights", "average"), [(False, True), (True, True), (True, False)])
def test_attention(weights: bool, average: bool) -> None:
    layer = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    settings = {"need_weights": weights, "average_attn_weights": average, "key_padding_mask": PADDING}
    report = check(Called(layer, settings, 3), torch.randn(2, 5, 16), calls=1)
    assert report.left == []


class Called(nn.Module):
    """A module that gets one tensor several times, and settings."""

    def __init__(self, module: nn.Module, settings: dict[str, Any], times: int = 1) -> None:
        super().__init__()
        self.module, self.settings, self.times = module, settings, times

    def forward(self, x: torch.Tensor) -> Any:
        return self.module(*[x] * self.times, **self.settings)
