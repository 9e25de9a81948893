"""Every core ATen overload against eager, over PyTorch's own samples. opinfo_judge.py names what differs."""

from __future__ import annotations

import os

import opinfo_cases
import pytest
import torch
from mm_parser_torch.decompositions import decompositions
from mm_parser_torch.importers import TABLE
from opinfo_judge import WITHOUT_CASES, judge

WHOLE = "MM_TORCH_SAMPLES" in os.environ
"""The whole measure: that many calls of each overload, in every element type. Else two calls in three types."""
SAMPLES = int(os.environ.get("MM_TORCH_SAMPLES", "2"))
DTYPES = opinfo_cases.DTYPES if WHOLE else (torch.float32, torch.bfloat16, torch.int64)
OVERLOADS = [str(overload) for overload in opinfo_cases.core_overloads()]


@pytest.mark.parametrize("name", OVERLOADS)
def test_overload_equals_eager(name: str) -> None:
    verdict = judge(opinfo_cases.core_overloads()[OVERLOADS.index(name)], SAMPLES, DTYPES)
    assert not verdict.failures, "\n".join(verdict.failures)
    assert (verdict.judged == 0) == (name in WITHOUT_CASES)
    assert verdict.equal or not verdict.judged
    if WHOLE:
        assert len(verdict.excused) <= 0.2 * verdict.judged


def test_the_list_of_core_overloads_is_whole() -> None:
    """By the tag alone, with no list of names: what PyTorch's documentation counts."""
    assert len(OVERLOADS) == 193
    assert len({name.split(".")[1] for name in OVERLOADS}) == 164
    assert WITHOUT_CASES.keys() <= set(OVERLOADS)


def test_every_core_overload_is_imported_or_taken_apart() -> None:
    rules = decompositions()
    missing = [
        str(overload) for overload in opinfo_cases.core_overloads()
        if TABLE.find(overload) is None and overload not in rules and str(overload) not in opinfo_cases.COMPLEX_ONLY
    ]  # fmt: skip
    assert set(missing) <= set(WITHOUT_CASES)


def test_random_numbers_have_the_distribution() -> None:
    """What cannot be equal: uniform, normal and permutations, by their moments."""
    core = {str(overload): overload for overload in opinfo_cases.core_overloads()}
    for name, mean, deviation in (("aten.rand.default", 0.5, 12**-0.5), ("aten.randn.default", 0.0, 1.0)):
        (found,) = opinfo_cases.answer(opinfo_cases.Case(core[name], ([100000],), {}, torch.empty(100000)))
        assert abs(float(found.mean()) - mean) < 0.02
        assert abs(float(found.std()) - deviation) < 0.02
    case = opinfo_cases.Case(core["aten.randperm.default"], (50,), {}, torch.arange(50))
    first, second = (opinfo_cases.answer(case)[0] for _ in range(2))
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)
