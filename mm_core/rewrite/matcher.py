"""Finding a pattern at an operation: a small backtracking solver with a bound on its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mm_core.errors import PassError
from mm_core.ir import Location, Operation, Value
from mm_core.ops import Trait
from mm_core.rewrite.terms import AttributeTerm, ConstantTerm, Node, OneOf, Term, Variable
from mm_core.types import Array, Shape, TensorData, TensorType

Reason = str
"""Why something was not rewritten, in words."""

MAX_STEPS = 2000
"""Terms tried for one pattern at one operation before it is given up."""

MAX_UNIFORM = 65536
"""Constants of more elements are never read to see whether they are uniform."""


class Match:
    """A pattern found in a graph. `match["x"]` is what a name is bound to; None if its alternative was not taken."""

    __slots__ = ("bindings", "operations", "root")

    def __init__(self, root: Operation, operations: tuple[Operation, ...], bindings: dict[str, Any]) -> None:
        self.root = root
        self.operations = operations
        self.bindings = bindings

    def __getitem__(self, name: str) -> Any:
        return self.bindings.get(name)

    def array(self, name: str) -> Array:
        """The elements of a bound constant."""
        data = constant_of(self.bindings[name])
        if data is None:
            raise PassError(f"'{name}' is bound to a value that is no constant", where=self.root.where)
        return data.numpy()

    def number(self, name: str) -> float | None:
        """The number that a bound constant holds in every element; None if it is none or they differ."""
        return uniform_number(self.bindings.get(name))

    @property
    def locations(self) -> frozenset[Location]:
        return frozenset().union(*(operation.locations for operation in self.operations))


def constant_of(value: Value | None) -> TensorData | None:
    """The data of a value that a constant makes; else None."""
    operation = None if value is None else value.defining_op
    if operation is None or operation.name != "mm.constant":
        return None
    data: TensorData = operation.attributes["value"]
    return data


def shape_of(value: Value | None) -> Shape | None:
    """The shape of a tensor of known rank; else None."""
    return value.type.shape if value is not None and isinstance(value.type, TensorType) else None


def uniform_number(value: Value | None) -> float | None:
    """The one real number that all elements of a constant equal; else None."""
    data = constant_of(value)
    if data is None or not 0 < data.size <= MAX_UNIFORM or data.dtype.kind in ("string", "complex"):
        return None
    elements = data.numpy().reshape(-1)
    if data.size > 1 and not bool((elements == elements[0]).all()):
        return None  # a NaN equals nothing, so a tensor of them has no number either
    return float(elements[0])


def close(value: Value, found: float, wanted: float) -> bool:
    """Whether two numbers are one in the precision of the value's element type."""
    if found == wanted:
        return True
    dtype = value.type.dtype if isinstance(value.type, TensorType) else None
    if dtype is None or not dtype.is_float:
        return False
    # An exporter rounds sqrt(2) or 0.044715 once or twice on its way into the element type.
    precision = {16: 4e-3, 32: 2e-6}.get(dtype.bits, 1e-6)
    return abs(found - wanted) <= precision * abs(wanted)


Goals = tuple[Term | None, Value | None, Any] | None
"""A linked list of what is still to be matched: term, value, rest."""


