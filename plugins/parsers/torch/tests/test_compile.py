"""torch.compile(backend="mm"): whole models in our engine, and reports of what is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compiling import assert_equal, check, compiled, fresh, kinds, latest
from mm_parser_torch.backend import reports
from torch import nn

from mm_core.errors import InputError

__all__ = ["fresh"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def test_a_model_runs_whole() -> None:
    report = check(Net().eval(), torch.randn(2, 3, 8, 8), calls=3)
    assert (report.parts, report.left, report.builds) == (1, [], 1)
    assert str(report) == f"{report.engine_nodes} nodes in 1 parts run in mm, 0 stay in eager"


def test_modes_of_a_module_are_graphs_of_their_own() -> None:
    module, theirs = Net(), Net()
    theirs.load_state_dict(module.state_dict())
    fast = compiled(module)
    for training in (True, False, True, False):
        module.train(training)
        theirs.train(training)
        for _ in range(2):
            x = torch.randn(2, 3, 8, 8)
            assert_equal(fast(x), theirs(x))
        assert_equal(list(module.buffers()), list(theirs.buffers()))


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
    report = check(Mixed().eval(), torch.randn(8, 8))
    assert report.parts == 2
    assert kinds(report) == {"aten._linalg_svd.default"}
    assert "no importer" in report.left[0].reason
    assert "_linalg_svd" in str(report)


def test_graphs_that_python_breaks() -> None:
    def branch(x: torch.Tensor) -> torch.Tensor:
        return x.cos() if x.sum() > 0 else x.sin()

    for sign in (1, -1):
        before = latest() if reports() else None
        assert check(branch, sign * torch.ones(3)) is not before


def test_options_are_those_of_a_build() -> None:
    module = nn.Linear(4, 4).eval()
    x = torch.randn(2, 4)
    assert_equal(compiled(module, options={"backends": ["reference"], "opt_level": 0})(x), module(x))
    assert latest().builds == 1
    torch._dynamo.reset()
    with pytest.raises(Exception, match="options of the backend mm") as caught:
        compiled(module, options={"colour": 1})(x)
    assert isinstance(caught.value, InputError) or "InputError" in repr(caught.value)
