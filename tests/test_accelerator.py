"""A device with its own memory and an asynchronous queue, installed as a package of its own, beside the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "accelerator"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed into a folder of its own; only processes that have it on their path see the plugin."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "toy"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
         str(folder), str(source)],
        check=True,
    )  # fmt: skip
    return folder


def run(installed: Path, code: str) -> str:
    """Run Python with the plugin installed; its output."""
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


PREAMBLE = """
import threading
import numpy as np
import mm_core as mm

rng = np.random.default_rng(0)

def weights(*shape):
    return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

def transformer_block():
    net = mm.Network("block")
    x = net.add_input("x", "float32", ("N", 6, 32))
    h = net.layer_norm(x, weights(32), weights(32), name="norm")
    q, k, v = (net.linear(h, weights(32, 32), weights(32), name=f"linear_{n}") for n in "qkv")
    heads = [net.transpose(net.reshape(t, net.concat(net.shape(x, end=2), np.int64([4, 8]), axis=0)),
                           permutation=(0, 2, 1, 3)) for t in (q, k, v)]
    a = net.attention(*heads, name="attention")
    a = net.reshape(net.transpose(a, permutation=(0, 2, 1, 3)), net.shape(x))
    y = net.add(x, net.gelu(net.linear(a, weights(32, 32)), name="gelu"))
    net.mark_output(net.cumsum(y, axis=1, name="running"), "y")
    return net

def build(net, *backends, **options):
    return mm.Builder(mm.BuilderConfig(backends=backends, **options)).build(net)

def run(model, **inputs):
    return model.create_engine().create_context().run(inputs)
"""


def test_split_network_is_right(installed: Path) -> None:
    out = run(
        installed,
        """
net = transformer_block()
x = rng.standard_normal((3, 6, 32)).astype(np.float32)
split = build(net, "toy", "cpu")
devices = {record.device for record in split.report.placement}
assert {"toy", "cpu"} <= devices, devices
got, wanted = run(split, x=x)["y"], run(build(net, "reference"), x=x)["y"]
np.testing.assert_allclose(got, wanted, atol=1e-5)
engine = split.create_engine(devices=["toy:0", "cpu:0"])
slow = sum(r.kernel.startswith("toy slow") for r in split.report.kernels)
print(engine.devices[split.backends.index("toy")].description, slow > 5)
""",
    )
    assert out.strip() == "toy accelerator True"


def test_saved_model_runs_and_copies_show(installed: Path, tmp_path: Path) -> None:
    run(
        installed,
        f"""
from mm_core.model import Copy
net = transformer_block()
model = build(net, "toy", "cpu")
model.save({str(tmp_path / "split.mm")!r})
loaded = mm.Model.load({str(tmp_path / "split.mm")!r})
assert any("mm-backend-toy" in text for text in loaded.requires.run), loaded.requires
copies = [step for step in loaded.plan.main.walk() if isinstance(step, Copy)]
assert copies and all(-1 in (c.source_device, c.target_device) or c.source_device != c.target_device for c in copies)
assert loaded.report.placement == model.report.placement
x = rng.standard_normal((1, 6, 32)).astype(np.float32)
np.testing.assert_array_equal(run(loaded, x=x)["y"], run(model, x=x)["y"])
""",
    )
    without = subprocess.run(
        [sys.executable, "-c", f"import mm_core as mm; mm.Model.load({str(tmp_path / 'split.mm')!r})"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PluginMissingError" in without.stderr
    assert "mm-backend-toy" in without.stderr


def test_every_refusal_shows_its_reason(installed: Path) -> None:
    run(
        installed,
        """
net = transformer_block()
records = build(net, "toy", "cpu").report.placement
refused = [r for r in records if r.device != "toy" and r.kind != "host"]
assert refused and all("toy: the toy accelerator" in r.reason or "toy: the size" in r.reason for r in refused), refused
assert any(r.op == "mm.cumsum" and r.node == "running" for r in refused)
# A composite that the accelerator lacks runs there by its decomposition, and needs no excuse.
gelu = [r for r in records if "gelu" in r.node]
assert gelu and all(r.device == "toy" for r in gelu), gelu
alone = mm.Network("alone")
alone.mark_output(alone.cumsum(alone.exp(alone.add_input("x", "float32", ("N", 3))), axis=0, name="running"), "y")
try:
    build(alone, "toy", strict=True)
