"""Which passes run, and in what order: by phase, then by what they say of each other, then by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mm_core import plugins
from mm_core.errors import PassError, PluginError
from mm_core.passes.base import Pass, Phase
from mm_core.passes.manager import Instrumentation, PassManager
from mm_core.passes.options import GROUP, load_pass, parse_passes


def parse_pipeline(
    text: str, *, verify: bool = True, instrumentation: Instrumentation | None = None
) -> PassManager:
    """The pipeline that a text such as `fold-constants,simplify` names, in exactly its order."""
    return PassManager(parse_passes(text), verify=verify, instrumentation=instrumentation)


def default_pipeline(
    disabled: Collection[str] = (),
    opt_level: int = 2,
    text: str | None = None,
    *,
    placed: bool = False,
    verify: bool = True,
    instrumentation: Instrumentation | None = None,
) -> PassManager:
    """All installed passes that suit the optimization level, without those disabled; or those that `text` names.

    With `placed` it is the passes for a network whose operations have their devices; a text names none of these.
    A pass that cannot be loaded is left out and listed in `skipped`: nobody asked for it by name. PassError if a
    disabled name is not installed, or if passes demand an impossible order.
    """
    names = {record.name for record in plugins.records(GROUP)}
    unknown = sorted(set(disabled) - names)
    if unknown:
        raise PassError(
            f"no pass is called {', '.join(map(repr, unknown))}",
            available=", ".join(sorted(names)) or "no passes are installed",
            remedy="correct disable_passes",
        )
    if text is not None:
        text = "" if placed else text
        passes = [instance for instance in parse_passes(text) if instance.name not in disabled]
        return PassManager(passes, verify=verify, instrumentation=instrumentation)
    kinds, skipped = [], []
    for name in sorted(names - set(disabled)):
        try:
            kind = load_pass(name)
        except (PluginError, PassError) as error:
            skipped.append(str(error))
            continue
        if kind.opt_level <= opt_level:
            kinds.append(kind)
    phases = [phase for phase in Phase if (phase is Phase.PLACED) == placed]
    passes = [kind() for kind in order_passes(kinds, phases)]
    return PassManager(passes, verify=verify, instrumentation=instrumentation, skipped=skipped)


def order_passes(kinds: Iterable[type[Pass]], phases: Iterable[Phase] = Phase) -> list[type[Pass]]:
    """Passes in the order of their phases, `before` and `after` kept; a pass of several phases comes several times."""
    kinds = sorted(kinds, key=lambda kind: kind.name)
    ordered: list[type[Pass]] = []
    for phase in phases:
        ordered += _order_phase([kind for kind in kinds if phase in (kind.phase, *kind.phases_again)], phase)
    return ordered


def _order_phase(kinds: list[type[Pass]], phase: Phase) -> list[type[Pass]]:
    waits: dict[str, set[str]] = {kind.name: set() for kind in kinds}
    for kind in kinds:
        waits[kind.name] |= {name for name in kind.after if name in waits}
        for name in kind.before:
            if name in waits:
                waits[name].add(kind.name)
    by_name = {kind.name: kind for kind in kinds}
    ordered: list[type[Pass]] = []
    while waits:
        ready = sorted(name for name, needed in waits.items() if not needed)
        if not ready:
            circle = ", ".join(f"'{name}' after {', '.join(sorted(needed))}" for name, needed in waits.items())
            raise PassError(f"the passes of phase {phase.name} demand an impossible order: {circle}")
        ordered.append(by_name[ready[0]])
        del waits[ready[0]]
        for needed in waits.values():
            needed.discard(ready[0])
    return ordered
