"""A model file through the two commands, as one types them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def logits(source: Path, folder: Path, images: Path) -> np.ndarray:
    """What a model file says about all images at once, by mm_build and mm_run. `folder` takes what they write."""
    model, results = folder / "digits.mm", folder / f"{source.name} results"
    scripts = Path(sys.executable).parent
    for command in (
        ["mm_build", source, "-o", model],
        ["mm_run", model, "--input_files", images, "--output_path", results, "--duration", "100"],
    ):
        print(f"$ {' '.join(str(getattr(word, 'name', word)) for word in command)}")
        subprocess.run([scripts / command[0], *command[1:]], check=True, stdout=subprocess.DEVNULL)
    (path,) = results.glob("*.npy")
    return np.load(path)


def accuracies(found: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """Print and give the share of images that each kind of file recognises."""
    shares = {kind: float(np.mean(each.argmax(1) == labels)) for kind, each in found.items()}
    for kind, share in shares.items():
        print(f"{kind}: {share:.2%} of {len(labels)} held-out digits")
    return shares