except mm.BuildError as error:
    assert "running" in str(error) and "no instruction for mm.cumsum" in str(error), error
else:
    raise AssertionError("strict took a network that the accelerator cannot run")
""",
    )


def test_independent_parts_overlap(installed: Path) -> None:
    """The accelerator's launch cannot end before a part on another device has run: a serial runtime would never end."""
    run(
        installed,
        """
import mm_backend_toy
from mm_core.ops import register

gate = threading.Event()
mm_backend_toy.GATES.append(gate)

@register
class OpenGate(mm.OpDef):
    "Copies x and opens the gate that the accelerator waits at."
    name = "test.open_gate"
    operands = (mm.Operand("x", "T"),)
    dtypes = {"T": frozenset({mm.float32})}
    def infer(self, types, values):
        return types[0].shape
    def reference(self, x):
        gate.set()
        return x.copy()

net = mm.Network("branches")
x = net.add_input("x", "float32", (4, 4))
left = net.exp(net.matmul(x, x))
right = net.op("test.open_gate", net.cumsum(x, axis=0))
net.mark_output(net.add(left, right), "y")
value = rng.standard_normal((4, 4)).astype(np.float32)
model = build(net, "toy", "cpu", opt_level=0)
got = run(model, x=value)["y"]
np.testing.assert_allclose(got, np.exp(value @ value) + value.cumsum(0), rtol=1e-5)
assert gate.is_set()
""",
    )


def test_failures_of_the_device_reach_the_user(installed: Path) -> None:
    run(
        installed,
        """
net = mm.Network("big")
x = net.add_input("x", "float32", ("N",))
net.mark_output(net.exp(x), "y")
model = build(net, "toy", "cpu")
try:
    run(model, x=np.zeros(100_000_000, np.float32))
except mm.DeviceError as error:
    assert "bytes of memory" in str(error), error
else:
    raise AssertionError("no error")
try:
    model.create_engine(devices=["toy:1"])
except mm.DeviceError as error:
    assert "its fan is missing" in str(error), error
else:
    raise AssertionError("no error")
""",
    )


def test_conformance(installed: Path) -> None:
    """Each of the twenty instructions is right in all its cases; everything else is refused with a reason."""
    out = run(
        installed,
        """
from mm_backend_toy.instructions import EXECUTE
from mm_core.testing.conformance import Verdict, conform

report = conform("toy", tolerances={"float32": 1e-5})
assert not report.wrong, report
assert not report.having(Verdict.FALLBACK), report
assert report.operators(Verdict.NATIVE) == set(EXECUTE), report
assert all(outcome.reason.startswith("toy: ") for outcome in report.having(Verdict.REJECTED)), report
print(report)
""",
    )
    assert len(out.splitlines()) > 10


def test_what_a_device_predicts_is_shown_as_predicted(installed: Path, tmp_path: Path) -> None:
    out = run(
        installed,
        f"""
import json
from click.testing import CliRunner
from mm_core.cli.run import command
net = mm.Network("chain")
net.mark_output(net.exp(net.add(net.add_input("x", "float32", (4,)), 1.0)), "y")
model = build(net, "toy")
context = model.create_engine().create_context()
assert context.predictions() == []  # nothing has run
context.run({{"x": np.zeros(4, np.float32)}})
assert [(device, found.label, found.seconds) for device, found in context.predictions()] == [
    ("toy:0", operator, 1e-3) for operator, *_ in json.loads(model.executables[0].code)
]
model.save({str(tmp_path / "chain.mm")!r})
report = {str(tmp_path / "report.json")!r}
arguments = ["--iterations", "2", "--duration", "1", "--warmup", "0", "--json", report, {str(tmp_path / "chain.mm")!r}]
done = CliRunner().invoke(command, arguments)
assert done.exit_code == 0, done.output
lines = done.output.splitlines()
place = next(number for number, line in enumerate(lines) if "Predicted latency (not measured)" in line)
print(" ".join(lines[place + 1].split()))
print(json.loads(open(report).read())["predicted_ms"])
""",
    )
    assert out.splitlines() == ["toy:0 : 2.000 ms in 2 kernels, each once, one after the other", "{'toy:0': 2.0}"]
