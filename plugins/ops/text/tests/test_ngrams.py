"""`text.ngram_counts`: its decomposition says what its reference says, and both what a naive count says."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import opcheck

POOL = np.array([2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 3, 3, 3, 1, 2, 3], np.int64)
STARTS = (0, 4, 10)
COLUMNS = np.array([0, 1, 2, 3, 4, 9, 6, 7, 4], np.int64)
"""Four words, three pairs, two triples; two n-grams share a column, and column 5 and 8 have none."""


def naive(x: np.ndarray, least: int, most: int, skips: int, size: int) -> np.ndarray:
    ends = (*STARTS[1:], len(POOL))
    grams = [
        tuple(POOL[place : place + length].tolist())
        for length, (begin, end) in enumerate(zip(STARTS, ends), start=1)
        for place in range(begin, end, length)
    ]
    y = np.zeros((*x.shape[:-1], size), np.float32)
    for row, counts in zip(np.atleast_2d(x).tolist(), np.atleast_2d(y)):
        for gram, column in zip(grams, COLUMNS):
            for step, begin in product(range(1, skips + 2 if len(gram) > 1 else 2), range(len(row))):
                places = [begin + index * step for index in range(len(gram))]
                if least <= len(gram) <= most and places[-1] < len(row):
                    counts[column] += all(row[place] == word for place, word in zip(places, gram))
    return y


@pytest.mark.parametrize("shape", [(12,), (3, 12), (2, 1), (0, 4), (2, 0)])
@pytest.mark.parametrize(("least", "most", "skips"), [(1, 3, 0), (1, 2, 5), (2, 3, 1), (3, 3, 2)])
def test_counts(shape: tuple[int, ...], least: int, most: int, skips: int) -> None:
    x = np.random.default_rng(7).integers(1, 9, shape, np.int64)
    attributes: dict[str, Any] = {"starts": STARTS, "least": least, "most": most, "skips": skips, "size": 10}
    got = lookup("text.ngram_counts").reference(x, POOL, COLUMNS, **attributes)
    np.testing.assert_array_equal(got, naive(x, least, most, skips, 10))
    opcheck("text.ngram_counts", [x.astype(np.int32), POOL, COLUMNS], attributes, symbolic=False)


def test_rows_and_words_may_be_symbolic_and_run_natively() -> None:
    network = mm.Network("counts")
    x = network.add_input("x", mm.int64, ("N", "C"))
    attributes = {"starts": STARTS, "least": 1, "most": 3, "skips": 1, "size": 10}
    network.mark_output(network.op("text.ngram_counts", x, POOL, COLUMNS, **attributes), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    context = model.create_engine().create_context()
    for shape in ((4, 20), (1, 3), (2, 1)):
        words = np.random.default_rng(1).integers(1, 9, shape, np.int64)
        np.testing.assert_array_equal(context.run({"x": words})["y"], naive(words, 1, 3, 1, 10))


@pytest.mark.parametrize(
    "changes",
    [
        {"starts": (0, 5, 10)},
        {"starts": (0, 10, 4)},
        {"least": 0},
        {"least": 3, "most": 2},
        {"skips": -1},
        {"skips": 10**9},
    ],
)
def test_pools_and_lengths_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    network = mm.Network("wrong")
    x = network.add_input("x", mm.int64, (5,))
    attributes = {"starts": STARTS, "least": 1, "most": 3, "skips": 0, "size": 10, **changes}
    with pytest.raises(mm.UnsupportedOpError, match=r"n-grams|make no sense"):
        network.op("text.ngram_counts", x, POOL, COLUMNS, **attributes)
