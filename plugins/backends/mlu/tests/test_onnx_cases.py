"""ONNX's own cases, judged by the harness: none wrong or crashed beside the CPU; how many the device runs alone.

With `-m "long or not long"` every case is judged, and the figures are printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mm_backend_mlu import compiler
from mm_backend_mlu.toolchain import EmulatedObject
from mm_parser_onnx.testing import KINDS, onnx_cases

import mm_core as mm
from mm_core.errors import MMError
from mm_core.model.report import Placement
from mm_core.testing.backend_engine import BackendEngine
from mm_core.testing.case import Case
from mm_core.testing.engine import Engine
from mm_core.testing.exceptions import Exceptions

CASES = [case for kind in KINDS for case in onnx_cases(kind)]
SAMPLE = CASES[::50]
ENGINE = BackendEngine("mlu", beside=("cpu",))
_OF_CPU = Path(__file__).parents[3] / "parsers" / "onnx" / "tests" / "exceptions.toml"
LISTED = Exceptions(ENGINE.name, Exceptions.read(_OF_CPU, "cpu"))
LEAST_NATIVE = 0.4


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[] if case in SAMPLE else [pytest.mark.long]) for case in CASES],
)
def test_with_the_cpu_beside_it(harness: Callable[[Engine, Case, Exceptions], None], case: Case) -> None:
    harness(ENGINE, case, LISTED)


@pytest.mark.long
def test_where_operations_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement alone: what is compiled is the matter of the tests above."""
    monkeypatch.setattr(compiler, "compile_emulated", lambda source, target: EmulatedObject(b"", {}))
    cases, operations = Counter[str](), Counter[str]()
    for case in CASES:
        placement = _placement(case)
        operations.update(record.device for record in placement)
        cases[_where({record.device for record in placement})] += 1
    with capsys.disabled():
        print(f"\n{len(CASES)} cases: {dict(cases)}; {operations.total()} operations: {dict(operations)}")
    assert cases["on the device alone"] / len(CASES) >= LEAST_NATIVE


def _placement(case: Case) -> tuple[Placement, ...]:
    try:
        config = mm.BuilderConfig(backends=["mlu", "cpu"], strict=True, threads=1)
        return mm.Builder(config).build(mm.parse(case.source)).report.placement
    except MMError:
        return ()


def _where(devices: set[str]) -> str:
    if devices == {"mlu"}:
        return "on the device alone"
    return "on both" if "mlu" in devices else "not on the device"
