"""Random numbers as mm defines them, so that every backend gives the same ones for a seed.

The stream is the Mersenne Twister MT19937 as C++'s `std::mt19937` and numpy's `RandomState` start it from a 32-bit
seed, read as doubles of 53 bits. Without a seed it starts from the system's entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np

from mm_core.types.data import Array


def seed_word(seed: float | None) -> int | None:
    """The 32 bits that start a stream: a seed without its fraction, modulo 2**32. None and NaN are no seed."""
    return None if seed is None or isnan(seed) else int(seed) % 2**32


def uniform_stream(shape: Sequence[int], low: float, high: float, seed: float | None) -> Array:
    """Numbers low + (high - low) * u, u evenly spread over [0, 1), as float64."""
    stream = np.random.RandomState(seed_word(seed))
    return np.asarray(low + (high - low) * stream.random_sample(tuple(map(int, shape))))


def normal_stream(shape: Sequence[int], mean: float, scale: float, seed: float | None) -> Array:
    """Numbers mean + scale * g, g normally distributed by Marsaglia's polar method, as float64."""
    stream = np.random.RandomState(seed_word(seed))
    return np.asarray(mean + scale * stream.standard_normal(tuple(map(int, shape))))
