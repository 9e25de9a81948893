"""Image networks of other families, from Hugging Face configurations; no kernel is fitted to their shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.zoo.text import spread_weights
from tests.zoo.vision import calibrate_batch_norms

if TYPE_CHECKING:
    import torch


def efficientnet_b0(small: bool) -> torch.nn.Module:
    """EfficientNet-B0: 5.3 M parameters, 0.39 GMAC; depthwise 5x5, squeeze and excitation, swish."""
    import torch
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    size = 64 if small else 224
    width, depth, hidden = (0.25, 0.5, 320) if small else (1.0, 1.0, 1280)
    config = EfficientNetConfig(
        image_size=size, width_coefficient=width, depth_coefficient=depth, hidden_dim=hidden, num_labels=1000
    )
    model = EfficientNetForImageClassification(config)
    # Written as a window of `hidden_dim` pixels, which not every engine reads as all that there are.
    model.efficientnet.pooler = torch.nn.AdaptiveAvgPool2d(1)
    return calibrate_batch_norms(spread_weights(model), size)


def regnet_y(small: bool) -> torch.nn.Module:
    """RegNetY-1.6GF: 11.2 M parameters; 3x3 convolutions in groups of 24 channels, squeeze and excitation."""
    from transformers import RegNetConfig, RegNetForImageClassification

    shape = (
        {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 96], "depths": [1, 1, 2, 1], "groups_width": 8}
        if small
        else {"hidden_sizes": [48, 120, 336, 888], "depths": [2, 6, 17, 2], "groups_width": 24}
    )
    model = RegNetForImageClassification(RegNetConfig(num_labels=1000, **shape))
    return calibrate_batch_norms(spread_weights(model), 64 if small else 224)


def convnext_tiny(small: bool) -> torch.nn.Module:
    """ConvNeXt-T: 28.6 M parameters, 4.5 GMAC; depthwise 7x7, layer norm over channels, GELU, scaled residuals."""
    from transformers import ConvNextConfig, ConvNextForImageClassification

    shape = {"hidden_sizes": [16, 32, 64, 96], "depths": [1, 1, 2, 1]} if small else {}
    return spread_weights(ConvNextForImageClassification(ConvNextConfig(num_labels=1000, **shape)))


def swin_tiny(small: bool) -> torch.nn.Module:
    """Swin-T: 28.3 M parameters, 4.5 GMAC; attention in windows of 7x7 that shift between layers."""
    from transformers import SwinConfig, SwinForImageClassification

    shape = (
        {"image_size": 64, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4} if small else {}
    )
    return spread_weights(SwinForImageClassification(SwinConfig(num_labels=1000, **shape)))


def segformer_b0(small: bool) -> torch.nn.Module:
    """SegFormer-B0: 3.8 M parameters; attention over reduced keys, levels resized and joined, a class a 4x4 patch."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    shape = (
        {
            "hidden_sizes": [16, 24, 32, 48],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 32,
        }
        if small
        else {}
    )
    return spread_weights(SegformerForSemanticSegmentation(SegformerConfig(num_labels=150, **shape)))


def mobilevit_small(small: bool) -> torch.nn.Module:
    """MobileViT-S: 5.6 M parameters, 1.8 GMAC at 256x256; inverted residuals, then attention between 2x2 patches."""
    from transformers import MobileViTConfig, MobileViTForImageClassification

    shape = {"hidden_sizes": [24, 32, 48], "neck_hidden_sizes": [8, 8, 16, 24, 32, 40, 80]} if small else {}
    size = 64 if small else 256
    model = MobileViTForImageClassification(MobileViTConfig(image_size=size, num_labels=1000, **shape))
    return calibrate_batch_norms(spread_weights(model), size)
