"""The command: `python -m benchmarks.onnx_cases --engine cpu --only 'test_conv'`."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import click
from mm_parser_onnx.testing import KINDS, onnx_cases
from rich.console import Console
from rich.progress import Progress

from benchmarks.onnx_cases.engines import ENGINES
from benchmarks.onnx_cases.page import render, with_exceptions
from benchmarks.options import chosen
from mm_core.testing.case import Case
from mm_core.testing.exceptions import LISTABLE, UNEXPLAINED, Exceptions, read_tables, write_tables
from mm_core.testing.harness import LIMIT_SECONDS, Report, run_cases
from mm_core.testing.verdict import Verdict

EXCEPTIONS = Path("plugins/parsers/onnx/tests/exceptions.toml")


@click.command()
@click.option("--engine", "engines", default="cpu", callback=chosen(tuple(ENGINES)), show_default=True)
@click.option("--kind", default="node", type=click.Choice(KINDS), show_default=True)
@click.option("--only", default="", help="regular expression that the names of cases must match")
@click.option("--lanes", default=2, show_default=True, help="cases judged at the same time")
@click.option("--limit", default=LIMIT_SECONDS, show_default=True, help="seconds for building, and for running")
@click.option("--verbose", is_flag=True, help="every case that is not native, with its whole reason")
@click.option("--update-exceptions", is_flag=True, help="write what is not native into the list of exceptions")
@click.option("--exceptions", default=EXCEPTIONS, type=click.Path(path_type=Path), show_default=True)
@click.option("--lists-only", is_flag=True, help="with --markdown: keep its figures, write the exceptions anew")
@click.option("--markdown", type=click.Path(path_type=Path), help="judge all engines, write this page")
def main(
    engines: list[str],
    kind: str,
    only: str,
    lanes: int,
    limit: float,
    verbose: bool,
    update_exceptions: bool,
    exceptions: Path,
    markdown: Path | None,
    lists_only: bool,
) -> None:
    """Judge engines by ONNX's own cases. Prints what is not native, by reason; exit status 1 if the list is not met.

    Example: python -m benchmarks.onnx_cases --engine cpu,cpu-symbolic --only 'test_(conv|resize)'
    """
    if markdown is not None and lists_only:
        markdown.write_text(with_exceptions(markdown.read_text(encoding="utf-8"), read_tables(exceptions)), "utf-8")
        return
    console = Console(highlight=False, soft_wrap=True)
    cases = [case for case in onnx_cases(kind) if re.search(only, case.name)]
    met = True
    reports = []
    for name in ENGINES if markdown else engines:
        report = _run(name, cases, lanes, limit, console)
        reports.append(report)
        _explain(report, verbose, console)
        if update_exceptions:
            _update(exceptions, report)
        met = _is_as_listed(report, exceptions, console) and met
    if markdown is not None:
        markdown.write_text(render(version("onnx"), reports, read_tables(exceptions)), encoding="utf-8")
    sys.exit(not met)


def _run(name: str, cases: list[Case], lanes: int, limit: float, console: Console) -> Report:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(name, total=len(cases))
        return run_cases(ENGINES[name], cases, lanes=lanes, limit=limit, progress=lambda _: progress.advance(task))


def _explain(report: Report, verbose: bool, console: Console) -> None:
    """The cases that are not native, grouped by what the reasons have in common."""
    for verdict in Verdict:
        if verdict is Verdict.NATIVE:
            continue
        groups = defaultdict(list)
        for outcome in report.having(verdict):
            groups[_gist(outcome.reason)].append(outcome)
        for gist, outcomes in sorted(groups.items(), key=lambda group: -len(group[1])):
            console.print(f"{verdict.value} {len(outcomes)}: {gist}", style="bold", markup=False)
            for outcome in outcomes:
                text = f"    {outcome.case}" + (f": {outcome.reason}" if verbose else "")
                console.print(text, markup=False)
    console.print(str(report), style="bold green" if report.rate == 1 else "bold yellow", markup=False)


def _is_as_listed(report: Report, path: Path, console: Console) -> bool:
    """Whether every case ends as the engine's list says. True for engines of others, which have no list."""
    if report.engine not in read_tables(path):
        return True
    listed = Exceptions.read(path, report.engine)
    problems = {outcome.case: problem for outcome in report.outcomes if (problem := listed.problem(outcome))}
    for case in sorted(problems.keys() & listed.keys()):
        console.print(problems[case], style="red", markup=False)
    console.print(f"{len(listed)} exceptions listed in {path}, {len(problems)} cases are not as listed")
    return not problems


def _gist(reason: str) -> str:
    """A reason without the node in front, the advice behind, and the numbers and names in it."""
    if reason.endswith("elements differ"):
        return "other values"
    sentence = re.sub(r"^(\S+ \(\w+\)(, opset \d+)?(, )?)+: ", "", reason).partition("; available: ")[0]
    return re.sub(r"'[^']*'|\b[ds]?\d[\w.]*|\[[^\]]*\]", "_", sentence)[:200]


def _update(path: Path, report: Report) -> None:
    """Write what is not native into the engine's table. Reasons that somebody found stay where the verdict does."""
    tables, engine = read_tables(path), report.engine
    before = tables.get(engine, {})
    judged = {outcome.case for outcome in report.outcomes}
    lines = {case: text for case, text in before.items() if case not in judged}
    listed = Exceptions.read(path, engine)
    for outcome in report.outcomes:
        if outcome.case in listed and not listed.problem(outcome) and UNEXPLAINED not in before[outcome.case]:
            lines[outcome.case] = before[outcome.case]
        elif outcome.verdict in LISTABLE:
            lines[outcome.case] = f"{outcome.verdict.value}: {UNEXPLAINED} {_gist(outcome.reason)}"
    write_tables(path, {**tables, engine: lines})


if __name__ == "__main__":
    main()
