"""Speech models: Whisper's encoder and wav2vec 2.0 from Hugging Face configurations, and a recurrent network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.text import spread_weights

if TYPE_CHECKING:
    import torch


def whisper_base_encoder(small: bool) -> torch.nn.Module:
    """The encoder of Whisper-base: 20.6 M parameters, two convolutions, 6 layers of width 512 at 1500 positions."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    shape = {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048}
    if small:
        shape = {
            "d_model": 48,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 96,
            "max_source_positions": 32,
        }
    return spread_weights(WhisperEncoder(WhisperConfig(**shape)))


def wav2vec2_base(small: bool) -> torch.nn.Module:
    """wav2vec 2.0 base: 94.4 M parameters, seven convolutions over samples, 12 layers of width 768."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    shape = (
        {
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "conv_dim": (32,) * 7,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        }
        if small
        else {}
    )
    return spread_weights(Wav2Vec2Model(Wav2Vec2Config(**shape)))


def lstm_tagger(small: bool) -> torch.nn.Module:
    """Two LSTM layers of width 512, then a GRU that reads both ways, then 64 classes a frame."""
    import torch

    class Tagger(torch.nn.Module):
        """Takes float32 [batch, frames, features]."""

        def __init__(self, features: int, width: int) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(features, width, num_layers=2, batch_first=True)
            self.gru = torch.nn.GRU(width, width // 2, bidirectional=True, batch_first=True)
            self.classes = torch.nn.Linear(width, 64)

        def forward(self, features: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor, ...]:
            hidden, _ = self.lstm(features)
            hidden, _ = self.gru(hidden)
            return (self.classes(hidden),)

    model = Tagger(80, 32 if small else 512)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "weight" in name:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.eval()


def spectrogram(
    generator: np.random.Generator, batch: int, frames: int, bands: int, channels_first: bool
) -> dict[str, np.ndarray]:
    """Normalised energies, smooth in time: float32 [batch, bands, frames], or frames first."""
    shape = (batch, bands, frames)
    values = 0.8 * np.repeat(generator.standard_normal((batch, bands, -(-frames // 4))), 4, axis=2)[:, :, :frames]
    values = (values + 0.6 * generator.standard_normal(shape)).astype(np.float32)
    return {"input_features": values} if channels_first else {"features": np.ascontiguousarray(values.swapaxes(1, 2))}


def waveform(generator: np.random.Generator, batch: int, samples: int) -> dict[str, np.ndarray]:
    """Sound at 16 kHz with unit variance: float32 [batch, samples]."""
    time = np.arange(samples) / 16000
    pitch = generator.uniform(100, 300, (batch, 1))
    wave = np.sin(2 * np.pi * pitch * time) + 0.5 * np.sin(6 * np.pi * pitch * time)
    return {"input_values": (wave + 0.6 * generator.standard_normal((batch, samples))).astype(np.float32)}
