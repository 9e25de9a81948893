"""The page of the documentation that the command writes: rates side by side, by family, and every exception."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mm_core.testing.harness import Report
from mm_core.testing.verdict import Verdict

COMMAND = "python -m benchmarks.onnx_cases --markdown docs/onnx-cases.md"
HEAD = f"""# ONNX's own cases, judged strictly

Written by `{COMMAND}`, not by hand; it needs onnxruntime,
openvino and pillow too. onnx {{version}} comes with {{cases}} cases for its operators: a model for each form of each
operator, with inputs and right answers. [The harness](testing.md#the-harness) runs all engines through the same
comparison: names, number, shapes and element types of the results, and values within the case's own tolerance. onnx's
runner counts a refusal as passed; here the rate is the native cases over all cases.

- `cpu` is built strictly, saved, and run from the file where only the core and the backend can be imported.
- `cpu-symbolic` is the same with the dimensions of the inputs made symbolic, for the cases that have any.
- `reference` is our numpy interpreter, which only has to be right.
- Other engines read the model themselves, through thin adapters. What numpy cannot hand to them is refused: elements
  smaller than a byte, for one.
"""

EXCEPTIONS = "## Exceptions"


def render(version: str, reports: Sequence[Report], exceptions: Mapping[str, Mapping[str, str]]) -> str:
    """The page. `exceptions` holds the lists as they are committed, `verdict: reason` by case, by engine."""
    pieces = [
        HEAD.format(version=version, cases=max(len(report.outcomes) for report in reports)),
        "\n".join(_verdicts(reports)),
        "## By family\n\nThe chapters of ONNX's specification; native cases over all cases of the family.\n",
        "\n".join(_families(reports)),
        render_exceptions(exceptions),
    ]
    return "\n".join(pieces)


def with_exceptions(page: str, exceptions: Mapping[str, Mapping[str, str]]) -> str:
    """A page with the same figures and another list of exceptions."""
    return page.partition(EXCEPTIONS)[0] + render_exceptions(exceptions)


def _verdicts(reports: Sequence[Report]) -> Iterator[str]:
    yield _row("engine", *(verdict.value for verdict in Verdict), "cases", "rate")
    yield _row("---", *["---:"] * (len(Verdict) + 2))
    for report in reports:
        counts = report.counts()
        numbers = (str(counts[verdict]) for verdict in Verdict)
        yield _row(f"{report.engine} {report.version}", *numbers, str(len(report.outcomes)), f"{report.rate:.1%}")
    yield ""


def _families(reports: Sequence[Report]) -> Iterator[str]:
    yield _row("family", "cases", *(report.engine for report in reports))
    yield _row("---", *["---:"] * (len(reports) + 1))
    tables = [report.by_family() for report in reports]
    for family in sorted({family for table in tables for family in table}):
        rows = [table.get(family) for table in tables]
        rates = (f"{row[Verdict.NATIVE] / row.total():.1%}" if row else "" for row in rows)
        yield _row(family, str(max(row.total() for row in rows if row)), *rates)
    yield ""


def render_exceptions(exceptions: Mapping[str, Mapping[str, str]]) -> str:
    """Every listed exception, by engine and reason."""
    lines = [
        EXCEPTIONS,
        "",
        "`plugins/parsers/onnx/tests/exceptions.toml` lists what our backends do not pass, case by case; a listed case",
        "that passes is an error. Those of onnx's smaller collections are in it too.",
    ]
    for engine, table in exceptions.items():
        reasons = defaultdict(list)
        for case, text in sorted(table.items()):
            reasons[text].append(f"`{case}`")
        lines += ["", f"### {engine}: {len(table)} cases", ""]
        lines += [f"- {text} ({len(cases)}): {', '.join(cases)}" for text, cases in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
