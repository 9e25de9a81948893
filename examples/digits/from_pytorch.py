"""The digits network straight from PyTorch: trained, saved by torch.export, built and run with the two commands.

    pip install torch==2.13.0 scikit-learn "mm-parser-torch[torch]"
    python examples/digits/from_pytorch.py

Exit status 0 only if the held-out digits are recognised as well as by the ONNX file of the same network.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from commands import accuracies, logits
from demo import SOURCE, held_out
from train import trained


def save(folder: Path) -> Path:
    """Train the network and write digits.pt2, with an open batch dimension `N`."""
    model, pixels, _, _ = trained()
    batch = torch.export.Dim("N")
    program = torch.export.export(model, (pixels[:2],), dynamic_shapes=({0: batch},))
    path = folder / "digits.pt2"
    torch.export.save(program, path)
    return path


def main() -> int:
    pixels, labels = held_out()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images.npy"
        np.save(images, pixels)
        sources = {"PyTorch": save(folder), "ONNX": SOURCE}
        found = {kind: logits(source, folder, images) for kind, source in sources.items()}
    accuracy = accuracies(found, labels)
    return 0 if accuracy["PyTorch"] >= accuracy["ONNX"] else 1


if __name__ == "__main__":
    sys.exit(main())
