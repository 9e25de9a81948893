"""Rewriting: patterns as graph code, function rules, one greedy driver and its report."""

from mm_core.rewrite.driver import MatchReport, RuleSet, operations_to_rewrite, rewrite
from mm_core.rewrite.matcher import Match, Reason, constant_of, shape_of, uniform_number
from mm_core.rewrite.rewriter import Rewriter, has_effect, is_dead, is_pure
from mm_core.rewrite.rules import FunctionRule, Pattern, Rule, rule
from mm_core.rewrite.terms import PatternBuilder, Term

__all__ = [
    "FunctionRule", "Match", "MatchReport", "Pattern", "PatternBuilder", "Reason", "Rewriter", "Rule", "RuleSet",
    "Term", "constant_of", "has_effect", "is_dead", "is_pure", "operations_to_rewrite", "rewrite", "rule", "shape_of",
    "uniform_number",
]  # fmt: skip