class Solver:
    """Matches one pattern at one root operation. `reason` says why a match that was nearly there was refused."""

    __slots__ = ("_bound", "_check", "_nodes", "_root", "_steps", "_trail", "reason")

    def __init__(self, root: Operation, check: Callable[[Match], Reason | None] | None) -> None:
        self._root = root
        self._check = check
        self._bound: dict[str, Any] = {}
        self._nodes: dict[int, tuple[Node, Operation]] = {}
        self._trail: list[str | int] = []
        self._steps = 0
        self.reason: Reason | None = None

    def solve(self, term: Term, result: int) -> Match | None:
        """The first match of the term at a result of the root that passes every test; None if there is none."""
        return self._match() if self._run((term, self._root.results[result], None)) else None

    def _match(self) -> Match:
        operations = tuple({id(operation): operation for _, operation in self._nodes.values()}.values())
        return Match(self._root, operations, dict(self._bound))

    def _run(self, goals: Goals) -> bool:
        while goals is not None:
            self._steps += 1
            if self._steps > MAX_STEPS:
                self.reason = f"given up after {MAX_STEPS} steps of matching"
                return False
            term, value, goals = goals
            if term is None or value is None:
                if term is not None or value is not None:
                    return False
            elif isinstance(term, Variable):
                if not self._bind(term.name, value):
                    return False
            elif isinstance(term, ConstantTerm):
                if not self._constant(term, value):
                    return False
            elif isinstance(term, OneOf):
                return self._any([(item, value, goals) for item in term.alternatives if _plausible(item, value)])
            else:
                operation = value.defining_op
                if operation is None or not _plausible(term, value) or value.index != term.result:
                    return False
                known = self._nodes.get(term.identity)
                if known is not None:
                    if known[1] is not operation:
                        return False
                    continue
                if not self._node(term, operation):
                    return False
                orders = _orders(term, operation)
                if len(orders) != 1:
                    return self._any([_push(term, order, goals) for order in orders])
                goals = _push(term, orders[0], goals)
        return self._accept()

    def _any(self, choices: Sequence[Goals]) -> bool:
        mark = len(self._trail)
        for goals in choices:
            if self._run(goals):
                return True
            while len(self._trail) > mark:
                key = self._trail.pop()
                if isinstance(key, int):
                    del self._nodes[key]
                else:
                    del self._bound[key]
            if self._steps > MAX_STEPS:
                break
        return False

    def _bind(self, name: str, item: Any) -> bool:
        if name in self._bound:
            known = self._bound[name]
            return known is item or (not isinstance(item, (Value, Operation)) and bool(known == item))
        self._bound[name] = item
        self._trail.append(name)
        return True

    def _constant(self, term: ConstantTerm, value: Value) -> bool:
        if constant_of(value) is None:
            return False
        if term.number is not None:
            found = uniform_number(value)
            if found is None or not close(value, found, term.number):
                return False
        return term.name is None or self._bind(term.name, value)

    def _node(self, term: Node, operation: Operation) -> bool:
        self._nodes[term.identity] = term, operation
        self._trail.append(term.identity)
        if term.label is not None and not self._bind(term.label, operation):
            return False
        for name, wanted in term.attributes.items():
            if name not in operation.attributes:
                return False
            found = operation.attributes[name]
            if isinstance(wanted, AttributeTerm):
                if not self._bind(wanted.name, found):
                    return False
            elif not (wanted(found) if callable(wanted) else wanted == found):
                return False
        return True

    def _accept(self) -> bool:
        inside = {operation for _, operation in self._nodes.values()}
        for term, operation in self._nodes.values():
            if operation is self._root or (term.whole or term).shared:
                continue
            for result in operation.results:
                for user in result.users:
                    if user not in inside:
                        self.reason = f"the result of {operation.name} is also used by {user.name}"
                        return False
        refusal = None if self._check is None else self._check(self._match())
        if refusal is not None:
            self.reason = refusal
        return refusal is None


def _plausible(term: Term, value: Value) -> bool:
    """Whether a look at the value alone leaves the term possible."""
    operation = value.defining_op
    if isinstance(term, Node):
        return operation is not None and operation.name in term.names
    if isinstance(term, ConstantTerm):
        return constant_of(value) is not None
    return True


def _orders(term: Node, operation: Operation) -> list[tuple[Value | None, ...]]:
    """The operands in each order in which they could match the term's."""
    operands = operation.operands
    if len(operands) < len(term.operands):
        operands += (None,) * (len(term.operands) - len(operands))
    elif len(operands) > len(term.operands) and not term.rest:
        return []
    orders = [operands]
    commutative = Trait.COMMUTATIVE in operation.definition.traits and len(term.operands) >= 2
    if commutative and operands[0] is not operands[1]:
        orders.append((operands[1], operands[0], *operands[2:]))
    return [order for order in orders if _order_plausible(term, order)]


def _order_plausible(term: Node, order: Sequence[Value | None]) -> bool:
    return all(
        item is None if wanted is None else item is not None and _plausible(wanted, item)
        for wanted, item in zip(term.operands, order)
    )


def _push(term: Node, operands: Sequence[Value | None], goals: Goals) -> Goals:
    for pair in reversed(list(zip(term.operands, operands))):
        goals = (*pair, goals)
    return goals
