"""The digits network of the examples, trained here and saved by torch.export, goes through the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[4] / "examples" / "digits" / "from_pytorch.py"


def test_the_commands_build_it_and_it_is_as_accurate_as_the_onnx_file() -> None:
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ mm_build digits.pt2" in done.stdout
    assert done.stdout.count("99.17% of 360 held-out digits") == 2
