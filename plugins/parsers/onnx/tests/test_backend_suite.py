"""ONNX's own cases, each judged strictly: native, or listed in exceptions.toml with the reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from mm_parser_onnx.testing import KINDS, onnx_cases

from mm_core.testing.backend_engine import BackendEngine, SymbolicEngine
from mm_core.testing.case import Case
from mm_core.testing.engine import Engine
from mm_core.testing.exceptions import UNEXPLAINED, Exceptions, read_tables

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
ENGINES = {
    engine.name: engine
    for engine in (BackendEngine("cpu"), SymbolicEngine("cpu"), BackendEngine("reference", oracle=True))
}
CASES = [case for kind in KINDS for case in onnx_cases(kind)]


@cache
def exceptions(engine: str) -> Exceptions:
    return Exceptions.read(EXCEPTIONS, engine)


@pytest.mark.parametrize(
    ("engine", "case"),
    [
        pytest.param(engine, case, id=f"{engine.name}-{case.name}")
        for engine in ENGINES.values()
        for case in CASES
        if engine.takes(case)
    ],
)
def test_onnx(harness: Callable[[Engine, Case, Exceptions], None], engine: Engine, case: Case) -> None:
    harness(engine, case, exceptions(engine.name))


def test_lists_name_engines_and_cases_that_exist() -> None:
    assert read_tables(EXCEPTIONS).keys() <= ENGINES.keys()
    names = {case.name for case in CASES}
    assert len(names) == len(CASES)
    for engine in ENGINES:
        assert not exceptions(engine).unknown(names)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_exception_is_explained(engine: str) -> None:
    assert [case for case, line in exceptions(engine).items() if line.reason.startswith(UNEXPLAINED)] == []
