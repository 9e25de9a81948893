"""The benchmark harness: real engines in turn on a small model, and its arithmetic."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import page, report, schedule
from benchmarks.engines import ENGINES
from benchmarks.micro.figures import Figure
from benchmarks.request import Request
from benchmarks.roofline import Kernel, Roofline
from benchmarks.run import main as run
from benchmarks.schedule import Measurement, compare, difference
from benchmarks.summary import mean_ratio, summarise
from tests import zoo
from tests.core.layering import ROOT


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
    assert all(math.isnan(row.vs_ours) for row in rows)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = summarise("x", [Measurement("mm", rounds=[[1.0, 2.0]]), Measurement("torch", failure="no")])
    report.write(tmp_path, rows, {"threads": 1})
    read, settings = report.read(tmp_path / "results.json")
    assert repr(read) == repr(rows)  # NaN equals nothing
    assert settings == {"threads": 1}


def test_a_failing_engine_is_a_row_and_not_the_end() -> None:
    model = zoo.build("minilm_l6", small=True)
    missing = Request("no_such_model", model.path, 1, 1, True)
    with pytest.raises(schedule.EngineError, match="no_such_model"):
        compare(missing, ["ort"], 1, 0.01, lambda _: None)
    broken = Measurement("mm", failure="Traceback\nBuildError: no")
    fine = Measurement("ort", rounds=[[0.001]])
    assert [row.engine for row in summarise("x", [broken, fine])] == ["ort", "mm"]


def test_ratios_are_the_medians_of_those_within_rounds() -> None:
    ours = Measurement("mm", rounds=[[1.0], [10.0], [3.0]])
    best = Measurement("ort", rounds=[[2.0], [20.0], [3.0]])
    slow = Measurement("torch", rounds=[[4.0], [40.0], [6.0]])
    before = Measurement("mm-float32", rounds=[[0.5], [5.0], [1.5]])
    rows = {row.engine: row for row in summarise("x", [ours, slow, best, before])}
    assert {name: row.vs_best_peer for name, row in rows.items()} == {"mm": 2, "ort": 1, "torch": 0.5, "mm-float32": 4}
    assert {name: row.vs_ours for name, row in rows.items()} == {"mm": 1, "ort": 2, "torch": 4, "mm-float32": 0.5}
    (alone,) = summarise("x", [ours])
    assert math.isnan(alone.vs_best_peer)
    assert alone.vs_ours == 1


def test_the_mean_is_geometric_and_leaves_out_what_is_missing() -> None:
    assert mean_ratio([0.5, 8.0, float("nan")]) == pytest.approx(2)
    assert math.isnan(mean_ratio([]))


def test_difference_is_relative_to_the_largest_output() -> None:
    assert difference([np.array([1.0, 4.0])], [np.array([1.5, 5.0])]) == 0.2
    assert difference([np.ones(2)], [np.ones(3)]) == float("inf")


def test_every_engine_has_its_module() -> None:
    folder = Path(schedule.__file__).parent
    for module in ENGINES.values():
        assert (folder.parent / (module.replace(".", "/") + ".py")).is_file()


MARKS = "# Page\n\n<!-- engines -->\nold\n<!-- /engines -->\n\n<!-- other -->\nkept\n<!-- /other -->\nend\n"


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    rows = []
    for model, ours in (("first", 0.010), ("second", 0.040)):
        times = {"mm": ours, "torch": 0.080, "ort": 0.020}
        rows += summarise(model, [Measurement(engine, "1.0", 0.1, 2e-6, rounds=[[t]]) for engine, t in times.items()])
    rows += summarise("third", [Measurement("mm", failure="no"), Measurement("ort", rounds=[[0.003]])])
    settings = {"command": "python -m made.up", "cpu": "cpu", "threads": 2, "batch": 1, "rounds": 1, "engines": "mm 1"}
    report.write(tmp_path / "engines", rows, settings)
    text = page.written(MARKS, tmp_path, tmp_path / "images")
    assert "`python -m made.up`\n" in text
    assert "| model | mm ms | torch ms | ort ms | best peer / mm | PyTorch eager / mm | error |" in text
    assert "| first | 10.00 | 80.00 | 20.00 | 2.00 | 8.00 | 2e-06 |" in text
    assert "| second | 40.00 | 80.00 | 20.00 | 0.50 | 2.00 | 2e-06 |" in text
    assert "| third | failed |  | 3.00 |  |  |  |" in text
    assert "| geometric mean |  |  |  | **1.00** | **4.00** |  |" in text
    assert "![engines](images/engines.png)" in text
    assert 1000 < (tmp_path / "images" / "engines.png").stat().st_size < 150_000
    assert text.startswith("# Page\n")
    assert text.endswith("<!-- other -->\nkept\n<!-- /other -->\nend\n")
    assert "old" not in text
    assert page.written(text, tmp_path, tmp_path / "images") == text


def test_the_page_shows_kernels_and_promises(tmp_path: Path) -> None:
    settings = {"command": "python -m made.up", "cpu": "cpu", "threads": 2, "batch": 1}
    kernels = (Kernel("net", "conv: direct", 3, 0.009, 900_000_000, 1_000_000), Kernel("net", "copy", 1, 0.001, 0, 10))
    roofline = Roofline(settings, 200e9, 40e9, kernels)
    roofline.write(tmp_path / "engines")
    assert Roofline.read(tmp_path / "engines" / "roofline.json") == roofline
    figures = [Figure("loading", 0.125, 0.3), Figure("a request", 5.0, 4.0, "us"), Figure("ort", 4.0, unit="us")]
    assert [figure.exceeded for figure in figures] == [False, True, False]
    (tmp_path / "other").mkdir()
    stored = {"settings": settings, "figures": [asdict(figure) for figure in figures]}
    (tmp_path / "other" / "figures.json").write_text(json.dumps(stored))
    text = page.written(MARKS, tmp_path, tmp_path / "images")
    assert "cpu, 2 threads: 200 GFLOP/s, 40.0 GB/s from memory, batch 1." in text
    assert "| net | all | 4 | 10.00 | 100% | 90 | 45% |  |" in text
    assert "| net | conv: direct | 3 | 9.00 | 90% | 100 | 50% | 900.0 |" in text
    assert "| net | copy | 1 | 1.00 | 10% |  |  |  |" in text
    assert "| a request | 5 us | < 4 us |" in text
    assert "| ort | 4 us |  |" in text


def test_results_say_what_was_typed(tmp_path: Path) -> None:
    typed = ["--models", "minilm_l6", "--engines", "ort,torch", "--small", "--rounds", "1", "--seconds", "0.01"]
    done = CliRunner().invoke(run, [*typed, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    rows, settings = report.read(tmp_path / "results.json")
    assert {row.engine for row in rows} == {"ort", "torch"}
    command = settings["command"]
    assert isinstance(command, str)
    assert set(command.removeprefix("python -m benchmarks.run ").split()) == set(typed)


def test_every_section_of_the_page_can_be_measured() -> None:
    text = (ROOT / page.PAGE).read_text()
    assert set(re.findall(r"<!-- ([\w-]+) -->", text)) == set(page.MEASUREMENTS)
    assert all(text.count(f"<!-- /{name} -->") == 1 for name in page.MEASUREMENTS)
