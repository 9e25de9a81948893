"""Settings shared by all tests that are run from the root of the repository."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the cores: the peers' own thread pools would only fight each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests are left to those who ask for them: `pytest -m long`."""
    if "long" not in config.option.markexpr:
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test draws the same random numbers alone, after others, and in any worker: seeded by its own name."""
    seed = zlib.crc32(item.name.encode())
    for value in vars(getattr(item, "module", None) or object).values():
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = type(value.bit_generator)(seed).state
