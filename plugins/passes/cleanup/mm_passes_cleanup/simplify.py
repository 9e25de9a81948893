"""Algebraic clean-up: the rules of `arithmetic` and `movement` until none applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Rule
from mm_passes_cleanup import arithmetic, movement


@dataclass(frozen=True)
class Simplify(RewritePass):
    """Operations that change nothing disappear, chains of data movement become one, exact cheaper forms are taken."""

    name: ClassVar[str] = "simplify"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    phases_again: ClassVar[tuple[Phase, ...]] = (Phase.FOLD, Phase.FINALIZE)
    rules: ClassVar[tuple[Rule, ...]] = (*arithmetic.RULES, *movement.RULES)
