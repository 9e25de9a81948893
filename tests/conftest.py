"""Settings shared by all tests that are run from the root of the repository."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers share the cores: the peers' own thread pools would only fight each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
