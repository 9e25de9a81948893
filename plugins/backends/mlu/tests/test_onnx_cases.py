"""ONNX's own cases on the emulated device with the CPU beside it: none wrong; how many the device runs alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from mm_backend_mlu import compiler
from mm_backend_mlu.toolchain import EmulatedObject
from mm_parser_onnx.testing import KINDS, onnx_cases

import mm_core as mm
from mm_core.errors import BuildError
from mm_core.testing.case import Case
from mm_core.testing.comparison import difference
from mm_core.testing.exceptions import Exceptions

CASES = [case for kind in KINDS for case in onnx_cases(kind)]
SAMPLE = CASES[::50]
_LIST = Path(__file__).parents[3] / "parsers" / "onnx" / "tests" / "exceptions.toml"
_ROUNDED = "float16 is rounded after every step there, and between the two products here: the last digit differs"
EXPLAINED = {name: line.reason for name, line in Exceptions.read(_LIST, "cpu").items()} | dict.fromkeys(
    ("test_attention_4d_fp16", "test_attention_4d_causal_fp16", "test_attention_4d_causal_fp16_expanded"), _ROUNDED
)
LEAST_NATIVE = 0.4


def _model(case: Case, *backends: str) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=list(backends), strict=True, threads=1)).build(mm.parse(case.source))


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[] if case in SAMPLE else [pytest.mark.long]) for case in CASES],
)
def test_case(case: Case) -> None:
    """Right, or refused because the CPU refuses it too. Some cases have no right answer, such as random streams."""
    if case.name in EXPLAINED:
        pytest.skip(EXPLAINED[case.name])
    try:
        model = _model(case, "mlu", "cpu")
    except BuildError:
        with pytest.raises(BuildError):
            _model(case, "cpu")
        return
    context = model.create_engine(threads=1).create_context()
    for data in case.data_sets:
        assert not difference(data.outputs, context.run(data.inputs), case.tolerance)


@pytest.mark.long
def test_most_run_on_the_device_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement alone: what is compiled is the matter of the tests above."""
    monkeypatch.setattr(compiler, "compile_emulated", lambda source, target: EmulatedObject(b"", {}))
    native = 0
    for case in CASES:
        try:
            native += all(record.device == "mlu" for record in _model(case, "mlu").report.placement)
        except BuildError:
            continue
    assert native / len(CASES) >= LEAST_NATIVE
