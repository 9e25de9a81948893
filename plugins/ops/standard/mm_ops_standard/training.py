"""Optimizers: one step of training for one tensor (ONNX Adagrad, Adam, Momentum, which take several at once).

`rate` is the learning rate and `step` the number of updates made so far, both scalars; `gradient` is that of x, to
which `weight_decay` * x is added first. Results: the new x, then the new statistics. Each is written once over the
builder's interface; references run it on numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import Attribute, KnownValues, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array
from mm_ops_standard.checks import require
from mm_ops_standard.eager import Eager, element_type

_REAL = frozenset({BY_NAME["float32"], BY_NAME["float64"]})
_INT64 = frozenset({BY_NAME["int64"]})
_EPSILON, _WEIGHT_DECAY = Attribute("epsilon", float, 0.0), Attribute("weight_decay", float, 0.0)


class _Optimizer(OpDef):
    """Operands are rate, step, then tensors of one shape; `update` gives the new ones."""

    dtypes = {"T": _REAL, "R": _REAL}

    def infer(self, types: Any, values: KnownValues, **attributes: Any) -> Any:
        rate, step, x = (type_.shape for type_ in types[:3])
        require(rate == step == (), f"{self.name}: rate and step must be scalars, they are {types[0]} and {types[1]}")
        for other in types[3:]:
            require(len(other.shape) == len(x), f"{self.name}: {other} has not the shape of x, {types[2]}")
        return [x] * len(self.results)

    def reference(self, *operands: Array, **attributes: Any) -> Any:
        return tuple(np.asarray(new) for new in self._step(Eager(), *operands, **attributes))

    def decompose(self, graph: Any, *operands: Any, **attributes: Any) -> Any:
        return self._step(graph, *operands, **attributes)

    def _step(
        self, g: Any, rate: Any, step: Any, x: Any, gradient: Any, *statistics: Any, weight_decay: float,
        **attributes: Any,
    ) -> Any:  # fmt: skip
        dtype = element_type(g, x)
        if weight_decay:
            gradient = g.add(gradient, g.mul(x, weight_decay))
        return self.update(g, g.cast(rate, to=dtype), g.cast(step, to=dtype), x, gradient, *statistics, **attributes)

    def update(self, g: Any, rate: Any, step: Any, x: Any, gradient: Any, *statistics: Any, **attributes: Any) -> Any:
        raise NotImplementedError


class Adagrad(_Optimizer):
    """x moves against its gradient divided by the root of the sum of their squares so far (Duchi, Hazan, Singer, 2011).

    The rate decays as 1 / (1 + step * `decay`).
    """

    name = "mm.adagrad"
    operands = (
        Operand("rate", "R"), Operand("step", _INT64), Operand("x"), Operand("gradient"), Operand("squares"),
    )  # fmt: skip
    results = (Result("x_new"), Result("squares_new"))
    attributes = (Attribute("decay", float, 0.0), _EPSILON, _WEIGHT_DECAY)

    def update(
        self, g: Any, rate: Any, step: Any, x: Any, gradient: Any, squares: Any, *, decay: float, epsilon: float
    ) -> Any:
        decayed = g.div(rate, g.add(g.mul(step, decay), 1.0))
        squares = g.add(squares, g.square(gradient))
        change = g.div(g.mul(gradient, decayed), g.add(g.sqrt(squares), epsilon))
        return g.sub(x, change), squares


class Adam(_Optimizer):
    """x moves against a running mean of its gradients over the root of one of their squares (Kingma, Ba, 2015).

    `alpha` and `beta` are the shares that the two means keep; what they lack after few steps is made up for. In the end
    x shrinks by the share `shrink`.
    """

    name = "mm.adam"
    operands = (
        Operand("rate", "R"), Operand("step", _INT64), Operand("x"), Operand("gradient"), Operand("means"),
        Operand("squares"),
    )  # fmt: skip
    results = (Result("x_new"), Result("means_new"), Result("squares_new"))
    attributes = (
        Attribute("alpha", float, 0.9), Attribute("beta", float, 0.999), _EPSILON, _WEIGHT_DECAY,
        Attribute("shrink", float, 0.0),
    )  # fmt: skip

    def update(
        self, g: Any, rate: Any, step: Any, x: Any, gradient: Any, means: Any, squares: Any, *, alpha: float,
        beta: float, epsilon: float, shrink: float,
    ) -> Any:  # fmt: skip
        means = g.add(g.mul(means, alpha), g.mul(gradient, 1 - alpha))
        squares = g.add(g.mul(squares, beta), g.mul(g.square(gradient), 1 - beta))
        dtype = element_type(g, x)
        means_hold, squares_hold = (g.sub(1.0, g.pow(np.array(share, dtype), step)) for share in (alpha, beta))
        made_up = g.div(g.mul(rate, g.sqrt(squares_hold)), means_hold)
        rate = g.select(g.less(0.0, step), made_up, rate)
        x = g.sub(x, g.div(g.mul(means, rate), g.add(g.sqrt(squares), epsilon)))
        return g.mul(x, 1 - shrink) if shrink else x, means, squares


class Momentum(_Optimizer):
    """x moves against a velocity: `alpha` of the one before plus `beta` of the gradient, all of it in the first step.

    With `nesterov` it moves by the gradient and `alpha` of the new velocity.
    """

    name = "mm.momentum"
    operands = (
        Operand("rate", "R"), Operand("step", _INT64), Operand("x"), Operand("gradient"), Operand("velocity"),
    )  # fmt: skip
    results = (Result("x_new"), Result("velocity_new"))
    attributes = (
        Attribute("alpha", float), Attribute("beta", float), Attribute("nesterov", bool, False), _WEIGHT_DECAY,
    )  # fmt: skip

    def update(
        self, g: Any, rate: Any, step: Any, x: Any, gradient: Any, velocity: Any, *, alpha: float, beta: float,
        nesterov: bool,
    ) -> Any:  # fmt: skip
        share = g.select(g.less(0.0, step), np.array(beta, element_type(g, x)), 1.0)
        velocity = g.add(g.mul(velocity, alpha), g.mul(gradient, share))
        change = g.add(gradient, g.mul(velocity, alpha)) if nesterov else velocity
        return g.sub(x, g.mul(change, rate)), velocity


OPS: tuple[type[OpDef], ...] = (Adagrad, Adam, Momentum)
