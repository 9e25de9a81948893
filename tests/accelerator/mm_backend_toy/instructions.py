"""What the toy accelerator can do: twenty primitives on float32 (and booleans, where they select). The only table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *operands, shape: function(*operands)


def _axes(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, shape: tuple[int, ...], axes: list[int] | None, keepdims: bool) -> Any:
        return function(x, axis=None if axes is None else tuple(axes), keepdims=keepdims)

    return reduce


def _gauss(x: Any) -> Any:
    """erf by Abramowitz and Stegun 7.1.26, |error| < 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - series * np.exp(-x * x))


EXECUTE: dict[str, Callable[..., Any]] = {
    "mm.add": _plain(np.add),
    "mm.sub": _plain(np.subtract),
    "mm.mul": _plain(np.multiply),
    "mm.div": _plain(np.divide),
    "mm.maximum": _plain(np.maximum),
    "mm.minimum": _plain(np.minimum),
    "mm.neg": _plain(np.negative),
    "mm.abs": _plain(np.abs),
    "mm.exp": _plain(np.exp),
    "mm.log": _plain(np.log),
    "mm.sqrt": _plain(np.sqrt),
    "mm.tanh": _plain(np.tanh),
    "mm.erf": _plain(_gauss),
    "mm.less": _plain(np.less),
    "mm.select": _plain(np.where),
    "mm.matmul": _plain(np.matmul),
    "mm.transpose": lambda x, shape, permutation: np.transpose(x, permutation),
    "mm.reshape": lambda x, shape: x.reshape(shape),
    "mm.reduce_sum": _axes(np.sum),
    "mm.reduce_max": _axes(np.max),
}
OPERANDS_READ = {"mm.reshape": 1}
"""Operands that reach the device; those left out are known from shapes."""
ELEMENT_TYPES = ("f32", "i1")
