"""Weights in the order in which kernels read them: panels of a few vectors of outputs, one row an input."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PanelLayout:
    """Packed weights of a contraction, [groups, panels, reduction, width], zeros beyond the last output of a group."""

    groups: int
    reduction: int
    outputs: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The packed array's shape."""
        return self.groups, -(-self.outputs // self.width), self.reduction, self.width

    @property
    def elements(self) -> int:
        """Elements of the packed array."""
        return prod(self.shape)

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [groups, reduction, outputs]."""
        packed = np.zeros(self.shape, weights.dtype)
        for panel in range(self.shape[1]):
            part = weights[:, :, panel * self.width : (panel + 1) * self.width]
            packed[:, panel, :, : part.shape[2]] = part
        return packed
