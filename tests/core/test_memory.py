"""The memory planner: its invariants on arbitrary lifetimes, and plans whose best answer is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.errors import BuildError
from mm_core.memory import Interval, Plan, plan


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Interval]:
    """Up to 40 intervals, some of them in place of an earlier one."""
    intervals: list[Interval] = []
    for index in range(draw(st.integers(0, 40))):
        first = draw(st.integers(0, 30))
        alias = draw(st.none() | st.integers(0, index - 1)) if index and draw(st.booleans()) else None
        intervals.append(Interval(draw(st.integers(0, 3000)), first, first + draw(st.integers(0, 12)), alias))
    return intervals


def shared(intervals: list[Interval]) -> list[set[int]]:
    """For each interval, the indices that share its memory through aliases."""
    groups = [{index} for index in range(len(intervals))]
    for index, interval in enumerate(intervals):
        if interval.alias is not None:
            union = groups[index] | groups[interval.alias]
            for member in union:
                groups[member] = union
    return groups


def merged(intervals: list[Interval], alignment: int) -> list[Interval]:
    """One interval for each set that shares memory, its size rounded up."""
    unique = {min(group): group for group in shared(intervals)}
    return [
        Interval(
            max((intervals[i].size + alignment - 1) // alignment * alignment for i in group),
            min(intervals[i].first for i in group),
            max(intervals[i].last for i in group),
        )
        for group in unique.values()
    ]


def peak(intervals: list[Interval]) -> int:
    """The most bytes live at one step: no plan can be smaller."""
    steps = {interval.first for interval in intervals}
    return max((sum(i.size for i in intervals if i.first <= step <= i.last) for step in steps), default=0)


@given(lifetimes(), st.sampled_from([1, 16, 64, 4096]))
def test_plan_invariants(intervals: list[Interval], alignment: int) -> None:
    result = plan(intervals, alignment)
    groups = shared(intervals)
    assert len(result.offsets) == len(intervals)
    assert all(offset % alignment == 0 for offset in result.offsets)
    for i, (one, at) in enumerate(zip(intervals, result.offsets)):
        assert 0 <= at <= at + one.size <= result.size
        for j in range(i):
            other, beside = intervals[j], result.offsets[j]
            if j in groups[i]:
                assert at == beside or one.size == 0 or other.size == 0
            elif one.first <= other.last and other.first <= one.last and one.size and other.size:
                assert at + one.size <= beside or beside + other.size <= at
    buffers = merged(intervals, alignment)
    assert peak(buffers) <= result.size <= sum(buffer.size for buffer in buffers)
    assert plan(intervals, alignment) == result


def test_chain_needs_two_buffers() -> None:
    chain = [Interval(256, step, step + 1) for step in range(50)]
    assert plan(chain) == Plan(tuple(256 * (step % 2) for step in range(50)), 512)


def test_smallest_gap_is_taken() -> None:
    # From step 5 on two walls remain, at 640 and 1728; before them are free gaps of 640 and of 512 bytes.
    before = [Interval(640, 0, 4), Interval(576, 0, 9), Interval(512, 0, 4), Interval(448, 0, 9)]
    after = [Interval(384, 5, 9), Interval(320, 5, 9)]
    assert plan(before + after) == Plan((0, 640, 1216, 1728, 1216, 0), 2176)


def test_in_place_takes_no_memory() -> None:
    result = plan([Interval(640, 0, 1), Interval(640, 1, 5, alias=0), Interval(640, 2, 3)])
    assert result.offsets[0] == result.offsets[1] != result.offsets[2]
    assert result.size == 1280


def test_larger_alias_widens_the_shared_buffer() -> None:
    result = plan([Interval(64, 0, 1), Interval(1, 0, 1), Interval(640, 1, 2, alias=0)])
    assert result == Plan((0, 640, 0), 704)


def test_empty_and_zero_sizes() -> None:
    assert plan([]) == Plan((), 0)
    assert plan([Interval(0, 0, 3), Interval(10, 1, 1), Interval(0, 0, 0)]) == Plan((0, 0, 0), 64)


@pytest.mark.parametrize(
    "intervals",
    [
        [Interval(-1, 0, 1)],
        [Interval(4, 2, 1)],
        [Interval(4, 0, 1, alias=1)],
        [Interval(4, 0, 1, alias=-1)],
        [Interval(2**62, 0, 1), Interval(2**62, 0, 1)],
    ],
)
def test_bad_intervals_are_refused(intervals: list[Interval]) -> None:
    with pytest.raises(BuildError):
        plan(intervals)


@pytest.mark.parametrize("alignment", [0, -64, 48])
def test_bad_alignment_is_refused(alignment: int) -> None:
    with pytest.raises(BuildError, match="power of two"):
        plan([Interval(1, 0, 0)], alignment)


@pytest.mark.parametrize("longest", [8, 10_000])
def test_ten_thousand_intervals_take_less_than_a_second(longest: int) -> None:
    random = np.random.default_rng(0)
    first = random.integers(0, 10_000, 10_000)
    last = first + random.integers(0, longest, 10_000)
    size = random.integers(1, 1 << 20, 10_000)
    intervals = [Interval(int(s), int(f), int(e)) for s, f, e in zip(size, first, last)]
    times = []
    for _ in range(3):
        begin = time.process_time()
        plan(intervals)
        times.append(time.process_time() - begin)
    assert min(times) < 1.0
