"""Comparisons: two operands of one element type, broadcast, to bool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mm_core.ops import BOOL, NUMERIC, STRINGS, OpDef, Result, Tier, Trait
from mm_core.types.dtypes import bool_
from mm_ops_standard.binary import Binary
from mm_ops_standard.elementwise import define
from mm_ops_standard.known import is_equal, is_less


class Comparison(Binary):
    """a compared with b, element by element. NaN compares unequal to everything."""

    results = (Result("y", bool_),)


class ComparisonComposite(Comparison):
    """A comparison that is another one turned round: `expand(graph, a, b)`."""

    tier = Tier.COMPOSITE
    expand: ClassVar[Callable[..., Any]]

    def decompose(self, graph: Any, a: Any, b: Any) -> Any:
        return self.expand(graph, a, b)


def _not(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


_EITHER_WAY = Comparison.traits | {Trait.COMMUTATIVE}
_EQUATABLE = NUMERIC | BOOL | STRINGS


def _equal(a: Any, b: Any) -> Any:
    return np.equal(a, b).astype(np.bool_)


OPS: tuple[type[OpDef], ...] = (
    define(Comparison, "equal", "a == b.", _equal, _EQUATABLE, known_function=is_equal, traits=_EITHER_WAY),
    define(Comparison, "less", "a < b.", np.less, NUMERIC, known_function=is_less),
    define(
        Comparison, "less_or_equal", "a <= b.", np.less_equal, NUMERIC,
        known_function=lambda a, b: _not(is_less(b, a)),
    ),
    define(
        ComparisonComposite, "greater", "a > b.", np.greater, NUMERIC,
        known_function=lambda a, b: is_less(b, a), expand=lambda g, a, b: g.less(b, a),
    ),
    define(
        ComparisonComposite, "greater_or_equal", "a >= b.", np.greater_equal, NUMERIC,
        known_function=lambda a, b: _not(is_less(a, b)), expand=lambda g, a, b: g.less_or_equal(b, a),
    ),
    define(
        ComparisonComposite, "not_equal", "a != b.", lambda a, b: ~_equal(a, b), _EQUATABLE,
        known_function=lambda a, b: _not(is_equal(a, b)), expand=lambda g, a, b: g.logical_not(g.equal(a, b)),
        traits=_EITHER_WAY,
    ),
)  # fmt: skip
