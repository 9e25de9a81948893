"""torch.compile(backend="mm"): what stays in PyTorch, and that the report says why."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from compiling import assert_equal, check, compiled, fresh, kinds, latest
from mm_parser_torch import part as parts
from torch import nn

from mm_core.errors import CompileError

__all__ = ["fresh"]


# --- operators --------------------------------------------------------------------------------------------------------


def drawn(x: torch.Tensor) -> Any:
    return x + torch.rand(4), F.dropout(x, 0.5), torch.randn_like(x), torch.randint(0, 9, (3,)), torch.bernoulli(x)


def test_random_numbers_are_pytorchs() -> None:
    report = check(drawn, torch.rand(4))
    assert {left.reason for left in report.left} == {"it draws from PyTorch's random numbers"}
    assert report.engine_nodes >= 1


@pytest.mark.parametrize("training", [True, False])
def test_dropout_follows_the_mode(training: bool) -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.3, batch_first=True).train(training)
    report = check(layer, torch.randn(2, 3, 16))
    assert bool(report.left) == training
    if training:
        assert "aten.scaled_dot_product_attention.default" in kinds(report)


@pytest.mark.parametrize("training", [True, False])
def test_recurrent_layers_drop_out_in_training_alone(training: bool) -> None:
    with torch._dynamo.config.patch(allow_rnn=True):
        layer = nn.LSTM(4, 4, 2, dropout=0.5, batch_first=True).train(training)
        assert bool(check(layer, torch.randn(2, 3, 4)).left) == training


@torch.library.custom_op("mm_compile_test::half_wave", mutates_args=())
def half_wave(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0)


@half_wave.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("mm_compile_test::increment", mutates_args=("x",))
def increment(x: torch.Tensor) -> None:
    x.add_(1)


def with_own_operators(x: torch.Tensor) -> torch.Tensor:
    y = half_wave(x * 2) * 3
    increment(y)
    return y + 1


def test_operators_of_libraries_run_in_eager() -> None:
    report = check(with_own_operators, torch.randn(4))
    assert kinds(report) == {"mm_compile_test.half_wave.default", "auto_functionalized_v2"}
    assert report.parts == 3


def test_complex_numbers_stay_in_eager() -> None:
    report = check(lambda x: torch.fft.rfft(x).abs() * 2, torch.randn(16))
    assert (report.parts, {left.reason for left in report.left}) == (
        1, {"complex tensors do not cross the border of the engine"},
    )  # fmt: skip


def branches(x: torch.Tensor) -> Any:
    values = torch.linalg.svdvals(x)
    return torch.cond(values.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,)), values


def test_control_flow_beside_eager_operators() -> None:
    report = check(branches, torch.randn(4, 4))
    assert (report.parts, kinds(report)) == (1, {"aten._linalg_svd.default"})


# --- gradients --------------------------------------------------------------------------------------------------------


def test_training_is_pytorchs() -> None:
    mine = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    theirs = copy.deepcopy(mine)
    fast, x = compiled(mine), torch.randn(5, 4)
    for _ in range(3):
        with torch.enable_grad():
            for run, module in ((fast, mine), (theirs, theirs)):
                module.zero_grad()
                run(x).pow(2).sum().backward()
                with torch.no_grad():
                    for parameter in module.parameters():
                        parameter -= 0.1 * parameter.grad
        assert_equal(list(mine.parameters()), list(theirs.parameters()))
        assert_equal(fast(x), theirs(x))  # without gradients: in the engine, with today's parameters
    assert latest().parts == 1


def test_gradients_that_are_wanted_inside_the_graph() -> None:
    weight = torch.randn(4, requires_grad=True)

    def product(x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            return (weight * x).sum()

    result = compiled(product)(torch.ones(4))
    assert result.requires_grad
    result.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1, 1, 1, 1]
    assert "gradients" in latest().left[0].reason


def test_gradients_that_the_graph_computes_run_in_the_engine() -> None:
    report = check(lambda x: torch.func.grad(lambda t: (t.sin() * t).sum())(x), torch.ones(3))
    assert report.parts == 1
    assert report.left == []


def test_one_model_with_and_without_gradients() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    fast = compiled(layer)
    for wanted in (True, False, True, False):
        with torch.set_grad_enabled(wanted):
            assert fast(x).requires_grad == wanted
    layer.requires_grad_(False)
    with torch.enable_grad():
        assert not fast(x).requires_grad
        argument = torch.randn(2, 4, requires_grad=True)
        fast(argument).sum().backward()
    torch.testing.assert_close(argument.grad, layer.weight.sum(0).expand(2, 4))


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [CompileError("no room"), KeyError("a mistake")])
def test_what_cannot_be_built_runs_in_eager(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(parts.Builder, "build", fail)
    report = check(nn.Linear(4, 4).eval(), torch.randn(2, 4), calls=3)
    assert (report.parts, report.engine_nodes, report.builds) == (0, 0, 0)
    assert [str(error) in left.reason for left in report.left] == [True]


def test_an_importer_that_fails_leaves_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    from mm_parser_torch.importers import TABLE

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a mistake")

    find = TABLE.find
    monkeypatch.setattr(TABLE, "find", lambda target: fail if target is torch.ops.aten.tanh.default else find(target))
    report = check(lambda x: torch.tanh(x * 2) + 1, torch.randn(3))
    assert report.parts == 2
    assert [left.reason for left in report.left] == ["its importer failed: ZeroDivisionError: a mistake"]


def test_a_refused_request_is_pytorchs_to_run_or_refuse() -> None:
    table = torch.randn(5, 3)
    fast = compiled(lambda i: F.embedding(i, table) + 1)
    assert_equal(fast(torch.tensor([1, 2])), table[1:3] + 1)
    with pytest.raises(IndexError, match="index out of range"):
        fast(torch.tensor([1, 7]))
    assert_equal(fast(torch.tensor([0, 4])), table[[0, 4]] + 1)
    assert latest().builds == 1


def test_options_of_other_backends() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    assert_equal(compiled(layer, mode="max-autotune")(x), layer(x))
    torch._dynamo.reset()
    unguarded = {"threads": 1, "guard_filter_fn": torch.compiler.skip_guard_on_all_nn_modules_unsafe}
    assert_equal(compiled(layer, options=unguarded, fullgraph=True)(x), layer(x))
