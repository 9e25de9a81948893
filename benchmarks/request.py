"""What every engine is asked to run: a model of the zoo, a batch and a number of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Inputs = dict[str, np.ndarray]
Runner = Callable[[Inputs], list[np.ndarray]]  # outputs in the order of the ONNX file


@dataclass(frozen=True)
class Request:
    """One model to load; `path` is its ONNX file, which engines that read torch modules ignore."""

    model: str
    path: Path
    batch: int
    threads: int
    small: bool
    opt_level: int = 2

    def inputs(self) -> Inputs:
        """The same inputs in every process."""
        from tests.zoo import catalog

        return catalog.inputs(self.model, self.batch, self.small)

    def __str__(self) -> str:
        return f"{self.model}{' (small)' if self.small else ''}, batch {self.batch}"
