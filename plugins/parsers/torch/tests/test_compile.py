"""torch.compile(backend="mm"): equal to eager, shared parameters, and PyTorch for what we cannot run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from mm_parser_torch.backend import CompileReport, reports
from torch import nn

from mm_core.errors import InputError


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(module: Any, **options: Any) -> Any:
    return torch.compile(module, backend="mm", **options)


def latest() -> CompileReport:
    return reports()[-1]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def test_a_model_runs_whole_and_the_second_call_builds_nothing() -> None:
    module = Net().eval()
    fast = compiled(module)
    with torch.no_grad():
        for _ in range(3):
            x = torch.randn(2, 3, 8, 8)
            torch.testing.assert_close(fast(x), module(x), rtol=1e-5, atol=1e-5)
    report = latest()
    assert (report.parts, report.left, report.builds) == (1, [], 1)


def test_open_sizes_are_one_graph() -> None:
    module = Net().eval()
    fast = compiled(module, dynamic=True)
    before = len(reports())
    with torch.no_grad():
        for batch in (2, 3, 5):
            x = torch.randn(batch, 3, 8, 8)
            torch.testing.assert_close(fast(x), module(x), rtol=1e-5, atol=1e-5)
    assert latest().builds == 1
    assert sum(report.builds for report in reports()[before:]) == 1


class Mixed(nn.Module):
    """A singular value decomposition between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        y = torch.relu(self.first(x))
        values = torch.linalg.svdvals(y)
        x.add_(1)
        return {"z": self.second(y) + values.sum(), "u": (values, x.shape[0])}


def test_what_cannot_run_stays_in_eager_with_a_reason() -> None:
    module = Mixed().eval()
    fast = compiled(module)
    x = torch.randn(8, 8)
    mine, theirs = x.clone(), x.clone()
    with torch.no_grad():
        result, expected = fast(mine), module(theirs)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mine, theirs)
    report = latest()
    assert report.parts == 2
    assert [(left.operator, "no importer" in left.reason) for left in report.left] == [
        ("aten._linalg_svd.default", True)
    ]
    assert "_linalg_svd" in str(report)


def test_changed_parameters_are_seen() -> None:
    module = nn.Linear(4, 3).eval()
    fast = compiled(module)
    x = torch.randn(2, 4)
    with torch.no_grad():
        fast(x)
        module.weight.mul_(2)
        torch.testing.assert_close(fast(x), module(x), rtol=1e-5, atol=1e-5)
    assert latest().builds == 2


def test_gradients_are_pytorchs() -> None:
    module = nn.Linear(4, 3)
    compiled(module)(torch.ones(2, 4)).sum().backward()
    assert module.weight.grad is not None
    assert "gradients" in latest().left[0].reason


def test_data_dependent_branches_and_numbers() -> None:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return x.cos() if x.sum() > 0 else x.sin()

    def shifted(x: torch.Tensor, n: int) -> Any:
        return x * n, x[n:]

    x = torch.randn(5, 4)
    with torch.no_grad():
        for sign in (1, -1):
            torch.testing.assert_close(compiled(branch)(sign * torch.ones(3)), branch(sign * torch.ones(3)))
        fast = compiled(shifted)
        for n in (1, 2, 3, 4):
            torch.testing.assert_close(fast(x, n), shifted(x, n))


def test_halves_and_inference_mode() -> None:
    module = nn.Linear(4, 4).to(torch.bfloat16)
    x = torch.randn(3, 4, dtype=torch.bfloat16)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(module)(x), module(x), rtol=1.6e-2, atol=1e-2)


def test_threads_share_a_compiled_model() -> None:
    module = nn.Linear(4, 4).eval()
    fast = compiled(module)
    x = torch.randn(2, 4)
    with torch.no_grad():
        expected = fast(x).numpy()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with torch.no_grad():
                for _ in range(50):
                    np.testing.assert_array_equal(fast(x).numpy(), expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert latest().builds == 1


def test_options_are_those_of_a_build() -> None:
    module = nn.Linear(4, 4).eval()
    x = torch.randn(2, 4)
    with torch.no_grad():
        torch.testing.assert_close(compiled(module, options={"backends": ["reference"]})(x), module(x))
        torch._dynamo.reset()
        with pytest.raises(Exception, match="options of the backend mm") as caught:
            compiled(module, options={"colour": 1})(x)
    assert isinstance(caught.value, InputError) or "InputError" in repr(caught.value)
