"""Cases of the harness: a model in the words of some framework, with inputs and the answers that are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mm_core.types import Array


@dataclass(frozen=True, slots=True)
class DataSet:
    """One request: values by name, in the model's order. Arrays, lists for sequences, None for absent optionals."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a result may be off: `absolute + relative * |expected|`. Integers, booleans and strings must be equal.

    `least_relative` is the least relative tolerance for an element type, by name: for types coarser than `relative`.
    """

    relative: float = 1e-3
    absolute: float = 1e-7
    least_relative: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One model. It travels to other processes: `source`, which a parser reads, is a path, bytes, or can be pickled.

    `tensors` names the inputs that the model declares as tensors, not as optionals or sequences. `family` is the
    heading under which tables count the case.
    """

    name: str
    source: Any
    data_sets: tuple[DataSet, ...]
    tolerance: Tolerance = Tolerance()
    tensors: tuple[str, ...] = ()
    family: str = ""

    def sized_inputs(self) -> dict[str, Array]:
        """The tensors with dimensions among the inputs, as the first request has them: these can be made symbolic."""
        values = self.data_sets[0].inputs
        return {name: values[name] for name in self.tensors if np.ndim(values[name])}
