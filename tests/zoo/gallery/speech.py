"""Sound in: features by a Fourier transform, Whisper's encoder and decoder, wav2vec 2.0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.gallery.exhibit import Exhibit, Inputs, exported
from tests.zoo.gallery.modules import only
from tests.zoo.text import spread_weights

if TYPE_CHECKING:
    import torch

FRAMES, BANDS = 64, 20


def exhibits() -> Iterator[Exhibit]:
    sizes = [(2, 5), (1, 1), (3, 8)]
    axes = {"input_features": ("batch",), "decoder_input_ids": ("batch", "length")}
    yield exported("whisper", whisper, heard_and_said, sizes, axes, "dynamo", 20)
    waves = [(2, 2000), (1, 3200), (1, 1777)]
    yield exported("wav2vec2", wav2vec2, wave, waves, {"wave": ("batch", "samples")}, "dynamo", 18)
    yield exported("wav2vec2", wav2vec2, wave, [(2, 2000), (2, 2000)], {}, "script", 17)
    yield exported(
        "spectrogram", spectrogram, wave, [(2, 2000), (1, 2000)], {"wave": ("batch",)}, "script", 17, ("STFT",)
    )


def wave(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    """A few tones and noise, about unit variance."""
    time = np.arange(length) / 16000
    tones = [np.sin(2 * np.pi * time * generator.uniform(80, 4000, (batch, 1))) for _ in range(3)]
    return {"wave": (0.7 * sum(tones) + 0.3 * generator.standard_normal((batch, length))).astype(np.float32)}


def heard_and_said(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    return {
        "input_features": generator.standard_normal((batch, BANDS, FRAMES)).astype(np.float32),
        "decoder_input_ids": generator.integers(1, 500, (batch, length)),
    }


def whisper() -> torch.nn.Module:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=500, num_mel_bins=BANDS, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_source_positions=FRAMES // 2,
        max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = spread_weights(WhisperForConditionalGeneration(config))
    return only(model, "logits", takes=("input_features", "decoder_input_ids"), use_cache=False)


def wav2vec2() -> torch.nn.Module:
    """Letters from samples: strided convolutions, then a transformer whose positions are a grouped convolution."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(
        vocab_size=32, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        conv_dim=[24, 24, 24], conv_kernel=[10, 3, 2], conv_stride=[5, 2, 2], num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    return only(spread_weights(Wav2Vec2ForCTC(config)), "logits")


def spectrogram() -> torch.nn.Module:
    """Logarithmic power of the short-time Fourier transform in bands, normalised, and a convolution over it."""
    import torch
    from torch import nn

    class Spectrogram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("window", torch.hann_window(256))
            self.register_buffer("bands", torch.rand(BANDS, 129) / 12)
            self.convolution = nn.Conv1d(BANDS, 16, 3, stride=2, padding=1)

        def forward(self, wave: torch.Tensor) -> torch.Tensor:
            parts = torch.stft(wave, 256, 128, window=self.window, center=True, return_complex=False)
            power = parts.pow(2).sum(-1)
            features = (self.bands @ power).clamp(min=1e-6).log()
            mean, deviation = features.mean(-1, keepdim=True), features.std(-1, keepdim=True)
            return self.convolution((features - mean) / deviation)

    return only(Spectrogram())
