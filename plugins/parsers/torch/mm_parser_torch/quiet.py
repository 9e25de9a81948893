"""PyTorch's own progress lines and warnings, kept out of ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings of PyTorch's about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
