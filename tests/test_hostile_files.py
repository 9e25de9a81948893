"""Files made to do harm: whatever stands in them, the outcome is success or an MMError, never a signal or a hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import mm_core as mm
from mm_core.cli.run import command
from mm_core.errors import InputError, MMError, ModelFileError, ParseError
from mm_core.types import symbol
from tests import hostile

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("kind", "count"), [("model", 1500), ("program", 4000), ("onnx", 800), ("text", 600)], ids=lambda value: str(value)
)
def test_mutants(kind: str, count: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.hostile", kind, "0", str(count)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    counts = json.loads(run.stdout.strip().splitlines()[-1])
    # Mutants that still work and mutants that do not show that both ways were taken.
    assert counts["success"] > 0
    assert sum(counts.values()) == count


# ---- one lie at a time -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: hostile.saved(network, ("cpu",), 0) for name, network, _ in hostile.networks()}


INPUTS = {name: inputs for name, _, inputs in hostile.networks()}


def changed(data: bytes, change: Callable[[hostile.Parts], object]) -> bytes:
    parts = hostile.Parts(data)
    change(parts)
    return parts.bytes()


def program(parts: hostile.Parts) -> dict[str, Any]:
    found: dict[str, Any] = parts.header["parts"][0]["manifest"]["program"]
    return found


def first(parts: hostile.Parts, space: str) -> list[Any]:
    return next(buffer for buffer in program(parts)["buffers"] if buffer[0] == space)


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def nested_blocks(parts: hostile.Parts, levels: int) -> None:
    main = parts.sections["plan"]["main"]
    step = next(step for step in main["instructions"] if step["do"] == "if")
    inner = step["then_block"]
    for _ in range(levels):
        inner = {**inner, "instructions": [{**step, "then_block": inner}]}
    step["then_block"] = inner


LIES: dict[str, tuple[str, Callable[[hostile.Parts], object], str]] = {
    "an input larger than the request's": (
        "convolutions", lambda p: first(p, "input").__setitem__(3, ["N", 3, 120, 120]), "reads .* bytes"),
    "a view of an output that is larger than it": (
        "convolutions", lambda p: program(p)["buffers"].append(["output", 0, "f32", ["N", 1000]]), "writes .* bytes"),
    "an output that no kernel knows": (
        "convolutions", lambda p: first(p, "output").__setitem__(3, ["N", 1000]), "softmax: two operands"),
    "a constant larger than its data": (
        "convolutions", lambda p: first(p, "constant").__setitem__(3, [4, 3, 300, 300]), "constant .* has .* bytes"),
    "an element type larger than the plan's": (
        "convolutions", lambda p: program(p)["buffers"].append(["output", 0, "f64", ["N", 10]]), "writes .* bytes"),
    "a size that divides by zero": (
        "convolutions", lambda p: first(p, "arena").__setitem__(3, ["floordiv(8, N - 2)"]), "divided by zero"),
    "a size that comes out negative": ("convolutions", lambda p: first(p, "arena").__setitem__(3, ["N - 9"]), "shape"),
    "a size beyond 64 bits": (
        "convolutions", lambda p: first(p, "arena").__setitem__(3, ["*".join(["N"] * 99)]), "63 bits|64 bits"),
    "a size beyond the memory": (
        "convolutions", lambda p: first(p, "arena").__setitem__(3, [2**44, "N"]), "memory|refused"),
    "an expression that explodes": (
        "convolutions", lambda p: first(p, "arena").__setitem__(3, [
            "*".join(f"(a{i}+b{i})" for i in range(200))]), "too many|characters"),
    "an unknown kernel": (
        "convolutions", lambda p: program(p)["steps"][0].__setitem__(0, "library:warp"), "there is no kernel"),
    "code that is not there": ("convolutions", lambda p: program(p)["steps"][0].__setitem__(0, "object:0"), "needs"),
    "a buffer that is not there": (
        "convolutions", lambda p: program(p)["steps"][0].__setitem__(1, [99]), "names a buffer"),
    "inputs that nobody gives": ("convolutions", lambda p: program(p).update(n_inputs=9), "reads 9 values"),
    "garbage as code": ("convolutions", lambda p: p.sections.update(part0=b"\x7fELF" + bytes(90)), "no shared object"),
    "a trace of no step": (
        "convolutions", lambda p: p.header["parts"][0]["manifest"]["traces"][0].__setitem__(0, 999), "trace"),
    "a trace beyond its buffer": (
        "convolutions", lambda p: p.header["parts"][0]["manifest"]["traces"][0].__setitem__(3, [2**40] * 4), "beyond"),
    "a result of another type": (
        "convolutions", lambda p: p.header["outputs"][0].__setitem__(1, "tensor<4xi64>"), "where .* belongs"),
    "strings into native code": (
        "convolutions", lambda p: (
            p.header["inputs"][0].__setitem__(1, "tensor<4x!mm.string>"),
            p.sections["plan"]["slots"].__setitem__(0, "tensor<4x!mm.string>")), "where .* belongs"),
    "two inputs of one name": (
        "convolutions", lambda p: p.header["inputs"].append(p.header["inputs"][0]), "one name"),
    "a slot that is not there": (
        "control", lambda p: p.sections["plan"]["main"]["results"].__setitem__(0, 10**6), "reads slot"),
    "a slot with no value": (
        "control", lambda p: p.sections["plan"]["main"].update(instructions=[]), "before that has a value"),
    "blocks without an end": ("control", lambda p: nested_blocks(p, 120), "nests deeper"),
    "a list without an end": ("control", lambda p: p.sections["plan"].update(guards=deep(900)), "not valid"),
    "a type without an end": (
        "control", lambda p: p.sections["plan"]["slots"].__setitem__(0, "!mm.sequence<" * 5000 + ">" * 5000), "nests"),
    "a host operation that does not exist": (
        "control", lambda p: next(
            step for step in p.sections["plan"]["main"]["instructions"] if step["do"] == "host"
        ).update(operator="mm.nothing"), "mm.nothing"),
    "requirements that are no list": (
        "control", lambda p: p.header["requires"].update(run="mm-core"), "requires"),
    "ranges that are no range": ("control", lambda p: p.header.update(dim_range={"N": [5, 1]}), "5 to 1"),
    "a report of numbers": ("control", lambda p: p.sections["report"].update(notes=[1, "a"]), "int where str"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_lies_with_right_digests(files: dict[str, bytes], lie: str) -> None:
    name, change, message = LIES[lie]
    with pytest.raises(MMError, match=message):
        hostile.run_model(changed(files[name], change), INPUTS[name])


@pytest.mark.parametrize("operation", ["add", "matmul"])
def test_sizes_that_only_running_tells_are_compared_before_native_code_takes_them(operation: str) -> None:
    """Two values that must agree in a size may differ in it: an error, where generated code would read beyond one."""
    net = mm.Network("counted")

    def chosen_rows(name: str, symbol: str) -> Any:
        value = net.add_input(name, "float32", (symbol, 512))
        sums = net.reduce_sum(value, axes=(1,), keepdims=False)
        return net.gather(value, net.reshape(net.nonzero(sums), (-1,)), axis=0)

    left, right = chosen_rows("x", "N"), chosen_rows("y", "M")
    if operation == "matmul":
        left = net.transpose(left, permutation=(1, 0))
    net.mark_output(net.op(f"mm.{operation}", left, right), "result")
    context = mm.Builder().build(net).create_engine().create_context()
    ones = np.ones((100, 512), np.float32)
    whole = context.run({"x": ones, "y": ones})["result"]
    assert (whole == (100 if operation == "matmul" else 2)).all()
    for few in (0, 7, 99):
        with pytest.raises(InputError, match=f"{operation}.* does not hold: 100 and {few}"):
            context.run({"x": ones, "y": ones * (np.arange(100) < few)[:, None].astype(np.float32)})


def repeated(size: Any, step: Callable[[Any], Any]) -> Any:
    for _ in range(1000):
        size = step(size)
    return size


def test_dimensions_have_bounds() -> None:
    size = symbol("N")
    with pytest.raises(InputError, match=r"characters|terms"):
        repeated(size + 1, lambda it: it * it)
    with pytest.raises(InputError, match=r"nests deeper|characters"):
        repeated(size, lambda it: (it + 1) // 2 % 7)
    with pytest.raises(InputError, match="characters"):
        repeated(size, lambda it: (it * it) % (it + 1))


def test_shapes_that_square_themselves_are_unknown_soon() -> None:
    """A chain of products of sizes neither hangs nor fills the memory."""
    net = mm.Network("squares")
    x = net.add_input("x", "float32", ("N", "M"))
    sizes = net.shape(x)
    for _ in range(200):
        sizes = net.mul(sizes, net.add(sizes, sizes))
    net.mark_output(net.expand(x, sizes), "y")
    net.verify()
    constant = net.constant(np.array([3, 5], np.int64))
    for _ in range(200):
        constant = net.mul(constant, constant)
    net.mark_output(constant, "wrapped")
    net.verify()


MEGABYTES = ("[" * 10_000_000, '"' * 1_000_001, "(" * 3_000_000, "1" * 5_000_000, "tensor<" * 10**6)


@pytest.mark.parametrize("text", MEGABYTES, ids=lambda text: text[:1])
def test_megabytes_of_nothing_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ParseError):
        mm.Network.from_text('"mm.network"() ({' + text)
    assert time.perf_counter() - started < 30


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    slow = tmp_path / "slow-cc"
    slow.write_text('#!/bin/sh\ncase "$1" in --version) echo slow 1.0;; *) touch "$MARK"; exec sleep 5;; esac\n')
    slow.chmod(0o755)
    (tmp_path / "scratch").mkdir()
    mark, target = tmp_path / "mark", tmp_path / "out.mm"
    environment = {**os.environ, "CC": str(slow), "MARK": str(mark), "TMPDIR": str(tmp_path / "scratch"),
                   "MM_CACHE_DIR": str(tmp_path / "cache")}  # fmt: skip
    source = ROOT / "examples" / "digits" / "digits.onnx"
    process = subprocess.Popen(
        [sys.executable, "-c", "from mm_core.cli.build import main; main()", str(source), "-o", str(target)],
        env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert mark.exists()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert not target.exists()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "absent/report.json"], "absent/report.json: No such file"),
        (["--trace_path", "absent/trace.json"], "absent/trace.json: No such file"),
        (["--output_path", "m.mm/results"], "m.mm/results"),
        (["--batch_size", "99999999999"], "there is not enough memory"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_paths_that_cannot_be_written_are_no_internal_errors(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.mm").write_bytes(files["convolutions"])
    quick = ["--warmup", "0", "--duration", "0", "--iterations", "1"]
    result = CliRunner().invoke(command, ["m.mm", *quick, *options])
    assert result.exit_code == 1
    assert f"error: {message}" in result.stderr
    assert "internal" not in result.stderr


def test_an_executable_of_one_backend_is_not_handed_to_another(files: dict[str, bytes]) -> None:
    def change(parts: hostile.Parts) -> None:
        parts.header["parts"][0]["backend"] = "reference"

    with pytest.raises(ModelFileError, match="the plan runs it elsewhere"):
        mm.Model.load(changed(files["convolutions"], change))


def test_threads_beyond_reason(files: dict[str, bytes]) -> None:
    model = replace(mm.Model.load(files["convolutions"]), name="threads")
    one, many = (
        model.create_engine(threads=threads).create_context().run(INPUTS["convolutions"])["y"]
        for threads in (1, 10**12)
    )
    assert one.tobytes() == many.tobytes()
