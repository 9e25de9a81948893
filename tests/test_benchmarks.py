"""The benchmark harness: real engines in turn on a small model, and its arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report, schedule
from benchmarks.engines import ENGINES
from benchmarks.request import Request
from benchmarks.schedule import Measurement, compare, difference
from benchmarks.summary import summarise
from tests import zoo


def test_two_engines_in_turn(tmp_path: Path) -> None:
    model = zoo.build("minilm_l6", small=True)
    request = Request("minilm_l6", model.path, 1, 1, True)
    steps: list[str] = []
    measurements = compare(request, ["torch", "ort"], rounds=2, seconds=0.02, progress=steps.append)
    assert [step.rpartition(" ")[2] for step in steps] == ["ort", "torch", "torch", "ort", "torch", "ort"]
    rows = summarise("minilm_l6", measurements)
    assert {row.engine for row in rows} == {"torch", "ort"}
    assert all(len(entry.rounds) == 2 and min(map(len, entry.rounds)) >= 3 for entry in measurements)
    errors = {row.engine: row.error for row in rows}
    assert errors["ort"] == 0
    assert 0 < errors["torch"] < 1e-4
    report.write(tmp_path, rows, {"threads": 1})
    assert [row["engine"] for row in json.loads((tmp_path / "results.json").read_text())["rows"]] == [
        row.engine for row in rows
    ]


def test_a_failing_engine_is_a_row_and_not_the_end() -> None:
    model = zoo.build("minilm_l6", small=True)
    missing = Request("no_such_model", model.path, 1, 1, True)
    with pytest.raises(schedule.EngineError, match="no_such_model"):
        compare(missing, ["ort"], 1, 0.01, lambda _: None)
    broken = Measurement("mm", failure="Traceback\nBuildError: no")
    fine = Measurement("ort", rounds=[[0.001]])
    assert [row.engine for row in summarise("x", [broken, fine])] == ["ort", "mm"]


def test_ratio_is_the_median_of_ratios_within_rounds() -> None:
    ours = Measurement("mm", rounds=[[1.0], [10.0], [3.0]])
    best = Measurement("ort", rounds=[[2.0], [20.0], [3.0]])
    slow = Measurement("torch", rounds=[[4.0], [40.0], [6.0]])
    ratios = {row.engine: row.ratio for row in summarise("x", [ours, slow, best])}
    assert ratios == {"mm": 0.5, "ort": 1.0, "torch": 2.0}


def test_difference_is_relative_to_the_largest_output() -> None:
    assert difference([np.array([1.0, 4.0])], [np.array([1.5, 5.0])]) == 0.2
    assert difference([np.ones(2)], [np.ones(3)]) == float("inf")


def test_every_engine_has_its_module() -> None:
    folder = Path(schedule.__file__).parent
    for module in ENGINES.values():
        assert (folder.parent / (module.replace(".", "/") + ".py")).is_file()
