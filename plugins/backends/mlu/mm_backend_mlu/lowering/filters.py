"""Weights as the tensor unit reads them, reordered when a model is built: what `__bang_reshape_filter` does.

A filter of n rows of h x w x c elements lies in WRAM by lanes: row r belongs to lane r % 64, and a lane holds its rows
one behind the other. That order is an assumption, see docs/mlu-emulator.md. Blocks and chunks follow each other as
kernels/contraction.h walks them, so that each is one contiguous copy.
"""

from __future__ import annotations

import numpy as np

from mm_backend_mlu.lowering.layout import round_up
from mm_core.types import Array

LANES = 64


def reshape_filter(filters: Array) -> Array:
    """Filters [n, h, w, c] with n a multiple of 64, in the order of WRAM; flat."""
    rows = filters.reshape(filters.shape[0] // LANES, LANES, -1)
    return np.ascontiguousarray(rows.transpose(1, 0, 2)).reshape(-1)


def packed_filters(filters: Array, stored: int, tile_o: int, tile_c: int, by_tap: bool) -> Array:
    """Filters [group, o, kh, kw, c] as kernels/conv.h walks them; flat.

    For each group and block of `tile_o` of its `stored` lanes, rounded up to whole 64, the chunks: of `tile_c` channels
    with all taps, or `by_tap` one tap after the other. Lanes and channels that do not exist are zeros.
    """
    groups, o, kh, kw, c = filters.shape
    lanes, depth = round_up(stored, LANES), round_up(c, tile_c)
    padded = np.zeros((groups, lanes, kh, kw, depth), filters.dtype)
    padded[:, :o, :, :, :c] = filters
    pieces = []
    for group in padded:
        for first in range(0, lanes, tile_o):
            block = group[first : first + tile_o]
            taps = [block[:, y : y + 1, x : x + 1] for y in range(kh) for x in range(kw)] if by_tap else [block]
            for tap in taps:
                pieces += [reshape_filter(tap[..., begin : begin + tile_c]) for begin in range(0, depth, tile_c)]
    return np.concatenate(pieces)


def packed_matrices(matrices: Array, stored: int, tile_n: int, tile_k: int) -> Array:
    """Matrices [batch, n, k], the columns of products in rows, as kernels/matmul.h walks them; flat."""
    return packed_filters(matrices[:, :, None, None, :], stored, tile_n, tile_k, by_tap=False)
