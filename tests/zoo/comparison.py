"""Run a model with ONNX Runtime and with mm, and compare: the check behind all end-to-end tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import mm_core as mm

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order


def reference(path: Path | bytes, inputs: dict[str, Any]) -> dict[str, Any]:
    """ONNX Runtime's outputs by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def context(source: Any, folder: Path, **settings: Any) -> mm.Context:
    """The source built, saved, loaded again and ready to run, as a deployment would have it."""
    model = mm.Builder(mm.BuilderConfig(**{"backends": ["cpu"], **settings})).build(mm.parse(source))
    model.save(folder / "model.mm")
    return mm.Model.load(folder / "model.mm").create_engine(threads=2).create_context()


def assert_same(got: dict[str, Any], expected: dict[str, Any], tolerance: float = TOLERANCE) -> None:
    """Equal names in equal order, types and shapes; floats within `tolerance` of the largest, others exactly."""
    assert list(got) == list(expected)
    for name, right in expected.items():
        _assert_same_value(name, got[name], right, tolerance)


def _assert_same_value(name: str, left: Any, right: Any, tolerance: float) -> None:
    if isinstance(right, list):
        assert len(left) == len(right), f"{name}: {len(left)} items, not {len(right)}"
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            _assert_same_value(f"{name}[{index}]", one, other, tolerance)
        return
    right = np.asarray(right)
    assert (left.dtype, left.shape) == (right.dtype, right.shape), name
    if right.dtype.kind == "f" and right.size:
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * np.abs(right).max(), err_msg=name)
    else:
        np.testing.assert_array_equal(left, right, err_msg=name)
