"""The harness gives each verdict where it is due, keeps cases apart, and holds its lists of exceptions to the word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import MMError
from mm_core.testing.backend_engine import BackendEngine
from mm_core.testing.case import Case, DataSet, Tolerance
from mm_core.testing.comparison import difference
from mm_core.testing.exceptions import Exceptions, write_tables
from mm_core.testing.harness import Lane, Outcome, run_cases
from mm_core.testing.verdict import Verdict

ILL = '''
import os
import sys
import time
from dataclasses import dataclass

import numpy as np

from mm_core.errors import InputError, UnsupportedOpError
from mm_core.testing.engine import Built, Engine, WrongResult


@dataclass(frozen=True)
class Ill(Engine):
    """Fails in the way that the case asks for, where it asks for it."""

    name = "ill"

    def build(self, case, form, folder):
        where, _, how = case.source.partition(" ")
        if where == "build":
            fail(how)
        return Built(how, fallback="in numpy" if where == "fallback" else "")

    def run(self, built, inputs):
        fail(built.artifact)
        return [{"y": np.asarray(values["x"])} for values in inputs]


def fail(how):
    if how == "refuse":
        raise UnsupportedOpError("not for us")
    if how == "input":
        raise InputError("no such input")
    if how == "wrong":
        raise WrongResult("found by itself")
    if how == "error":
        raise KeyError("tables")
    if how == "abort":
        os.abort()
    if how == "exit":
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)
    if how == "hang":
        time.sleep(60)
'''


@pytest.fixture
def ill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An engine that fails on request, importable in child processes."""
    (tmp_path / "ill_engine.py").write_text(ILL)
    monkeypatch.syspath_prepend(str(tmp_path))
    import ill_engine

    yield ill_engine.Ill()
    del sys.modules["ill_engine"]


def case(source: str, y: float = 1.0, name: str = "") -> Case:
    return Case(name or source or "well", source, (DataSet({"x": np.array(1.0)}, {"y": np.array(y)}),))


@pytest.mark.parametrize(
    ("source", "verdict", "reason"),
    [
        ("run well", Verdict.NATIVE, ""),
        ("fallback", Verdict.FALLBACK, "in numpy"),
        ("build refuse", Verdict.REJECTED, "not for us"),
        ("run input", Verdict.REJECTED, "no such input"),
        ("build wrong", Verdict.WRONG, "found by itself"),
        ("build error", Verdict.CRASH, "KeyError: 'tables' (ill_engine.py:"),
        ("run error", Verdict.CRASH, "KeyError"),
        ("build abort", Verdict.CRASH, "build: signal SIGABRT"),
        ("run abort", Verdict.CRASH, "run: signal SIGABRT"),
        ("run exit", Verdict.CRASH, "run: exit status 3: last words"),
        ("build hang", Verdict.TIMEOUT, "build took more than 2 s"),
        ("run hang", Verdict.TIMEOUT, "run took more than 2 s"),
    ],
)
def test_each_failure_has_its_verdict_and_the_next_case_is_judged(ill, source, verdict, reason) -> None:
    with Lane(ill, limit=2) as lane:
        outcome = lane.judge(case(source))
        assert (outcome.verdict, outcome.reason.startswith(reason)) == (verdict, True), outcome
        assert lane.judge(case("run well")).verdict is Verdict.NATIVE


def test_other_results_are_wrong(ill) -> None:
    with Lane(ill) as lane:
        outcome = lane.judge(case("run well", y=2.0))
    assert outcome.verdict is Verdict.WRONG
    assert outcome.reason == "y is 1.0, expected 2.0; 1 of 1 elements differ"


def test_a_report_counts_every_case_once_and_refusing_everything_scores_nothing(ill) -> None:
    heard = []
    cases = [case("run well", name=f"w{i}") for i in range(5)] + [case("build refuse"), case("run abort")]
    report = run_cases(ill, cases, progress=heard.append)
    assert [outcome.case for outcome in report.outcomes] == [case.name for case in cases]
    assert sorted(map(str, heard)) == sorted(map(str, report.outcomes))
    assert report.rate == 5 / 7
    assert run_cases(ill, [case("build refuse")]).rate == 0
    assert "71.4% native of 7 cases (5 native, 0 fallback, 1 rejected, 0 wrong, 1 crash, 0 timeout)" in str(report)


