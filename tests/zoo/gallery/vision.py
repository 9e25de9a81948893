"""Images in, classes or images out: convolutional networks, window attention, segmentation, super-resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.gallery.exhibit import Exhibit, Inputs, exported
from tests.zoo.gallery.modules import only
from tests.zoo.text import spread_weights
from tests.zoo.vision import calibrate_batch_norms, pixels

if TYPE_CHECKING:
    import torch

OPEN_BATCH = {"pixel_values": ("batch",)}
OPEN_SIZE = {"pixel_values": ("batch", None, "height", "width")}


def exhibits() -> Iterator[Exhibit]:
    sizes = [(2, 64), (1, 64), (3, 64)]
    any_size = [(2, 64), (1, 96), (1, 32)]
    for exporter, opset in (("dynamo", 21), ("script", 13)):
        yield exported("efficientnet", efficientnet, images, sizes, OPEN_BATCH, exporter, opset)
        yield exported("convnext", convnext, images, sizes, OPEN_BATCH, exporter, opset)
        yield exported("shufflenet", shufflenet, images, sizes, OPEN_BATCH, exporter, opset)
        yield exported("unet", unet, images, any_size, OPEN_SIZE, exporter, opset, ("ConvTranspose", "Resize"))
    yield exported("swin", swin, images, sizes, OPEN_BATCH, "dynamo", 23)
    yield exported("segformer", segformer, images, [(2, 64), (1, 64)], OPEN_BATCH, "dynamo", 18, ("Resize",))
    yield exported("super_resolution", super_resolution, images, any_size, OPEN_SIZE, "script", 11, ("DepthToSpace",))


def images(generator: np.random.Generator, batch: int, size: int) -> Inputs:
    return pixels(generator, batch, size)


def efficientnet() -> torch.nn.Module:
    """MBConv blocks with squeeze and excitation, swish, depthwise convolutions of 3 and 5."""
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    config = EfficientNetConfig(
        image_size=64, width_coefficient=0.25, depth_coefficient=0.5, hidden_dim=320, num_labels=20
    )
    return only(calibrate_batch_norms(EfficientNetForImageClassification(config), 64), "logits")


def convnext() -> torch.nn.Module:
    """Depthwise 7x7 convolutions, layer norm over channels, GELU."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[16, 32, 64, 96], depths=[1, 1, 2, 1], num_labels=20)
    return only(spread_weights(ConvNextForImageClassification(config)), "logits")


def swin() -> torch.nn.Module:
    """Attention in windows that shift between layers."""
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=64, patch_size=4, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4, num_labels=20
    )
    return only(spread_weights(SwinForImageClassification(config)), "logits")


def segformer() -> torch.nn.Module:
    """A pyramid of transformers whose levels are resized to one size: a class for each fourth pixel."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=32,
        num_labels=7,
    )  # fmt: skip
    return only(spread_weights(SegformerForSemanticSegmentation(config)), "logits")


def shufflenet() -> torch.nn.Module:
    """Grouped convolutions with a channel shuffle between them, split and joined branches."""
    import torch
    from torch import nn

    class Unit(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            half = channels // 2
            self.branch = nn.Sequential(
                nn.Conv2d(half, half, 1, groups=2), nn.BatchNorm2d(half), nn.ReLU(),
                nn.Conv2d(half, half, 3, padding=1, groups=half), nn.BatchNorm2d(half),
                nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            )  # fmt: skip

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept, changed = x.chunk(2, dim=1)
            joined = torch.cat([kept, self.branch(changed)], dim=1)
            return joined.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)

    return only(calibrate_batch_norms(nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        *(Unit(16) for _ in range(3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    ), 64))  # fmt: skip


def unet() -> torch.nn.Module:
    """Down and up again: transposed convolution on one level, interpolation on the other, skips between."""
    import torch
    from torch import nn

    class Unet(nn.Module):
        def __init__(self) -> None:
            super().__init__()

            def block(inputs: int, outputs: int) -> nn.Module:
                return nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(4, outputs), nn.SiLU(),
                    nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1),
                )  # fmt: skip

            self.first, self.second, self.bottom = block(3, 16), block(16, 32), block(32, 48)
            self.up = nn.ConvTranspose2d(48, 32, 2, stride=2)
            self.after, self.narrow = block(64, 32), nn.Conv2d(32, 16, 1)
            self.last, self.head = block(32, 16), nn.Conv2d(16, 5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = self.first(x)
            second = self.second(nn.functional.max_pool2d(first, 2))
            bottom = self.bottom(nn.functional.avg_pool2d(second, 2))
            up = self.after(torch.cat([self.up(bottom), second], dim=1))
            large = nn.functional.interpolate(self.narrow(up), scale_factor=2.0, mode="bilinear", align_corners=False)
            return self.head(self.last(torch.cat([large, first], dim=1)))

    return only(calibrate_batch_norms(Unet(), 32))


def super_resolution() -> torch.nn.Module:
    """ESPCN: an image of three times the size by sub-pixel convolution (Shi et al., 2016)."""
    from torch import nn

    return only(nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.Tanh(), nn.Conv2d(32, 16, 3, padding=1), nn.Tanh(),
        nn.Conv2d(16, 27, 3, padding=1), nn.PixelShuffle(3),
    ))  # fmt: skip
