"""Train the digits network and write the two files that `demo.py` uses: digits.onnx and held_out.npz.

    pip install torch==2.13.0 onnxscript scikit-learn
    python examples/digits/train.py

The images are the 1,797 handwritten digits of 8x8 pixels that ship with scikit-learn (UCI's "Optical
Recognition of Handwritten Digits"). One fifth is held out and never seen in training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).parent
SEED = 7
EPOCHS = 60


def network() -> nn.Sequential:
    """Three convolutions and a linear layer: float32 [N, 1, 8, 8] in 0..1 to logits [N, 10]."""

    def stage(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *stage(1, 16),
        *stage(16, 32),
        nn.MaxPool2d(2),
        *stage(32, 64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 2 * 2, 10),
    )


def shifted(images: torch.Tensor) -> torch.Tensor:
    """The images moved by up to one pixel each way, as augmentation."""
    down, right = (int(step) for step in torch.randint(-1, 2, (2,)))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[..., 1 + down : 9 + down, 1 + right : 9 + right]


def train(images: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """The trained network, in evaluation mode."""
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for epoch in range(EPOCHS):
        losses = []
        for batch in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(model(shifted(images[batch])), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        schedule.step()
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:3d}  loss {np.mean(losses):.4f}")
    return model.eval()


def export(model: nn.Sequential, example: torch.Tensor) -> None:
    """Write digits.onnx with an open batch dimension `N`."""
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: "N"},),
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    exported = program.model_proto
    for part in (exported.graph, *exported.graph.node, *exported.graph.input, *exported.graph.output):
        part.ClearField("metadata_props")  # stack traces with paths of the machine it was exported on
    exported.graph.ClearField("value_info")
    onnx.checker.check_model(exported, full_check=True)
    onnx.save_model(exported, HERE / "digits.onnx")


def trained() -> tuple[nn.Sequential, torch.Tensor, np.ndarray, np.ndarray]:
    """The network, images that it was trained on (float32 [N, 1, 8, 8]), and held-out ones (uint8) with labels."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # sums in one order, so that the same weights come out every time
    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.images.astype(np.uint8),
        digits.target,
        test_size=0.2,
        random_state=SEED,
        stratify=digits.target,
    )
    pixels = torch.from_numpy(train_images).unsqueeze(1) / 16
    return train(pixels, torch.from_numpy(train_labels)), pixels, test_images, test_labels


def main() -> None:
    model, pixels, test_images, test_labels = trained()
    with torch.no_grad():
        predicted = model(torch.from_numpy(test_images).unsqueeze(1) / 16).argmax(1).numpy()
    print(f"held-out accuracy {np.mean(predicted == test_labels):.4f}")
    np.savez_compressed(HERE / "held_out.npz", images=test_images, labels=test_labels.astype(np.uint8))
    export(model, pixels[:2])


if __name__ == "__main__":
    main()
