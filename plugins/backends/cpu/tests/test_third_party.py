"""Packages of kernels that cannot be used: skipped with a warning, or named by the error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
import mm_core as mm

network = mm.Network("example")
network.mark_output(network.abs(network.add_input("x", mm.float32, ("N", 4))), "y")
model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
print(model.create_engine().create_context().run({"x": np.full((1, 4), -2, np.float32)})["y"].sum())
"""


def run(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Build with a package `mm-kernels-ill` installed whose module is `code`."""
    information = site / "mm_kernels_ill-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-kernels-ill\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[mm.kernels]\ncpu.ill = mm_kernels_ill\n")
    (site / "mm_kernels_ill.py").write_text(code)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_package_that_does_not_exist\n", "a_package_that_does_not_exist"),
        ("", "has no RULES"),
        ("RULES = {'mm.abs': 7}\n", "define RULES"),
        ("RULES = {'mm.abs': (lambda operation: '',)}\n", "define RULES"),
    ],
)
def test_what_is_no_package_of_rules_is_skipped_with_a_warning(tmp_path: Path, code: str, reason: str) -> None:
    done = run(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "8.0"
    assert "a package of kernels is skipped" in done.stderr
    assert "mm-kernels-ill 1.0" in done.stderr
    assert reason in done.stderr


def test_a_rule_that_fails_is_an_error_with_its_owner(tmp_path: Path) -> None:
    code = "from mm_backend_cpu.kernels import Rule\nRULES = {'mm.abs': (Rule(lambda op: op.nothing, print),)}\n"
    done = run(tmp_path, code)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mm_core.errors.CompileError: the rule for mm.abs of kernel package 'cpu.ill'")
    assert "mm-kernels-ill 1.0 failed: AttributeError" in last
    assert "MM_DISABLE_PLUGINS" in last
