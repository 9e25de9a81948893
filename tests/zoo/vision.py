"""Image classifiers from Hugging Face configurations: ResNet-50 v1.5, MobileNetV2 and ViT-B/16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def pixels(generator: np.random.Generator, batch: int, size: int) -> dict[str, np.ndarray]:
    """Images as preprocessing leaves them: float32 [batch, 3, size, size], smooth, about unit variance."""
    coarse = generator.standard_normal((batch, 3, size // 8, size // 8))
    smooth = np.kron(coarse, np.ones((1, 1, 8, 8)))
    noise = generator.standard_normal((batch, 3, size, size))
    return {"pixel_values": (0.9 * smooth + 0.4 * noise).astype(np.float32)}


def resnet50(small: bool) -> torch.nn.Module:
    """ResNet-50 v1.5 (the stride sits in the 3x3 convolution): 25.6 M parameters, 4.1 GMAC at 224x224."""
    from transformers import ResNetConfig, ResNetForImageClassification

    shape = {"depths": [1, 1, 2, 1], "hidden_sizes": [32, 64, 128, 256], "embedding_size": 16} if small else {}
    config = ResNetConfig(layer_type="bottleneck", downsample_in_bottleneck=False, num_labels=1000, **shape)
    model = ResNetForImageClassification(config)
    return calibrate_batch_norms(model, 64 if small else 224)


def mobilenet_v2(small: bool) -> torch.nn.Module:
    """MobileNetV2 1.0: 3.5 M parameters, 0.3 GMAC at 224x224; the small one has a quarter of the channels."""
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    config = MobileNetV2Config(tf_padding=False, num_labels=1000, depth_multiplier=0.25 if small else 1.0)
    model = MobileNetV2ForImageClassification(config)
    return calibrate_batch_norms(model, 64 if small else 224)


def vit_b16(small: bool) -> torch.nn.Module:
    """Vision transformer, base, 16x16 patches: 86.6 M parameters, 197 tokens at 224x224."""
    from transformers import ViTConfig, ViTForImageClassification

    from tests.zoo.text import spread_weights

    shape = (
        {
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "image_size": 64,
        }
        if small
        else {}
    )
    return spread_weights(ViTForImageClassification(ViTConfig(num_labels=1000, **shape)))


def calibrate_batch_norms(model: torch.nn.Module, size: int) -> torch.nn.Module:
    """Give batch norms scales, shifts and running statistics like those of a trained network.

    Statistics are averages over a few random batches, so activations neither vanish nor explode with depth.
    """
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.6, 1.4)
        torch.nn.init.normal_(norm.bias, std=0.2)
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average over the calibration batches
    for convolution in (module for module in model.modules() if isinstance(module, torch.nn.Conv2d)):
        torch.nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
    generator = np.random.default_rng(7)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.from_numpy(pixels(generator, 8, size)["pixel_values"]))
    return model.eval()
