"""What a pattern is made of: terms, and the builder that writes them as graph code.

    lambda p, x: p.mul(p.mul(x, 0.5), p.add(p.erf(p.div(x, p.any_constant("s"))), 1.0))

Parameters after `p` are variables: they match any value, and the same value wherever they stand. Numbers match
constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mm_core.errors import PassError
from mm_core.ir import Value


@dataclass(frozen=True, eq=False, slots=True)
class Variable:
    """Matches any value; two variables of one name must match the same value."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class ConstantTerm:
    """Matches a constant. With `number`, every element must equal it within the precision of the element type."""

    name: str | None = None
    number: float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class AttributeTerm:
    """Matches any attribute value and binds it to a name."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """Matches result `result` of an operation with one of these names, operands and attributes.

    A node that stands in several places of a pattern must match one operation. Its results may be used by matched
    operations only, unless it is the root or `shared`. `rest` lets further operands follow.
    """

    names: tuple[str, ...]
    operands: tuple[Term | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    shared: bool = False
    rest: bool = False
    result: int = 0
    whole: Node | None = None

    def __getitem__(self, index: int) -> Node:
        """The same operation, seen through another of its results."""
        whole = self.whole or self
        return Node(
            self.names, self.operands, self.attributes, self.label, self.shared, self.rest, index, whole
        )

    @property
    def identity(self) -> int:
        return id(self.whole or self)


@dataclass(frozen=True, eq=False, slots=True)
class OneOf:
    """Matches what the first fitting alternative matches. Names bound in the others are None."""

    alternatives: tuple[Term, ...]


Term = Variable | ConstantTerm | Node | OneOf


class PatternBuilder:
    """Writes terms: `p.conv(x, w)` or `p.op("vendor.scale", x)` for operations, and the methods below.

    Keywords are attributes: a plain value must be equal, a function of the value must hold, `p.attribute("name")`
    binds it. `name=` labels the operation for the check and the replacement, `shared=True` allows uses outside
    the match. An operand None means absent; `...` in last place allows any further operands.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Callable[..., Node]:
        if name.startswith("__"):
            raise AttributeError(name)

        def build(*operands: Any, **keywords: Any) -> Node:
            return self.op(f"mm.{name.rstrip('_')}", *operands, **keywords)

        return build

    def op(
        self,
        op_name: str | Sequence[str],
        /,
        *operands: Any,
        name: str | None = None,
        shared: bool = False,
        **attributes: Any,
    ) -> Node:
        """An operation by its full name, or by any of several."""
        names = (op_name,) if isinstance(op_name, str) else tuple(op_name)
        rest = bool(operands) and operands[-1] is ...
        terms = tuple(None if item is None else _term(item) for item in operands[: len(operands) - rest])
        return Node(names, terms, attributes, name, shared, rest)

    def var(self, name: str) -> Variable:
        """A variable that is not a parameter of the pattern's function."""
        return Variable(name)

    def any_constant(self, name: str | None = None) -> ConstantTerm:
        """Any constant."""
        return ConstantTerm(name)

    def number(self, value: float, name: str | None = None) -> ConstantTerm:
        """A constant all of whose elements are this number."""
        return ConstantTerm(name, float(value))

    def attribute(self, name: str) -> AttributeTerm:
        """In an attribute's place: any value, bound to a name."""
        return AttributeTerm(name)

    def one_of(self, *alternatives: Any) -> OneOf:
        """The first alternative that fits."""
        return OneOf(tuple(map(_term, alternatives)))

    def optional(self, term: Term, wrap: Callable[[Term], Term]) -> OneOf:
        """`wrap(term)` or, where that is not there, `term` itself."""
        return OneOf((wrap(term), term))


def _term(item: Any) -> Term:
    if isinstance(item, (Variable, ConstantTerm, Node, OneOf)):
        return item
    if isinstance(item, (bool, int, float)):
        return ConstantTerm(None, float(item))
    what = "a graph's value" if isinstance(item, Value) else f"a {type(item).__name__}"
    raise PassError(f"{what} cannot stand in a pattern", remedy="use the pattern's parameters, numbers and p's methods")


def walk(term: Term | None) -> Iterator[Term]:
    """The term and all below it."""
    if term is None:
        return
    yield term
    below = term.operands if isinstance(term, Node) else term.alternatives if isinstance(term, OneOf) else ()
    for item in below:
        yield from walk(item)


def roots(term: Term) -> tuple[Node, ...]:
    """The nodes that a match can end in."""
    if isinstance(term, Node):
        return (term,)
    if isinstance(term, OneOf):
        return tuple(node for item in term.alternatives for node in roots(item))
    raise PassError("a pattern must end in an operation, not in a variable or constant")
