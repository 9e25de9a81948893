"""Agreement of dimensions. What can be decided while building is decided; the rest becomes a run-time guard.

Inference calls `agree` and `broadcast_dims`. Where two different symbols meet, the pair is handed to the collector
that is active (`collect_guards`), and the runtime checks it once the symbols are bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from mm_core.errors import InputError
from mm_core.types.dims import Dim, SymDim, provably_unequal
from mm_core.types.tensor import Shape

GuardKind = Literal["equal", "broadcast", "repeat"]
GUARD_KINDS: tuple[GuardKind, ...] = get_args(GuardKind)


@dataclass(frozen=True, slots=True)
class Guard:
    """Two dimensions that must be equal when the symbols are bound.

    `broadcast` also lets either be 1, `repeat` the left one, which is repeated to the right one.
    """

    left: Dim
    right: Dim
    kind: GuardKind = "equal"

    def holds(self, left: int, right: int) -> bool:
        return left == right or (self.kind != "equal" and left == 1) or (self.kind == "broadcast" and right == 1)

    def broken(self, left: int, right: int) -> str:
        """What to say of sizes for which it does not hold."""
        if self.kind == "equal":
            return f"{self} does not hold: {left} and {right}"
        mine, other = _size_text(self.left, left), _size_text(self.right, right)
        if self.kind == "repeat":
            return f"the size {mine} cannot be repeated to {other}"
        return f"the sizes {mine} and {other} do not broadcast"

    def __str__(self) -> str:
        exception = {"equal": "", "broadcast": " or one of them is 1", "repeat": f" or {self.left} is 1"}
        return f"{self.left} == {self.right}{exception[self.kind]}"


def _size_text(dim: Dim, size: int) -> str:
    return f"{dim} = {size}" if isinstance(dim, SymDim) else str(size)


_collector: ContextVar[list[Guard] | None] = ContextVar("mm_guards", default=None)


@contextmanager
def collect_guards() -> Iterator[list[Guard]]:
    """Collect the guards that inference meets inside the block."""
    guards: list[Guard] = []
    token = _collector.set(guards)
    try:
        yield guards
    finally:
        _collector.reset(token)


def _guard(guard: Guard) -> None:
    guards = _collector.get()
    if guards is not None and guard not in guards:
        guards.append(guard)


def agree(left: Dim, right: Dim, what: str = "dimensions") -> Dim:
    """The one dimension that both must be: an integer wins over a symbol. InputError if they never agree."""
    if left == right:
        return left
    if provably_unequal(left, right):
        raise InputError(f"{what} differ: {left} and {right}")
    _guard(Guard(left, right))
    return right if isinstance(right, int) else left


def broadcast_dims(left: Dim, right: Dim) -> Dim:
    """The broadcast of two dimensions by NumPy's rule. Two different symbols are taken to be equal, guarded."""
    if left == right or right == 1:
        return left
    if left == 1:
        return right
    if isinstance(left, int) and isinstance(right, int):
        raise InputError(f"dimensions {left} and {right} do not broadcast")
    if isinstance(left, SymDim) and isinstance(right, SymDim):
        return agree(left, right, "broadcast dimensions")
    _guard(Guard(left, right, "broadcast"))
    return left if isinstance(left, int) else right


def repeat_dim(size: Dim, wanted: Dim) -> Dim:
    """The dimension that comes of repeating `size` to `wanted`, which it must be unless it is 1; guarded."""
    if size not in (1, wanted):
        if provably_unequal(size, wanted) and isinstance(size, int):
            raise InputError(f"the size {size} cannot be repeated to {wanted}")
        _guard(Guard(size, wanted, "repeat"))
    return wanted


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """The common shape of several by NumPy's broadcasting rule (trailing dimensions align)."""
    rank = max(map(len, shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for position, dim in enumerate(shape, rank - len(shape)):
            result[position] = broadcast_dims(result[position], dim)
    return tuple(result)
