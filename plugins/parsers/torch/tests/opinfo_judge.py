"""The measure of core ATen: calls of each overload in each element type, equal to eager or named with a reason.

`python plugins/parsers/torch/tests/opinfo_judge.py 60` judges 60 calls at most of an overload in each type; names of
operators after the number narrow it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import opinfo_cases
import torch

from mm_core.errors import MMError

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

ROUNDED = "eager rounds every step to a half, the engine the result alone: it must be at least as near to float64's"
HALVES = {torch.float16: ROUNDED, torch.bfloat16: ROUNDED}
EXCEPTIONS: dict[str, dict[torch.dtype, str]] = {
    "aten._adaptive_avg_pool3d.default": HALVES,
    "aten._native_batch_norm_legit_no_training.default": HALVES,
    "aten.convolution.default": HALVES,
    "aten.grid_sampler_2d.default": HALVES,
    "aten.upsample_bilinear2d.vec": {torch.uint8: "eager weighs bytes with fixed-point numbers"},
}
"""By overload and element type: calls that may differ."""


@dataclass
class Verdict:
    """What became of the calls of an overload."""

    judged: int = 0
    excused: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def equal(self) -> int:
        return self.judged - len(self.excused) - len(self.failures)


def judge(overload: torch._ops.OpOverload, limit: int, dtypes: Sequence[torch.dtype]) -> Verdict:
    """Build, run and compare calls of an overload, `limit` at most in each element type."""
    verdict = Verdict()
    for case in opinfo_cases.cases(overload, limit, dtypes):
        verdict.judged += 1
        dtype = next((value.dtype for value in case.args if isinstance(value, torch.Tensor)), torch.float32)
        try:
            results = opinfo_cases.answer(case)
        except MMError as error:
            verdict.failures.append(f"{case}: {error}")
            continue
        try:
            opinfo_cases.compare(case, results)
        except AssertionError as error:
            reason = EXCEPTIONS.get(str(overload), {}).get(dtype)
            excused = reason is not None and (reason is not ROUNDED or opinfo_cases.is_nearer(case, results))
            (verdict.excused if excused else verdict.failures).append(f"{case}: {error}")
    return verdict


def main() -> None:
    """Print each overload's calls, what differs, and the share of calls that are equal."""
    limit, wanted = int(sys.argv[1]), sys.argv[2:]
    total, started = Verdict(), perf_counter()
    for overload in opinfo_cases.core_overloads():
        if wanted and str(overload).split(".")[1] not in wanted:
            continue
        found = judge(overload, limit, opinfo_cases.DTYPES)
        print(f"{overload}: {found.equal} of {found.judged} equal, {len(found.excused)} excused", flush=True)
        for kind, calls in (("excused", found.excused), ("FAILED", found.failures)):
            for call in calls:
                print(f"    {kind} {' '.join(call.split())[:300]}")
        total.judged += found.judged
        total.excused += found.excused
        total.failures += found.failures
    print(
        f"{total.equal} of {total.judged} calls equal ({total.equal / max(total.judged, 1):.2%}), "
        f"{len(total.excused)} excused, {len(total.failures)} failed, {perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