def test_an_engine_that_cannot_start_crashes(ill) -> None:
    with Lane(ill, python=sys.executable) as lane:
        Path(sys.modules["ill_engine"].__file__).unlink()
        outcome = lane.judge(case("run well"))
    assert outcome.verdict is Verdict.CRASH
    assert "did not start" in outcome.reason
    assert "ill_engine" in outcome.reason


# --- comparing ----------------------------------------------------------------------------------------------------

F32 = np.array([1.0, np.nan, np.inf], np.float32)


@pytest.mark.parametrize(
    ("expected", "found", "said"),
    [
        (F32, F32.copy(), ""),
        (F32, F32.astype(np.float64), "y is float64[3], expected float32[3]"),
        (F32, F32[:2], "y is float32[2], expected float32[3]"),
        (F32, np.array([1.0, 2.0, np.inf], np.float32), "y[1] is 2.0, expected nan; 1 of 3 elements differ"),
        (F32, np.array([1.0005, np.nan, np.inf], np.float32), ""),
        (F32, np.array([1.002, np.nan, -np.inf], np.float32), "2 of 3 elements differ"),
        (np.array(1000), np.array(1001), "y is 1001, expected 1000"),
        (np.array(["a"], object), np.array(["b"], object), "y[0] is b, expected a"),
        (np.array([1.0], ml_dtypes.bfloat16), np.array([1.0078], ml_dtypes.bfloat16), ""),
        (np.array([1.0], ml_dtypes.bfloat16), np.array([1.03], ml_dtypes.bfloat16), "expected 1"),
        (np.array([1], ml_dtypes.int4), np.array([2], ml_dtypes.int4), "y[0] is 2, expected 1"),
        (np.array([1.0], ml_dtypes.float8_e5m2), np.array([1.25], ml_dtypes.float8_e5m2), "expected 1"),
        (None, None, ""),
        (None, F32, "y is float32[3], expected absent"),
        ([F32], [F32], ""),
        ([F32], [F32, F32], "y is a sequence of 2, expected a sequence of 1"),
        ([F32], F32, "y is float32[3], expected a sequence of 1"),
        ([F32, F32], [F32, -F32], "y[1][0] is -1.0, expected 1.0"),
        (np.float32(1), np.array(1, np.float32), ""),
        (np.float32(1), 1.0, "y is a float, expected float32[]"),
    ],
)
def test_differences_are_named(expected, found, said) -> None:
    text = difference({"y": expected}, {"y": found}, Tolerance(least_relative={"bfloat16": 2.0**-6}))
    assert (said in text) if said else (text == "")


def test_names_and_number_of_outputs_are_compared() -> None:
    assert difference({"y": F32}, {"z": F32}, Tolerance()) == "the outputs are z, expected y"
    assert difference({"y": F32, "z": F32}, {"y": F32}, Tolerance()) == "the outputs are y, expected y, z"


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path: Path) -> Exceptions:
    path = tmp_path / "exceptions.toml"
    write_tables(path, {"ill": {"a": "rejected: no strings", "b": "random: no seed"}, "other": {"c": "wrong: noise"}})
    return Exceptions.read(path, "ill")


@pytest.mark.parametrize(
    ("name", "verdict", "problem"),
    [
        ("new", Verdict.NATIVE, ""),
        ("new", Verdict.REJECTED, "new: rejected: because"),
        ("c", Verdict.WRONG, "c: wrong: because"),
        ("a", Verdict.REJECTED, ""),
        ("a", Verdict.NATIVE, "a: native, but listed as rejected: no strings; take the line out"),
        ("a", Verdict.CRASH, "a: crash: because; listed as rejected: no strings"),
        ("b", Verdict.NATIVE, ""),
        ("b", Verdict.WRONG, ""),
        ("b", Verdict.REJECTED, "b: rejected: because; listed as random: no seed"),
    ],
)
def test_what_is_not_as_listed_is_a_problem(listed: Exceptions, name, verdict, problem) -> None:
    assert listed.problem(Outcome(name, "", verdict, "because")) == problem


