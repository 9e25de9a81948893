"""Places counted along an axis: 0, 1, ... as a tensor that broadcasts, static or counted while running."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_ops_standard.shapes import Size, sizes_of


def places(graph: Any, size: Size, axes_after: int = 0) -> Any:
    """0 to size - 1 as int64, of shape [size, 1, ...] with `axes_after` ones."""
    column = [-1] + [1] * axes_after
    if isinstance(size, int):
        return graph.constant(np.arange(size, dtype=np.int64).reshape(column))
    counted = graph.range(0, graph.reshape(size, []), 1)
    return graph.reshape(counted, column) if axes_after else counted


def places_along(graph: Any, x: Any, axis: int) -> Any:
    """The places along an axis of x, shaped to broadcast with x."""
    return places(graph, sizes_of(graph, x)[axis], len(x.type.shape) - 1 - axis)
