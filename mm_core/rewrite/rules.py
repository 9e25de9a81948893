"""Rules: patterns with a replacement, and functions for what patterns cannot say. Both know where they were written."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mm_core.errors import InputError, PassError, UnsupportedOpError
from mm_core.ir import Operation, Value
from mm_core.rewrite.matcher import Match, Reason, Solver
from mm_core.rewrite.terms import (
    AttributeTerm,
    ConstantTerm,
    Node,
    PatternBuilder,
    Term,
    Variable,
    roots,
    walk,
)

if TYPE_CHECKING:
    from mm_core.rewrite.rewriter import Rewriter

RuleFunction = Callable[["Rewriter", Operation], "Reason | None"]


class Rule(ABC):
    """One rewrite. `root_names` are the operators at which it is tried, `source` is the file and line it stands at."""

    name: str
    root_names: tuple[str, ...]
    source: str

    @abstractmethod
    def apply(self, rewriter: Rewriter, operation: Operation) -> Reason | None:
        """Rewrite at the operation through the rewriter, or change nothing; a reason if it nearly applied."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.source}>"


class Pattern(Rule):
    """A rewrite written twice as graph code: what to find and what to put in its place.

    find: `(p, x, ...)` builds the pattern with p; the other parameters are variables, and it returns the root.
    replace: takes the graph first and, by name, any bound names and `match`; returns the new value (a tuple for
        several results), or a text that says why not.
    check: takes the match; None accepts it, a text refuses it, and the search goes on with the next way to match.
    """

    def __init__(
        self,
        name: str,
        find: Callable[..., Term],
        replace: Callable[..., Value | Sequence[Value] | Reason],
        check: Callable[[Match], Reason | None] | None = None,
    ) -> None:
        self.name = name
        self.source = _source(find)
        self.term = find(PatternBuilder(), *map(Variable, _parameters(find)))
        self.root_names = tuple({name: None for node in roots(self.term) for name in node.names})
        self._replace = replace
        self._wanted = _parameters(replace)
        self._check = check
        unknown = set(self._wanted) - bound_names(self.term) - {"match"}
        if unknown:
            raise PassError(
                f"the replacement of the pattern '{name}' takes {', '.join(sorted(unknown))}",
                where=self.source,
                available=", ".join(sorted(bound_names(self.term))),
            )

    def match(self, operation: Operation) -> Match | Reason | None:
        """The match whose root is the operation, a reason why a complete one was refused, or None."""
        reason: Reason | None = None
        for result in sorted({node.result for node in roots(self.term)}):
            if result >= len(operation.results):
                continue
            solver = Solver(operation, self._check)
            found = solver.solve(self.term, result)
            if found is not None:
                return found
            reason = reason or solver.reason
        return reason

    def apply(self, rewriter: Rewriter, operation: Operation) -> Reason | None:
        match = self.match(operation)
        if not isinstance(match, Match):
            return match
        rewriter.absorb(*match.operations)
        arguments = {name: match if name == "match" else match[name] for name in self._wanted}
        try:
            made = self._replace(rewriter, **arguments)
        except (UnsupportedOpError, InputError) as error:
            return error.what  # the replacing operator does not take these types or shapes
        if isinstance(made, str):
            return made
        rewriter.replace(operation, [made] if isinstance(made, Value) else made)
        return None


class FunctionRule(Rule):
    """A rewrite as a function `(rewriter, operation)`: it rewrites, or returns a reason, or does nothing."""

    def __init__(self, root_names: tuple[str, ...], function: RuleFunction) -> None:
        self.name = function.__name__.strip("_").replace("_", "-")
        self.root_names = root_names
        self.source = _source(function)
        self._function = function

    def apply(self, rewriter: Rewriter, operation: Operation) -> Reason | None:
        return self._function(rewriter, operation)


def rule(*root_names: str) -> Callable[[RuleFunction], FunctionRule]:
    """Make a function a rule that is tried at operations of these names; without names, at every operation."""

    def decorate(function: RuleFunction) -> FunctionRule:
        return FunctionRule(root_names, function)

    return decorate


def bound_names(term: Term) -> set[str]:
    """Every name that a match of the term may bind."""
    found: set[str] = set()
    for item in walk(term):
        if isinstance(item, (Variable, ConstantTerm)) and item.name is not None:
            found.add(item.name)
        elif isinstance(item, Node):
            found.update(value.name for value in item.attributes.values() if isinstance(value, AttributeTerm))
            if item.label is not None:
                found.add(item.label)
    return found


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Names of the parameters after the first, without those that have a default."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty]


def _source(function: Callable[..., Any]) -> str:
    """The package's folder, file and line of a function: the same on every machine."""
    code = function.__code__
    return f"{'/'.join(PurePath(code.co_filename).parts[-2:])}:{code.co_firstlineno}"
