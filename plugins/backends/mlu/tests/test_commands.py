"""The whole way by commands in fresh processes, as a user types them: the digits on the card, beside the CPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DIGITS = Path(__file__).parents[4] / "examples" / "digits"
COMMANDS = Path(sys.executable).parent
QUICK = ("--warmup", "0", "--duration", "0", "--iterations", "3")


def command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MM_", "NEUWARE"))}
    name, *rest = map(str, arguments)
    return subprocess.run(
        [COMMANDS / name, *rest], env={**environment, **variables}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


def succeeds(*arguments: object, **variables: str) -> str:
    done = command(*arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the held-out images, their number as the batch, and the model built for the card with the CPU beside it."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(DIGITS / "held_out.npz") as archive:
        np.savez(folder / "images.npz", image=archive["images"][:, None].astype(np.float32) / 16)
        np.save(folder / "labels.npy", archive["labels"])
    said = succeeds(
        "mm_build", DIGITS / "digits.onnx", "--backend", "mlu,cpu", "--mlu_arch", "mtp_372", "--batch_size", "360",
        "--keep_graph", "--print_ir", folder / "ir", "-o", folder / "digits.mm",
    )  # fmt: skip
    assert re.search(r"placement +: 7 native on mlu\n", said)
    return folder


def test_accuracy_is_that_of_the_cpu(folder: Path) -> None:
    succeeds("mm_build", DIGITS / "digits.onnx", "-o", folder / "cpu.mm")
    found = {}
    for name, devices in (("digits", "mlu:0,cpu:0"), ("cpu", "cpu:0")):
        given = ("--input_files", folder / "images.npz", "--output_path", folder / name, "--devices", devices)
        succeeds("mm_run", folder / f"{name}.mm", *given, *QUICK)
        found[name] = np.load(folder / name / "logits.npy")
    np.testing.assert_allclose(found["digits"], found["cpu"], rtol=1e-3, atol=1e-3)
    labels = np.load(folder / "labels.npy")
    right = {name: int((logits.argmax(1) == labels).sum()) for name, logits in found.items()}
    assert right["digits"] == right["cpu"] >= 349


def test_what_is_predicted_is_said_to_be(folder: Path) -> None:
    report = folder / "report.json"
    said = succeeds("mm_run", folder / "digits.mm", "--devices", "mlu:1", "--json", report, *QUICK)
    assert re.search(r"mlu:1 +: emulated MLU370-X4, mtp_372, 8 clusters", said)
    assert "Latency (host clock)" in said
    block = said.partition("Predicted latency (not measured)")[2]
    milliseconds, kernels = re.search(r"mlu:1 +: ([0-9.]+) ms in (\d+) kernels", block).groups()  # type: ignore[union-attr]
    assert int(kernels) == 7
    assert json.loads(report.read_text())["predicted_ms"]["mlu:1"] == pytest.approx(float(milliseconds), abs=1e-3)
    unknown = succeeds(
        "mm_build", DIGITS / "digits.onnx", "--backend", "mlu", "--strict", "--mlu_arch", "mtp_592", "--batch_size",
        "1", "-o", folder / "mtp_592.mm",
    )  # fmt: skip
    assert "native on mlu" in unknown
    said = succeeds("mm_run", folder / "mtp_592.mm", *QUICK, MM_MLU_EMULATED="MLU590")
    assert "emulated MLU590" in said
    assert "Predicted" not in said  # Nobody has published how fast it is.


def test_watched_dumped_and_compared(folder: Path) -> None:
    said = succeeds(
        "mm_run", folder / "digits.mm", "--input_files", folder / "images.npz", "--compare", "cpu", "--debug_path",
        folder / "values", "--trace_path", folder / "trace.json", *QUICK,
    )  # fmt: skip
    assert "intermediate results : 7 compared" in said
    assert "equal within 0.001" in said
    index = json.loads((folder / "values" / "index.json").read_text())
    convolved = next(item for item in index if "node_Conv_51" in item["nodes"])
    assert np.load(folder / "values" / convolved["file"]).shape == (360, 16, 8, 8)
    trace = json.loads((folder / "trace.json").read_text())
    kernels = [event for event in trace["traceEvents"] if event.get("args", {}).get("nodes")]
    assert kernels[0]["args"]["nodes"] == "node_Conv_51, node_relu"
    assert len(kernels) == 7
    stages = {path.name for path in (folder / "ir").iterdir()}
    assert {"part0.layout.txt", "part0.lower.txt", "part0.memory.txt", "part0.source.txt"} <= stages
    assert "__mlu_global__" in (folder / "ir" / "part0.source.txt").read_text()


def test_a_symbolic_batch_goes_to_the_cpu_with_the_reason_and_never_under_strict(folder: Path) -> None:
    build = ("mm_build", DIGITS / "digits.onnx", "-o", folder / "symbolic.mm", "--backend")
    said = succeeds(*build, "mlu,cpu")
    assert "7 native on cpu" in said
    assert "because mlu: the size N is not known when building; give --batch_size or --input_dims" in said
    succeeds("mm_run", folder / "symbolic.mm", "--devices", "mlu:0,cpu:0", *QUICK)
    done = command("mm_run", folder / "symbolic.mm", "--devices", "mlu:0", *QUICK)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the model has no part for mlu:0; available: cpu; build it with")
    done = command(*build, "mlu", "--strict")
    assert done.returncode == 1
    assert "no backend runs mm.fused: mlu: the size N is not known when building" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mlu_arch", "mtp_9"], "'mtp_9' is not an MLU architecture; available: mtp_372, mtp_592"),
        (["--mlu_arch", ""], "'' is not an MLU architecture"),
        (["--mlu_arch", "mtp_372:0"], "'0' is not a list of cluster counts"),
        (["--build_config", '{"archs": ["mtp_372", "mtp_592"]}'], "archs names 2 architectures"),
        (["--build_config", '{"target": {"mlu_arch": 372}}'], "the option 'mlu_arch' of a backend is 372"),
        (["--precision", "qint8_mixed_float16"], "no pass of this build brings about"),
    ],
)
def test_command_lines_that_are_wrong(tmp_path: Path, arguments: list[str], message: str) -> None:
    build = ("mm_build", DIGITS / "digits.onnx", "--backend", "mlu,cpu", "--batch_size", "1", "-o", tmp_path / "m.mm")
    done = command(*build, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "m.mm").exists()
