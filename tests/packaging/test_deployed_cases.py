"""ONNX's cases, built here, run from their files where only the core and the CPU backend are installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mm_parser_onnx.testing import onnx_cases

from mm_core.testing.backend_engine import BackendEngine
from mm_core.testing.exceptions import Exceptions
from mm_core.testing.harness import Lane
from mm_core.testing.verdict import Verdict
from tests.packaging.conftest import Environment
from tests.packaging.distributions import ROOT

pytestmark = pytest.mark.serial

EVERY = 10
"""One case of so many is run; they are sorted by name, so that every operator with that many forms has one."""


def test_cases_run_in_a_deployment(environment: Callable[..., Environment]) -> None:
    deployed = environment("mm-core", "mm-backend-cpu")
    absent = ("mm_ops_standard", "mm_parser_onnx", "mm_backend_reference", "onnx")
    code = f"import importlib.util as u; print([name for name in {absent} if u.find_spec(name)])"
    assert deployed.run("python", "-c", code).strip() == "[]"
    listed = Exceptions.read(ROOT / "plugins" / "parsers" / "onnx" / "tests" / "exceptions.toml", "cpu")
    with Lane(BackendEngine("cpu"), python=str(deployed.folder / "bin" / "python")) as lane:
        outcomes = [lane.judge(case) for case in onnx_cases()[::EVERY]]
    assert not list(filter(None, map(listed.problem, outcomes)))
    assert sum(outcome.verdict is Verdict.NATIVE for outcome in outcomes) > 0.9 * len(outcomes) > 150
