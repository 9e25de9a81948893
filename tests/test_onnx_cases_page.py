"""The generated page on ONNX's cases: written by the command, and its list of exceptions is the committed one."""

from __future__ import annotations

from benchmarks.onnx_cases.engines import ENGINES
from benchmarks.onnx_cases.page import HEAD, render, render_exceptions, with_exceptions
from mm_core.testing.exceptions import read_tables
from mm_core.testing.harness import Outcome, Report
from mm_core.testing.verdict import Verdict
from tests.core.layering import ROOT

PAGE = ROOT / "docs" / "onnx-cases.md"
EXCEPTIONS = ROOT / "plugins" / "parsers" / "onnx" / "tests" / "exceptions.toml"


def test_the_page_shows_every_engine_and_the_committed_exceptions() -> None:
    text = PAGE.read_text()
    assert text.startswith(HEAD.partition("{")[0])
    for name in ENGINES:
        assert f"\n| {name} " in text
    assert text.endswith(render_exceptions(read_tables(EXCEPTIONS))), "write the page again: --lists-only"


def test_rates_are_native_over_all() -> None:
    good = [Outcome(f"t{index}", "math", Verdict.NATIVE) for index in range(3)]
    one = Report("one", "1.0", (*good, Outcome("r", "nn", Verdict.REJECTED)))
    two = Report("two", "2.0", tuple(good))
    text = render("9.9", [one, two], {"one": {"r": "rejected: too odd"}})
    assert "onnx 9.9 comes with 4 cases" in text
    assert "| one 1.0 | 3 | 0 | 1 | 0 | 0 | 0 | 4 | 75.0% |" in text
    assert "| two 2.0 | 3 | 0 | 0 | 0 | 0 | 0 | 3 | 100.0% |" in text
    assert "| math | 3 | 100.0% | 100.0% |" in text
    assert "| nn | 1 | 0.0% |  |" in text
    assert with_exceptions(text, {"one": {"r": "rejected: too odd"}}) == text
    assert with_exceptions(text, {}).endswith("are in it too.\n")
    assert "### one: 1 cases\n\n- rejected: too odd (1): `r`\n" in text
