"""The emulator sees generated kernels: a fault planted in the text of each is found, and the text as it is runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mlu_networks import floats, integers, source_of
from mlu_running import Kernels, Violation

Case = tuple[Callable[..., Any], tuple[np.ndarray, ...], int]


def _chain(n: Any, x: Any, y: Any) -> Any:
    return n.tanh(n.add(n.mul(x, y), 1.0))


CASES: dict[str, Case] = {
    "elementwise": (_chain, (floats(95, 701), floats(95, 701)), 95 * 701),
    "broadcast": (lambda n, x, y: n.select(n.less(x, y), y, x), (floats(300, 70), floats(70)), 300 * 70),
    "copy": (lambda n, x: n.slice(x, [1], [60], [1], [2]), (floats(300, 70),), 300 * 30),
    "transpose": (lambda n, x: n.transpose(x, permutation=(1, 0)), (floats(300, 130),), 300 * 130),
    "rows": (lambda n, x: n.reduce_sum(x, axes=(1,)), (floats(300, 1000),), 300),
    "columns": (lambda n, x: n.reduce_max(x, axes=(0,)), (floats(1000, 300),), 300),
    "running_sum": (lambda n, x: n.cumsum(x, axis=1), (floats(130, 33),), 130 * 33),
    "integer_sum": (lambda n, x: n.reduce_sum(x, axes=(1,)), (integers(130, 33, dtype=np.int32),), 130),
    "gather_elements": (
        lambda n, x, places: n.gather_elements(x, places, axis=1),
        (floats(130, 33), integers(130, 7, low=0, high=33)), 130 * 7,
    ),
    "gather_nd": (lambda n, x, places: n.gather_nd(x, places), (floats(130, 33), integers(9, 1, low=0)), 9 * 33),
}  # fmt: skip
TASKS = 8


def _run(source: str, case: Case) -> np.ndarray:
    _, arrays, count = case
    result = np.zeros(count, np.float32)
    Kernels(source).run(*arrays, result, tasks=TASKS, uninitialised=[len(arrays)])
    return result


def _planted(source: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, source)
    assert count, pattern
    return changed


@pytest.mark.parametrize("name", CASES)
def test_as_it_is(name: str) -> None:
    build, arrays, _ = CASES[name]
    _run(source_of(build, *arrays), CASES[name])


FAULTS = {
    # What a round of the pipeline waits for.
    "missing wait": (r"\b__sync(_io)?\(\);", "", "has been waited for|uninitialised|initialised"),
    # All on-chip memory begins a few bytes further on.
    "misalignment": (r"\bmm_nram(?=[)}])", "mm_nram + 4", "align"),
    "overflow of NRAM": (r"__nram__ char mm_nram\[\d+\];", "__nram__ char mm_nram[1 << 20];", "NRAM"),
    # Every task does everything.
    "race": (r"mm::task_share\((\d+)\)|(?<=share = )task_share\(([^;]*)\)", r"mm::share_of(\1\2, 0, 1)", "task"),
}


ANY_ALIGNMENT = ("copy", "running_sum", "integer_sum", "gather_elements", "gather_nd")
"""Kernels of copies and scalar code alone, which may begin anywhere."""


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in CASES for fault in FAULTS if fault != "misalignment" or name not in ANY_ALIGNMENT],
)
def test_planted(name: str, fault: str) -> None:
    build, arrays, _ = CASES[name]
    pattern, replacement, message = FAULTS[fault]
    with pytest.raises(Violation, match=message):
        _run(_planted(source_of(build, *arrays), pattern, replacement), CASES[name])


OUT_OF_BOUNDS = {
    "elementwise": (r"mm::minimum\((\d+), \d+ - at.column\)", r"\1"),
    "broadcast": (r"mm::minimum\((\d+), \d+ - at.row\)", r"\1"),
    "copy": (r"mm::minimum\((\d+), \d+ - r0\)", r"\1 + 1"),
    "transpose": (r"at.columns = minimum\(shape.tile_c, [^;]*\);", "at.columns = shape.tile_c;"),
    "rows": (r"columns = minimum\(pitch, shape.length - first\)", "columns = pitch"),
    "columns": (r"rows = minimum\(shape.tile_length, shape.length - first\)", "rows = shape.tile_length + 1"),
    "running_sum": (r"return minimum\(shape.tile_length, shape.length - first\);", "return shape.tile_length + 9;"),
    "integer_sum": (r"return minimum\(shape.tile_length, shape.length - first\);", "return shape.tile_length + 9;"),
    "gather_elements": (r"index >= size \? size - 1 : index", "index + 99999"),
    "gather_nd": (r"index >= size \? size - 1 : index", "index + 99999"),
}


@pytest.mark.parametrize("name", CASES)
def test_out_of_bounds(name: str) -> None:
    build, arrays, _ = CASES[name]
    with pytest.raises(Violation):
        _run(_planted(source_of(build, *arrays), *OUT_OF_BOUNDS[name]), CASES[name])


def test_what_no_copy_wrote_is_not_computed_with() -> None:
    """The rest of the last vector is cleared; without that it holds what nobody wrote."""
    case = (_chain, (floats(33), floats(33)), 33)
    source = source_of(_chain, *case[1])
    _run(source, case)
    with pytest.raises(Violation, match="initialised"):
        _run(_planted(source, r"mm::clear_tail\([^)]*\);", ""), case)


def _scatter(source: str, kernel: int) -> None:
    """The second launch of a scatter: places, updates, and the copy that is updated."""
    places, updates, result = integers(40, 1, low=0, high=9), floats(40, 33), floats(9, 33)
    Kernels(source).run(places, updates, result, kernel=kernel, tasks=TASKS)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("if \\(taskId != 0\\) return;", "", "task"),
        (r"\b__sync(_io)?\(\);", "", "has been waited for"),
        (r"index >= size \? size - 1 : index", "index + 99999", "GDRAM"),
    ],
    ids=["race", "missing wait", "out of bounds"],
)
def test_scatter(pattern: str, replacement: str, message: str) -> None:
    def build(n: Any, x: Any, places: Any, updates: Any) -> Any:
        return n.scatter_nd(x, places, updates, reduction="add")

    source = source_of(build, floats(9, 33), integers(40, 1, low=0, high=9), floats(40, 33))
    kernel = int(re.findall(r"MM_MLU_KERNEL\((\d+), scatter_nd", source)[0])
    _scatter(source, kernel)
    with pytest.raises(Violation, match=message):
        _scatter(_planted(source, pattern, replacement), kernel)


def test_best_out_of_bounds() -> None:
    source = source_of(lambda n, x: list(n.topk(x, n.constant([3]))), floats(9, 33))
    results = np.zeros((9, 3), np.float32), np.zeros((9, 3), np.int64)
    Kernels(source).run(floats(9, 33), *results, written=(1, 2), tasks=TASKS)
    planted = _planted(source, "shape.outer \\* shape.inner\\)", "shape.outer * shape.inner + 1)")
    with pytest.raises(Violation, match="GDRAM"):
        Kernels(planted).run(floats(9, 33), *results, written=(1, 2), tasks=TASKS)
