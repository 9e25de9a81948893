"""Recurrent networks: a tagger of LSTMs, a classifier of GRUs, text read from images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.gallery.exhibit import Exhibit, Inputs, exported
from tests.zoo.gallery.modules import only
from tests.zoo.vision import pixels

if TYPE_CHECKING:
    import torch

WORDS = 200


def exhibits() -> Iterator[Exhibit]:
    sizes = [(2, 9), (1, 1), (3, 14)]
    axes = {"tokens": ("batch", "length")}
    for exporter, opset in (("dynamo", 20), ("script", 14)):
        dynamic = exporter == "script"  # the newer exporter unrolls what is open
        yield exported("lstm_tagger", lstm_tagger, words, sizes if dynamic else sizes[:1], axes if dynamic else {},
                       exporter, opset, ("LSTM",))  # fmt: skip
    yield exported("gru_classifier", gru_classifier, words, sizes, axes, "script", 12, ("GRU",))
    yield exported("rnn_steps", rnn_steps, words, sizes, axes, "script", 11, ("RNN",))
    yield exported("crnn", crnn, lines, [(2, 64), (1, 96)], {"image": ("batch", None, None, "width")}, "script", 17,
                   ("LSTM", "Conv"))  # fmt: skip


def words(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    return {"tokens": generator.integers(0, WORDS, (batch, length))}


def lines(generator: np.random.Generator, batch: int, width: int) -> Inputs:
    return {"image": pixels(generator, batch, width)["pixel_values"][:, :1, :32]}


def lstm_tagger() -> torch.nn.Module:
    """A tag for each word: two layers, both directions."""
    from torch import nn

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 24)
            self.lstm = nn.LSTM(24, 20, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(40, 7)

        def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            states, (hidden, _) = self.lstm(self.embedding(tokens))
            return self.head(states).softmax(-1), hidden

    return only(wide(Tagger()))


def gru_classifier() -> torch.nn.Module:
    """One class for a sentence, from the last state of either direction."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 16)
            self.gru = nn.GRU(16, 24, bidirectional=True, batch_first=True)
            self.head = nn.Linear(48, 5)

        def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            states, last = self.gru(self.embedding(tokens))
            logits = self.head(torch.cat([last[0], last[1]], dim=-1))
            return logits, states.max(dim=1).values

    return only(wide(Classifier()))


def rnn_steps() -> torch.nn.Module:
    """The plain recurrence, of tanh and of the rectifier."""
    from torch import nn

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 16)
            self.first = nn.RNN(16, 12, batch_first=True)
            self.second = nn.RNN(12, 12, nonlinearity="relu", batch_first=True)

        def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
            states, last = self.first(self.embedding(tokens))
            return self.second(states)[0], last

    return only(Steps())


def crnn() -> torch.nn.Module:
    """Shi et al., 2015: columns of convolutional features through LSTMs; the likeliest letter for each."""
    from torch import nn

    class Crnn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d((4, 2)),
                nn.Conv2d(32, 32, (4, 1)), nn.ReLU(),
            )  # fmt: skip
            self.lstm = nn.LSTM(32, 24, bidirectional=True)
            self.head = nn.Linear(48, 30)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            columns = self.features(image).squeeze(2).permute(2, 0, 1)
            likelihoods = self.head(self.lstm(columns)[0]).log_softmax(-1)
            return likelihoods, likelihoods.argmax(-1)

    model = Crnn()
    model.features[4].running_mean.normal_(std=0.2)
    return only(wide(model))


def wide(model: torch.nn.Module) -> torch.nn.Module:
    """Recurrent weights as large as trained ones, so that gates open and close."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "weight_" in name:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
            elif "bias_" in name:
                parameter.normal_(std=0.3)
    return model
