"""Every core ATen overload against eager, over PyTorch's own samples. What differs is named here with its reason."""

from __future__ import annotations

import os

import opinfo_cases
import pytest
import torch
from mm_parser_torch.decompositions import decompositions
from mm_parser_torch.importers import TABLE

from mm_core.errors import MMError

WHOLE = "MM_TORCH_SAMPLES" in os.environ
"""The whole measure: that many calls of each overload, in every element type. Else two calls in three types."""
SAMPLES = int(os.environ.get("MM_TORCH_SAMPLES", "2"))
DTYPES = opinfo_cases.DTYPES if WHOLE else (torch.float32, torch.bfloat16, torch.int64)

GRADIENTS = "serves gradients, which an inference engine never computes"
WITHOUT_CASES = {
    "aten._adaptive_avg_pool2d_backward.default": GRADIENTS,
    "aten.avg_pool2d_backward.default": GRADIENTS,
    "aten.convolution_backward.default": GRADIENTS,
    "aten.embedding_dense_backward.default": GRADIENTS,
    "aten.native_group_norm_backward.default": GRADIENTS,
    "aten.native_layer_norm_backward.default": GRADIENTS,
    "aten.atan2.out": "writes into an argument: functional programs have atan2.default",
}
"""Overloads that no program for inference calls."""

INTEGERS = "the engine's operator is for floats"
HALF = "PyTorch computes in float16 throughout, the engine in float32"
EXCEPTIONS: dict[str, dict[torch.dtype, str]] = {
    "aten.avg_pool1d.default": {torch.int64: INTEGERS},
    "aten.avg_pool2d.default": {torch.int64: INTEGERS},
    "aten.avg_pool3d.default": {torch.int64: INTEGERS},
    "aten.max_pool2d_with_indices.default": {torch.int64: INTEGERS, torch.int32: INTEGERS},
    "aten.max_pool3d_with_indices.default": {torch.int64: INTEGERS, torch.int32: INTEGERS},
    "aten.convolution.default": {torch.int64: INTEGERS, torch.float16: HALF, torch.bfloat16: HALF},
    "aten.col2im.default": {torch.bool: INTEGERS},
    "aten.grid_sampler_2d.default": {torch.float16: HALF, torch.bfloat16: HALF},
    "aten._adaptive_avg_pool3d.default": {torch.float16: HALF, torch.bfloat16: HALF},
    "aten.div.Tensor_mode": {torch.float16: HALF, torch.bfloat16: HALF},
    "aten._native_batch_norm_legit_no_training.default": {torch.float16: HALF, torch.bfloat16: HALF},
    "aten.upsample_bilinear2d.vec": {torch.uint8: "PyTorch weighs bytes with fixed-point numbers"},
}
"""By overload and element type: calls that may be refused or differ."""

OVERLOADS = [str(overload) for overload in opinfo_cases.core_overloads()]


def dtype_of(case: opinfo_cases.Case) -> torch.dtype | None:
    return next((value.dtype for value in case.args if isinstance(value, torch.Tensor)), None)


@pytest.mark.parametrize("name", OVERLOADS)
def test_overload_equals_eager(name: str) -> None:
    overload = opinfo_cases.core_overloads()[OVERLOADS.index(name)]
    judged, excused, failures = 0, 0, []
    for case in opinfo_cases.cases(overload, SAMPLES, DTYPES):
        judged += 1
        try:
            opinfo_cases.compare(case, opinfo_cases.answer(case))
        except (AssertionError, MMError) as error:
            if dtype_of(case) in EXCEPTIONS.get(name, {}):
                excused += 1
            else:
                failures.append(f"{case}: {error}")
    assert not failures, "\n".join(failures)
    assert (judged == 0) == (name in WITHOUT_CASES)
    assert excused < judged or not judged
    if WHOLE:
        assert excused <= 0.5 * judged, f"{excused} of {judged} are exceptions"


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
