"""Control flow that survives export: TorchScript modules whose loops and branches depend on data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.export import quiet
from tests.zoo.gallery.exhibit import FILE, Exhibit, Inputs

if TYPE_CHECKING:
    import torch

WIDTH, WORDS, END = 16, 20, 3


def exhibits() -> Iterator[Exhibit]:
    yield Exhibit("greedy_decoder-script-17", make_decoder, prompts, ("Loop", "If"))
    yield Exhibit("early_exit-script-13", make_early_exit, vectors, ("If",))


def prompts() -> list[Inputs]:
    generator = np.random.default_rng(3)
    return [
        {"state": generator.standard_normal((1, WIDTH)).astype(np.float32), "limit": np.array(limit)}
        for limit in (12, 5, 0, 12, 12, 1)
    ]


def vectors() -> list[Inputs]:
    generator = np.random.default_rng(4)
    return [
        {"x": (scale * generator.standard_normal((batch, WIDTH))).astype(np.float32)}
        for batch, scale in ((2, 0.1), (3, 1), (1, 5))
    ]


def make_decoder(folder: Path) -> None:
    """Words one after another until the end or the limit; what is said depends on whether the last word was even."""
    import torch
    from torch import nn

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, WIDTH)
            self.change, self.turn = nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.head = nn.Linear(WIDTH, WORDS)

        def forward(self, state: torch.Tensor, limit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            word = torch.zeros([1], dtype=torch.long)
            said = torch.zeros([12], dtype=torch.long)
            count = 0
            while bool(count < limit) and bool((word != 3).all()):
                state = torch.tanh(self.change(torch.cat([state, self.embedding(word)], dim=1)))
                if bool((word % 2 == 0).all()):
                    state = self.turn(state)
                else:
                    state = state * 1.5
                word = self.head(state).argmax(1)
                said[count] = word[0]
                count += 1
            return said, state, torch.tensor(count)

    torch.manual_seed(5)
    model = Decoder().eval()
    with torch.no_grad():
        for layer in (model.change, model.turn, model.head):
            layer.weight.normal_(std=1.6 * layer.weight.shape[1] ** -0.5)
    save(torch.jit.script(model), prompts()[0], folder, 17, ("said", "last", "count"), {})


def make_early_exit(folder: Path) -> None:
    """Deeper layers only for inputs that the first one finds hard."""
    import torch
    from torch import nn

    class EarlyExit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first(x))
            if bool(y.max() > 1):
                y = torch.relu(self.second(y)) + y
                if bool(y.mean() > 1):
                    y = torch.tanh(self.third(y))
            return y

    torch.manual_seed(6)
    save(torch.jit.script(EarlyExit().eval()), vectors()[0], folder, 13, ("y",), {"x": {0: "batch"}})


def save(
    module: torch.nn.Module, inputs: Inputs, folder: Path, opset: int, outputs: tuple[str, ...],
    axes: dict[str, dict[int, str]],
) -> None:  # fmt: skip
    import torch

    values = tuple(map(torch.from_numpy, inputs.values()))
    with quiet(), torch.no_grad():
        torch.onnx.export(
            module, values, folder / FILE, dynamo=False, opset_version=opset, dynamic_axes=axes,
            input_names=list(inputs), output_names=list(outputs),
        )  # fmt: skip
