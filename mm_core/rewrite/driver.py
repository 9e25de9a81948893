"""One greedy driver: every operation is looked at, rewritten ones lead to another look at their neighbours."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mm_core.errors import MMError, PassError
from mm_core.ir import Graph, Operation
from mm_core.ops import lookup
from mm_core.rewrite.matcher import Reason
from mm_core.rewrite.rewriter import Rewriter
from mm_core.rewrite.rules import Rule

MAX_SWEEPS = 10
MAX_REWRITES_PER_OPERATION = 64
"""Rewrites allowed, for each operation of the graph at the start, before rules are taken to undo each other."""


@dataclass(slots=True)
class MatchReport:
    """How often each rule fired, and for what reasons rules that nearly applied did not."""

    fired: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[Reason]] = field(default_factory=lambda: defaultdict(Counter))
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.fired)

    def __str__(self) -> str:
        fired = [f"{self.sources[name]}: {name} fired, {count}x" for name, count in self.fired.most_common()]
        return "\n".join([*fired, *self.refusals()])

    def refusals(self, top: int = 3) -> list[str]:
        """A line for each of the most frequent reasons of each rule that nearly applied."""
        return [
            f"{self.sources[name]}: {name} refused, {count}x: {reason}"
            for name, reasons in self.refused.items()
            for reason, count in reasons.most_common(top)
        ]


class RuleSet:
    """Rules by the operator at which they are tried, in their given order. UnsupportedOpError for unknown operators."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._everywhere = [rule for rule in self.rules if not rule.root_names]
        self._by_name: dict[str, list[Rule]] = {}
        names = {name for rule in self.rules for name in rule.root_names}
        for name in names:
            lookup(name)
            self._by_name[name] = [rule for rule in self.rules if not rule.root_names or name in rule.root_names]

    def at(self, operation: Operation) -> Sequence[Rule]:
        return self._by_name.get(operation.name, self._everywhere)


def rewrite(graph: Graph, rules: RuleSet | Iterable[Rule]) -> MatchReport:
    """Apply rules until none fires, in regions too, except in those of `mm.fused`: they are finished work."""
    rule_set = rules if isinstance(rules, RuleSet) else RuleSet(rules)
    return _Driver(rule_set).run(graph)


def operations_to_rewrite(graph: Graph) -> list[Operation]:
    """The operations of a graph and of its regions, inner ones first, without the regions of `mm.fused`."""
    found: list[Operation] = []
    for operation in graph.operations:
        if operation.name != "mm.fused":
            for region in operation.regions:
                found += operations_to_rewrite(region)
        found.append(operation)
    return found


class _Driver:
    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._report = MatchReport(sources={rule.name: rule.source for rule in rules.rules})
        self._pending: list[Operation] = []
        self._queued: set[Operation] = set()

    def run(self, graph: Graph) -> MatchReport:
        for _ in range(MAX_SWEEPS):
            operations = operations_to_rewrite(graph)
            budget = MAX_REWRITES_PER_OPERATION * (len(operations) + 16)
            # The stack is emptied from its end: operations are seen in the order of the graph.
            self._pending = [operation for operation in reversed(operations) if self._rules.at(operation)]
            self._queued = set(self._pending)
            if not self._empty(budget):
                break
            # What lies more than one step behind a change sees it in the next sweep.
            self._report.refused.clear()
        return self._report

    def _empty(self, budget: int) -> bool:
        changed = False
        while self._pending:
            operation = self._pending.pop()
            self._queued.discard(operation)
            if operation.parent is None or not self._visit(operation):
                continue
            changed = True
            budget -= 1
            if budget < 0:
                name, count = self._report.fired.most_common(1)[0]
                raise PassError(
                    f"the rewriting does not come to an end, '{name}' fired {count} times",
                    where=self._report.sources[name],
                    remedy="look for rules that undo each other",
                )
        return changed

    def _visit(self, operation: Operation) -> bool:
        for rule in self._rules.at(operation):
            rewriter = Rewriter(operation, self._touch)
            try:
                reason = rule.apply(rewriter, operation)
            except MMError as error:
                raise PassError(
                    f"the rule '{rule.name}' ({rule.source}) failed: {error}", where=operation.where
                ) from error
            if rewriter.changed:
                if reason is not None:
                    raise PassError(f"the rule '{rule.name}' ({rule.source}) rewrote and refused: {reason}")
                self._report.fired[rule.name] += 1
                for created in reversed(rewriter.created):
                    self._touch(created)
                return True
            rewriter.discard()
            if reason is not None:
                self._report.refused[rule.name][reason] += 1
        return False

    def _touch(self, operation: Operation) -> None:
        if operation not in self._queued and operation.parent is not None and self._rules.at(operation):
            self._queued.add(operation)
            self._pending.append(operation)