def test_lists_know_their_own_cases_only(listed: Exceptions) -> None:
    assert sorted(listed) == ["a", "b"]
    assert listed.unknown(["a", "c"]) == ["b"]


@pytest.mark.parametrize("line", ["rejected", "rejected: ", "native: it is fine", "crash: it happens", "timeout: slow"])
def test_lines_need_a_verdict_that_may_stand_and_a_reason(tmp_path: Path, line: str) -> None:
    write_tables(tmp_path / "list.toml", {"ill": {"a": line}})
    with pytest.raises(MMError, match=r"list.toml, a: .*available: fallback, random, rejected, wrong"):
        Exceptions.read(tmp_path / "list.toml", "ill")


# --- backends -----------------------------------------------------------------------------------------------------


def network_case(folder: Path, operator: str, y: np.ndarray) -> Case:
    network = mm.Network("case")
    x = network.add_input("x", mm.float32, ("N",))
    network.mark_output(network.op(operator, x), "y")
    (folder / "case.mlir").write_text(str(network))
    x_value = np.array([4.0, 9.0], np.float32)
    return Case("case", str(folder / "case.mlir"), (DataSet({"x": x_value}, {"y": y}),), tensors=("x",))


@pytest.mark.parametrize("beside", [(), ("reference",)])
def test_a_saved_model_runs_where_only_the_backends_are(tmp_path: Path, beside: tuple[str, ...]) -> None:
    engine = BackendEngine("cpu", beside=beside)
    assert engine.name == "+".join(["cpu", *beside])
    with Lane(engine) as lane:
        right = lane.judge(network_case(tmp_path, "mm.sqrt", np.array([2.0, 3.0], np.float32)))
        wrong = lane.judge(network_case(tmp_path, "mm.sqrt", np.array([2.0, 4.0], np.float32)))
    assert (right.verdict, wrong.verdict) == (Verdict.NATIVE, Verdict.WRONG)


def test_numpy_is_a_fallback_for_a_backend_and_native_for_the_oracle(tmp_path: Path) -> None:
    tried = network_case(tmp_path, "mm.sqrt", np.array([2.0, 3.0], np.float32))
    with Lane(BackendEngine("reference")) as strict, Lane(BackendEngine("reference", oracle=True)) as oracle:
        assert strict.judge(tried).verdict is Verdict.FALLBACK
        assert oracle.judge(tried).verdict is Verdict.NATIVE


def test_a_closed_process_imports_the_core_and_the_backend_only() -> None:
    code = (
        "from mm_core.testing.isolation import close_imports\n"
        "close_imports('cpu')\n"
        "import mm_core.runtime, mm_backend_cpu.device, numpy.fft, ml_dtypes, sqlite3\n"
        "for name in ('mm_ops_standard', 'mm_parser_onnx', 'onnx', 'pytest'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("is not part of a deployment") == 4


def test_a_process_that_has_operators_cannot_be_closed() -> None:
    code = "import mm_ops_standard\nfrom mm_core.testing.isolation import close_imports\nclose_imports('cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "mm_ops_standard" in done.stderr.splitlines()[-1]
    assert "imported already" in done.stderr


# --- in pytest ----------------------------------------------------------------------------------------------------

SUITE = """
import numpy as np
import pytest
from ill_engine import Ill

from mm_core.testing.case import Case, DataSet
from mm_core.testing.exceptions import Expected, Exceptions

LISTED = Exceptions("ill", {"run refuse": Expected("rejected", "no"), "run well": Expected("wrong", "stale")})
DATA = (DataSet({"x": np.array(1.0)}, {"y": np.array(1.0)}),)


@pytest.mark.parametrize("source", ["run good", "run refuse", "run well", "run abort"])
def test_case(harness, source):
    harness(Ill(), Case(source, source, DATA), LISTED)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_fixture_judges_and_sums_up(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "ill_engine.py").write_text(ILL)
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *workers, "test_suite.py"], cwd=tmp_path, capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert "2 failed, 2 passed" in done.stdout, done.stdout
    assert "ill: 50.0% native of 4 cases (1 crash, 2 native, 1 rejected)" in done.stdout
    assert "run well: native, but listed as wrong: stale; take the line out" in done.stdout
    assert "signal SIGABRT" in done.stdout
