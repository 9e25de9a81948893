"""Networks as people write them, of no library, against eager: with the sizes they were exported for, and others."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from running import check
from torch import nn
from torch.nn import functional as F


class Translator(nn.Module):
    """nn.Transformer with embeddings and a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.transformer = nn.Transformer(32, 4, 2, 2, 48, batch_first=True, norm_first=True)
        self.head = nn.Linear(32, 50)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = torch.triu(torch.full((target.shape[1], target.shape[1]), -math.inf), diagonal=1)
        found = self.transformer(self.words(source), self.words(target), tgt_mask=mask, tgt_is_causal=True)
        return self.head(found)


class Tagger(nn.Module):
    """A bidirectional LSTM over words and a GRU over its results."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(24, 10, batch_first=True)
        self.head = nn.Linear(10, 5)

    def forward(self, words: torch.Tensor) -> Any:
        found, (hidden, _) = self.lstm(self.words(words))
        tags, last = self.gru(found)
        return {"tags": self.head(tags).log_softmax(-1), "last": last, "hidden": hidden}


class Generator(nn.Module):
    """Noise to images by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(16, 32 * 4 * 4)
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True),
            nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1, groups=2), nn.InstanceNorm2d(8, affine=True),
            nn.LeakyReLU(0.2), nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 3, 3, padding=1, padding_mode="reflect")), nn.Tanh(),
        )  # fmt: skip

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return self.grow(self.start(noise).view(-1, 32, 4, 4))


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(batch, 3, 4, channels // 4, height * width).unbind(1)
        y = F.scaled_dot_product_attention(*(part.transpose(-1, -2) for part in (q, k, v)))
        return x + self.out(y.transpose(-1, -2).reshape(batch, channels, height, width))


class Step(nn.Module):
    """A residual block that knows the time."""

    def __init__(self, inputs: int, outputs: int, times: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Linear(times, 2 * outputs)
        self.norm = nn.GroupNorm(4, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        scale, shift = self.time(F.silu(time))[..., None, None].chunk(2, dim=1)
        y = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(F.silu(y))


class Diffusion(nn.Module):
    """A U-Net that takes noise out of images, as diffusion models do."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 16, 3, padding=1)
        self.times = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 32))
        self.down = nn.ModuleList([Step(16, 16, 32), Step(16, 32, 32)])
        self.middle, self.attention = Step(32, 32, 32), Attention(32)
        self.up = nn.ModuleList([Step(64, 16, 32), Step(32, 16, 32)])
        self.leave = nn.Conv2d(16, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        rates = torch.exp(torch.arange(8, device=x.device) * -(math.log(10000) / 8))
        angles = time[:, None].float() * rates[None]
        known = self.times(torch.cat([angles.sin(), angles.cos()], dim=-1))
        x, kept = self.enter(x), []
        for step in self.down:
            x = step(x, known)
            kept.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.attention(self.middle(x, known))
        for step in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = step(torch.cat([x, kept.pop()], dim=1), known)
        return self.leave(x)


class Segmenter(nn.Module):
    """A U-Net with bilinear upsampling to the sizes of what it joins, which may be odd."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(self._block(*pair) for pair in ((3, 8), (8, 16), (16, 24)))
        self.decoders = nn.ModuleList(self._block(*pair) for pair in ((40, 16), (24, 8)))
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for number, encoder in enumerate(self.encoders):
            x = encoder(x if number == 0 else F.max_pool2d(x, 2, ceil_mode=True))
            kept.append(x)
        for decoder, other in zip(self.decoders, reversed(kept[:-1])):
            x = F.interpolate(x, size=other.shape[-2:], mode="bilinear", align_corners=False)
            x = decoder(torch.cat([x, other], dim=1))
        return self.head(x).argmax(1), self.head(x).softmax(1)


class Squeeze(nn.Module):
    """Residual blocks with depthwise convolutions and squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 5, padding="same", groups=16, dilation=2)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.Hardswish(), nn.Conv2d(4, 16, 1))
        self.blur = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d((2, 2)), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = F.mish(self.depthwise(x))
        x = x + y * F.hardsigmoid(self.squeeze(y))
        return self.head(F.channel_shuffle(self.blur(x), 4))


class Messages(nn.Module):
    """A graph network: messages along edges are added up at their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(8, 8), nn.GRUCell(8, 8)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            sent = self.message(nodes)[edges[0]].relu()
            total = torch.zeros_like(nodes).index_add_(0, edges[1], sent)
            degree = torch.zeros(nodes.shape[0]).scatter_add_(0, edges[1], torch.ones(edges.shape[1]))
            nodes = self.update(total / degree.clamp(min=1)[:, None], nodes)
        return nodes


def images(batch: int, size: int = 16) -> torch.Tensor:
    return torch.randn(batch, 3, size, size)


def words(batch: int, length: int) -> torch.Tensor:
    return torch.randint(1, 50, (batch, length))


# ruff: noqa: E501
CASES = {
    "transformer": (Translator, (words(2, 7), words(2, 5)), (words(3, 9), words(3, 4)), {"source": ("N", "S"), "target": ("N", "T")}),
    "tagger": (Tagger, (words(2, 7),), (words(3, 7),), {"words": ("N", 7)}),
    "generator": (Generator, (torch.randn(2, 16),), (torch.randn(5, 16),), {"noise": ("N", 16)}),
    "diffusion": (Diffusion, (images(2), torch.tensor([3, 700])), (images(3), torch.tensor([0, 1, 999])), {"x": ("N", 3, 16, 16), "time": ("N",)}),
    "diffusion_sizes": (Diffusion, (images(2), torch.tensor([3, 700])), (images(2, 32), torch.tensor([0, 1])), {"x": (2, 3, "4*H", "4*W")}),
    "segmenter": (Segmenter, (images(2),), (images(3, 13),), {"x": ("N", 3, "H", "W")}),
    "squeeze": (Squeeze, (images(2, 17),), (images(3, 17),), {"x": ("N", 3, 17, 17)}),
    "messages": (Messages, (torch.randn(6, 8), torch.randint(0, 6, (2, 9))), (torch.randn(9, 8), torch.randint(0, 9, (2, 20))), {"nodes": ("V", 8), "edges": (2, "E")}),
}  # fmt: skip


RUNS = [(name, dynamic) for name in CASES for dynamic in (False, True) if dynamic or name != "diffusion_sizes"]


@pytest.mark.parametrize(("name", "dynamic"), RUNS)
def test_network_equals_eager(name: str, dynamic: bool) -> None:
    make, example, request, shapes = CASES[name]
    torch.manual_seed(0)
    check(make().eval(), example, *((shapes, request) if dynamic else ()), rtol=1e-4, atol=1e-5)
