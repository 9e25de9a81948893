"""Runs a source in mm on the CPU and compares with what TensorFlow gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import mm_core as mm


def run(source: Any, inputs: Mapping[str, Any], **options: Any) -> list[Any]:
    """The outputs of a source, in order."""
    return list(outputs(mm.parse(source, **options), inputs).values())


def outputs(network: mm.Network, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return mm.Builder().build(network).create_engine().create_context().run(dict(inputs))


def assert_close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    """Equal shapes and element types; floats within a part of the largest element."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if theirs.dtype.kind in "fc":
        scale = float(np.max(np.abs(np.where(np.isfinite(theirs), theirs, 0)), initial=0)) or 1.0
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)
    else:
        np.testing.assert_array_equal(ours, theirs)


def count(network: mm.Network, name: str) -> int:
    """How many operations of a kind a network has, those of regions included."""
    return sum(operation.name == name for operation in network.walk())
