"""Optimizers against torch, and against ONNX's formulas where torch has other ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mm_core.testing.opcheck import opcheck

STEPS = 4


def gradients() -> list[np.ndarray]:
    return [np.random.default_rng(step).standard_normal((2, 3)) for step in range(STEPS)]


def trained(reference: Callable[..., Any], op: str, statistics: int, first: int, **attributes: Any) -> np.ndarray:
    """x after some steps from ones, the statistics from zeros."""
    x, state = np.ones((2, 3)), [np.zeros((2, 3))] * statistics
    for step, gradient in enumerate(gradients(), start=first):
        x, *state = reference(op, np.array(0.1), np.array(step), x, gradient, *state, **attributes)
    return x


def torch_trained(optimizer: type[torch.optim.Optimizer], **options: Any) -> np.ndarray:
    x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    stepper = optimizer([x], lr=0.1, **options)
    for gradient in gradients():
        x.grad = torch.from_numpy(gradient)
        stepper.step()
    return x.detach().numpy()


def test_adagrad(reference: Callable[..., Any]) -> None:
    got = trained(reference, "mm.adagrad", 1, 0, decay=0.05, epsilon=1e-8, weight_decay=0.1)
    wanted = torch_trained(torch.optim.Adagrad, lr_decay=0.05, eps=1e-8, weight_decay=0.1)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_adam(reference: Callable[..., Any]) -> None:
    got = trained(reference, "mm.adam", 2, 1, beta=0.99, weight_decay=0.1)
    wanted = torch_trained(torch.optim.Adam, betas=(0.9, 0.99), eps=0.0, weight_decay=0.1)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    one = np.ones(1)
    shrunk, _, _ = reference("mm.adam", np.array(0.0), np.array(0), one, one, one, one, shrink=0.25)
    np.testing.assert_allclose(shrunk, [0.75])


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(reference: Callable[..., Any], nesterov: bool) -> None:
    got = trained(reference, "mm.momentum", 1, 0, alpha=0.8, beta=1.0, nesterov=nesterov, weight_decay=0.1)
    wanted = torch_trained(torch.optim.SGD, momentum=0.8, nesterov=nesterov, weight_decay=0.1)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_the_first_gradient_counts_in_full(reference: Callable[..., Any]) -> None:
    operands = [np.ones(2), np.ones(2), np.zeros(2)]
    _, first = reference("mm.momentum", np.array(1.0), np.array(0), *operands, alpha=0.9, beta=0.3)
    _, later = reference("mm.momentum", np.array(1.0), np.array(1), *operands, alpha=0.9, beta=0.3)
    np.testing.assert_allclose([first, later], [[1, 1], [0.3, 0.3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize(
    ("op", "statistics", "attributes"),
    [
        ("mm.adagrad", 1, {"decay": 0.1, "epsilon": 1e-6, "weight_decay": 0.01}),
        ("mm.adam", 2, {"epsilon": 1e-6, "weight_decay": 0.01, "shrink": 0.1}),
        ("mm.momentum", 1, {"alpha": 0.9, "beta": 0.5}),
        ("mm.momentum", 1, {"alpha": 0.9, "beta": 0.5, "nesterov": True, "weight_decay": 0.01}),
    ],
)
def test_decompositions(dtype: Any, step: int, op: str, statistics: int, attributes: dict[str, Any]) -> None:
    tensors = [np.random.default_rng(place).random((2, 3)).astype(dtype) for place in range(2 + statistics)]
    opcheck(op, [np.array(0.1, np.float32), np.array(step), *tensors], attributes)
