"""mm_run on real model files: figures, files, comparison, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import mm_core as mm
from mm_core.cli.compare import compare
from mm_core.cli.measure import measure
from mm_core.cli.run import command

QUICK = ["--warmup", "1", "--duration", "10", "--iterations", "5"]


def network(offset: float = 0.0) -> mm.Network:
    net = mm.Network("tiny")
    x = net.add_input("x", mm.float32, ("N", 4))
    with net.at(mm.Location("test", "first", "Mul")):
        squared = net.mul(x, x)
    with net.at(mm.Location("test", "second", "Add")):
        shifted = net.add(squared, np.arange(4, dtype=np.float32) + np.float32(offset))
    with net.at(mm.Location("test", "third", "Tanh")):
        net.mark_output(net.tanh(shifted), "y")
    return net


def build(net: mm.Network, path: Path, **options: object) -> Path:
    config = mm.BuilderConfig(backends=["reference"], opt_level=0, **options)
    mm.Builder(config).build(net).save(path)
    return path


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    return build(network(), tmp_path / "tiny.mm", keep_graph=True)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_blocks_a_user_knows_are_printed(model_file: Path) -> None:
    done = run(model_file, *QUICK)
    assert done.exit_code == 0, done.output
    for title in (
        "Parameter Information", "Model Information", "Device Information", "Load", "Host Occupancy",
        "Buffer Information", "Performance Summary", "Latency (host clock)",
    ):  # fmt: skip
        assert f"= {title} =" in done.output
    for word in (
        "min",
        "max",
        "mean",
        "median",
        "p90",
        "p95",
        "p99",
        "throughput (qps)",
        "load model",
        "reference:0",
    ):
        assert word in done.output
    assert "N = 1 (set them with" in done.output


def test_every_file_that_was_asked_for_is_right(model_file: Path, tmp_path: Path) -> None:
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    np.savez(tmp_path / "in.npz", x=x)
    done = run(
        model_file, *QUICK, "--input_files", tmp_path / "in.npz", "--output_path", tmp_path / "out",
        "--json", tmp_path / "r.json", "--trace_path", tmp_path / "t.json", "--debug_path", tmp_path / "debug",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    expected = np.tanh(x * x + np.arange(4, dtype=np.float32))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "y.npy"), expected, rtol=1e-6)

    report = json.loads((tmp_path / "r.json").read_text())
    assert report["batch"] == 3
    assert report["iterations"] >= 5
    assert report["wall_s"] >= 0.01
    assert report["throughput_qps"] == pytest.approx(report["iterations"] * 3 / report["wall_s"])
    assert 0 < report["latency_ms"]["min"] <= report["latency_ms"]["median"] <= report["latency_ms"]["max"]
    # Requests of one at a time fill the wall time: their latencies add up to no more than it.
    assert report["latency_ms"]["mean"] * report["iterations"] <= report["wall_s"] * 1e3 * 1.001

    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in spans)
    assert len([event for event in spans if event["tid"] == 0]) == report["iterations"]
    kernels = {event["name"]: event["args"]["nodes"] for event in spans if event["tid"] == 2}
    assert kernels["mm.tanh"] == "third"

    index = json.loads((tmp_path / "debug" / "index.json").read_text())
    (tanh,) = [entry for entry in index if entry["nodes"] == ["third"]]
    np.testing.assert_array_equal(np.load(tmp_path / "debug" / tanh["file"]), np.load(tmp_path / "out" / "y.npy"))


@pytest.mark.parametrize("options", [["--batch_size", "5"], ["--input_dims", "x=5,4"], ["--input_dims", "5,4"]])
def test_sizes_of_symbols(model_file: Path, tmp_path: Path, options: list[str]) -> None:
    done = run(model_file, *QUICK, *options, "--output_path", tmp_path)
    assert done.exit_code == 0, done.output
    assert np.load(tmp_path / "y.npy").shape == (5, 4)


def test_the_measurement_reaches_both_duration_and_iterations(model_file: Path) -> None:
    engine = mm.Model.load(model_file).create_engine()
    inputs = {"x": np.ones((1, 4), np.float32)}
    many = measure(engine, inputs, warmup=0, duration=0, iterations=50)
    assert len(many.requests) == 50
    long = measure(engine, inputs, warmup=0, duration=0.05, iterations=1)
    assert long.wall >= 0.05
    assert len(long.requests) > 1
    assert all(earlier.finished <= later.submitted for earlier, later in zip(long.requests, long.requests[1:]))


def test_requests_in_flight_overlap_and_come_back_in_order(model_file: Path) -> None:
    engine = mm.Model.load(model_file).create_engine()
    deep = measure(engine, {"x": np.ones((1, 4), np.float32)}, warmup=0, duration=0.02, iterations=20, depth=3)
    assert all(times.submitted <= times.accepted <= times.finished for times in deep.requests)
    assert any(later.submitted < earlier.finished for earlier, later in zip(deep.requests, deep.requests[1:]))
    finished = [times.finished for times in deep.requests]
    assert finished == sorted(finished)


def test_comparing_equal_and_unequal_models(model_file: Path, tmp_path: Path) -> None:
    same = run(model_file, *QUICK, "--compare", "reference")
    assert same.exit_code == 0, same.output
    assert "equal within 0.001" in same.output

    other = build(network(offset=0.5), tmp_path / "other.mm")
    different = run(model_file, *QUICK, "--compare", other)
    assert different.exit_code == 1
    assert ": second [mm." in different.output

    loose = run(model_file, *QUICK, "--compare", other, "--tolerance", "10")
    assert loose.exit_code == 0, loose.output


def test_the_first_difference_is_where_numbers_part(model_file: Path, tmp_path: Path) -> None:
    engine = mm.Model.load(model_file).create_engine()
    other = mm.Model.load(build(network(offset=0.5), tmp_path / "other.mm")).create_engine()
    found = compare(engine, other, {"x": np.ones((2, 4), np.float32)})
    by_node = {step.nodes: step.relative for step in found.steps}
    assert by_node["first",] == 0
    assert by_node["second",] > 0.1
    first = found.first(1e-6)
    assert first is not None
    assert first.nodes == ("second",)


def test_nan_and_infinity_are_equal_to_themselves_only(model_file: Path) -> None:
    engine = mm.Model.load(model_file).create_engine()
    x = np.array([[np.nan, np.inf, 1, 2]], np.float32)
    assert compare(engine, engine, {"x": x}).first(0.0) is None


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["absent.mm"], 1, "cannot open"),
        ([], 2, "give one MODEL.mm"),
        (["MODEL", "--magicmind_model", "b.mm"], 2, "give one MODEL.mm"),
        (["MODEL", "--input_dims", "z=1"], 1, "no input 'z'"),
        (["MODEL", "--input_dims", "x=1,5"], 1, "does not allow 5"),
        (["MODEL", "--input_dims", "x=a"], 2, "not a shape"),
        (["MODEL", "--input_files", "absent.npy"], 1, "absent.npy"),
        (["MODEL", "--devices", "absent:0"], 1, "no part for absent:0"),
        (["MODEL", "--devices", "reference:9"], 1, "reference:0"),
        (["MODEL", "--compare", "absent"], 1, "neither a file nor an installed backend"),
    ],
)
def test_what_goes_wrong_is_one_line(
    model_file: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    arguments = [str(model_file) if argument == "MODEL" else argument for argument in arguments]
    done = run(*arguments, *QUICK)
    assert done.exit_code == status, done.output
    assert message in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


def test_a_model_without_its_graph_cannot_be_compared_with_a_backend(tmp_path: Path) -> None:
    done = run(build(network(), tmp_path / "m.mm"), *QUICK, "--compare", "reference")
    assert done.exit_code == 1
    assert "--keep_graph" in done.stderr


def test_a_damaged_file_is_told_as_such(model_file: Path) -> None:
    data = bytearray(model_file.read_bytes())
    data[len(data) // 2] ^= 1
    model_file.write_bytes(data)
    done = run(model_file, *QUICK)
    assert done.exit_code == 1
    assert "damaged" in done.stderr


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    done = run(tmp_path / "absent.mm", "--verbose")
    assert done.exit_code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error:")
