"""Exported models of every kind, from ONNX file to answers, against ONNX Runtime: native on the CPU, every size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo import gallery
from tests.zoo.comparison import assert_same, context, reference


@pytest.mark.parametrize("exhibit", gallery.exhibits(), ids=lambda exhibit: exhibit.name)
def test_exported_model(exhibit: gallery.Exhibit, tmp_path: Path) -> None:
    path = gallery.obtain(exhibit)
    assert set(exhibit.expects) <= gallery.operators(path)
    running = context(path, tmp_path, strict=True)
    spreads = []
    for inputs in exhibit.runs():
        expected = reference(path, inputs)
        assert_same(running.run(inputs), expected)
        spreads += [np.std(value) / (np.abs(value).max() or 1) for value in expected.values() if value.size]
    assert max(spreads) > 0.1, "the outputs hardly differ: agreeing would prove nothing"
