"""The digits network straight from PyTorch: trained, saved by torch.export, built and run with the two commands.

    pip install torch==2.13.0 scikit-learn "mm-parser-torch[torch]"
    python examples/digits/from_pytorch.py

Exit status 0 only if the held-out digits are recognised as well as by the ONNX file of the same network.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
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


def logits(source: Path, folder: Path, images: Path) -> np.ndarray:
    """What a model file says about all images at once: mm_build and mm_run as one types them."""
    model, results = folder / "digits.mm", folder / source.suffix[1:]
    scripts = Path(sys.executable).parent
    for command in (
        ["mm_build", source, "-o", model],
        ["mm_run", model, "--input_files", images, "--output_path", results, "--duration", "100"],
    ):
        print(f"$ {' '.join(str(getattr(word, 'name', word)) for word in command)}")
        subprocess.run([scripts / command[0], *command[1:]], check=True, stdout=subprocess.DEVNULL)
    (path,) = results.glob("*.npy")
    return np.load(path)


def main() -> int:
    pixels, labels = held_out()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images.npy"
        np.save(images, pixels)
        sources = {"PyTorch": save(folder), "ONNX": SOURCE}
        found = {kind: logits(source, folder, images).argmax(1) for kind, source in sources.items()}
    accuracy = {kind: float(np.mean(digits == labels)) for kind, digits in found.items()}
    for kind, share in accuracy.items():
        print(f"{kind}: {share:.2%} of {len(labels)} held-out digits")
    return 0 if accuracy["PyTorch"] >= accuracy["ONNX"] else 1


if __name__ == "__main__":
    sys.exit(main())
