"""The digits example: its committed files are what they claim to be, and the demo succeeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

DIGITS = Path(__file__).parent.parent / "examples" / "digits"


def test_committed_model_recognises_the_held_out_images() -> None:
    with np.load(DIGITS / "held_out.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    assert len(images) == len(labels) == 360
    assert len(np.unique(images, axis=0)) > 300
    session = onnxruntime.InferenceSession(DIGITS / "digits.onnx")
    logits = session.run(["logits"], {"image": images[:, None].astype(np.float32) / 16})[0]
    assert np.mean(logits.argmax(1) == labels) >= 0.97


def test_committed_model_is_small_and_carries_no_paths() -> None:
    path = DIGITS / "digits.onnx"
    assert path.stat().st_size < 300_000
    model = onnx.load(path)
    assert not any(node.metadata_props for node in model.graph.node)
    assert b"site-packages" not in path.read_bytes()


def test_demo() -> None:
    done = subprocess.run([sys.executable, DIGITS / "demo.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy" in done.stdout
    assert "mm_run digits.mm" in done.stdout
