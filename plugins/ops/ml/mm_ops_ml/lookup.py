"""Numbers looked up in a sorted list."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ops import INTEGERS, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array

FLOATS = frozenset({BY_NAME["float32"], BY_NAME["float64"]})


class Find(OpDef):
    """The place of each element of x in `keys`, which are ascending and distinct; -1 where it is not in them.

    NaN, which may be the last key, is found by NaN. The decomposition is a binary search: one step for each doubling.
    """

    name = "ml.find"
    operands = (Operand("x"), Operand("keys"))
    results = (Result("y", BY_NAME["int64"]),)
    dtypes = {"T": INTEGERS | FLOATS}

    def infer(self, types: Any, values: Any) -> Any:
        if len(types[1].shape) != 1 or not isinstance(types[1].shape[0], int):
            raise UnsupportedOpError(f"{self.name}: keys must be a list of fixed length, they are {types[1]}")
        return types[0].shape

    def reference(self, x: Array, keys: Array) -> Array:
        if not keys.size:
            return np.full(x.shape, -1, np.int64)
        places = np.minimum(np.searchsorted(keys, x), keys.size - 1)
        found = keys[places] == x
        if keys.dtype.kind == "f":
            found |= np.isnan(keys[places]) & np.isnan(x)
        return np.where(found, places, -1)

    def decompose(self, graph: Any, x: Any, keys: Any) -> Any:
        count = keys.type.shape[0]
        if not count:
            return graph.expand(graph.constant(-1, "int64"), graph.shape(x))
        last = graph.slice(keys, [count - 1], [count], [0])
        rounds = count.bit_length()
        filled = graph.concat(keys, graph.expand(last, [2**rounds - 1 - count]), axis=0)
        below = graph.expand(graph.constant(0, "int64"), graph.shape(x))  # How many keys are known to be smaller.
        for step in (2**exponent for exponent in reversed(range(rounds))):
            smaller = graph.less(graph.gather(filled, graph.add(below, step - 1)), x)
            below = graph.add(below, graph.mul(graph.cast(smaller, to="int64"), step))
        place = graph.minimum(below, count - 1)
        place = graph.select(graph.equal(graph.gather(keys, place), x), place, -1)
        if x.type.dtype.is_float:
            both = graph.logical_and(graph.is_nan(x), graph.is_nan(last))
            place = graph.select(both, count - 1, place)
        return place if x.type.shape else graph.reshape(place, [])


OPS: tuple[type[OpDef], ...] = (Find,)
