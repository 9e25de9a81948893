"""`Rule`: one way to run an operator on the device.

A module of rules exports `RULES: Mapping[str, Rule]`: operator names (`mm.softmax`), and `fused:<kind>` for `mm.fused`
of that kind (`fused:conv`). `rules.py` joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mm_backend_mlu.target import Target
from mm_core.ir import Operation

if TYPE_CHECKING:
    from mm_backend_mlu.lowering.lowering import Lowering


class Preference(Enum):
    """How an operator wants its image-shaped (rank 4) results to lie."""

    DENSE = "dense"
    CHANNELS_LAST = "channels_last"
    FOLLOW = "follow"
    """As its first operand of the result's shape lies, or of its rank if none has that shape."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to run an operator.

    `check` gives the reason why it does not apply to an operation, empty if it does: everything that could fail later,
    tiling included, is found here. All sizes are integers when it is asked. `lower` appends launches and states
    where the results lie. Neither sees an operation whose results are all empty.
    """

    check: Callable[[Operation, Target], str]
    lower: Callable[[Lowering, Operation], None]
    layout: Preference = Preference.DENSE
