"""Running a function in eager and through torch.compile(backend="mm"), and comparing everything that can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from mm_parser_torch.backend import CompileReport, reports
from torch.utils._pytree import tree_leaves


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No graph of another test, no gradients, the same random numbers."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def compiled(module: Any, **options: Any) -> Any:
    return torch.compile(module, backend="mm", **options)


def latest() -> CompileReport:
    return reports()[-1]


def assert_equal(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Equal structure, numbers, types and strides."""
    mine, theirs = tree_leaves(found), tree_leaves(expected)
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs):
        if isinstance(other, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
            assert one.stride() == other.stride() or not other.numel()
            assert one.requires_grad == other.requires_grad
        else:
            assert one == other


def check(function: Any, *arguments: Any, tolerance: float = 1e-5, calls: int = 2, **options: Any) -> CompileReport:
    """Results, changed arguments and buffers as in eager, at each call; gives the report of the last graph."""
    theirs = deepcopy(function)
    mine = compiled(function, **options)
    ours_given, theirs_given = deepcopy(arguments), deepcopy(arguments)
    for _ in range(calls):
        torch.manual_seed(1)
        found = mine(*ours_given)
        torch.manual_seed(1)
        assert_equal(found, theirs(*theirs_given), tolerance)
        assert_equal(ours_given, theirs_given, tolerance)
        if isinstance(function, torch.nn.Module):
            assert_equal(list(function.buffers()), list(theirs.buffers()), tolerance)
    return latest()


def kinds(report: CompileReport) -> set[str]:
    """The operators that stay in eager."""
    return {left.operator for left in report.left}
