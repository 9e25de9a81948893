"""Rules from other packages: entry points of `mm.kernels` with a name `cpu.<package>`, each an object with `RULES`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, ParamSpec, TypeVar

from mm_backend_cpu.lowering.rule import Rule
from mm_core import plugins
from mm_core.errors import CompileError, MMError, PluginLoadError

GROUP = "mm.kernels"
PREFIX = "cpu."

_P = ParamSpec("_P")
_T = TypeVar("_T")


@cache
def third_party_rules() -> Mapping[str, tuple[Rule, ...]]:
    """Rules that other packages add, by operator. A package that cannot be used is skipped with a warning."""
    found: dict[str, tuple[Rule, ...]] = {}
    for record in plugins.records(GROUP):
        if not record.name.startswith(PREFIX) or record.state == "off":
            continue
        try:
            rules = _rules_of(plugins.load(GROUP, record.name), str(record))
        except MMError as error:
            warnings.warn(f"a package of kernels is skipped: {error}", RuntimeWarning, stacklevel=2)
            continue
        for name, added in rules.items():
            found[name] = (*found.get(name, ()), *added)
    return found


def _rules_of(package: Any, owner: str) -> Mapping[str, tuple[Rule, ...]]:
    """The rules of a package, each answering for its owner. PluginLoadError if they are no rules."""
    rules = getattr(package, "RULES", None)
    if not isinstance(rules, Mapping) or not all(
        isinstance(added, (tuple, list)) and all(isinstance(rule, Rule) for rule in added) for added in rules.values()
    ):
        raise PluginLoadError(
            f"{owner} has no RULES, or not ones of the right form",
            remedy='define RULES = {"mm.abs": (Rule(check, lower),)}, each operator with a tuple of rules',
        )
    return {
        name: tuple(
            replace(rule, check=_guarded(rule.check, name, owner), lower=_guarded(rule.lower, name, owner))
            for rule in added
        )
        for name, added in rules.items()
    }


def _guarded(function: Callable[_P, _T], operator: str, owner: str) -> Callable[_P, _T]:
    """The function; whatever it raises becomes a CompileError that names the package."""

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except MMError:
            raise
        except Exception as error:  # code of others may fail in any way
            raise CompileError(
                f"the rule for {operator} of {owner} failed: {type(error).__name__}: {error}",
                remedy="report this to its author, or switch it off with MM_DISABLE_PLUGINS",
            ) from error

    return call
