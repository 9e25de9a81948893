"""What users, files and machines get wrong, from the builder to the running request: an MMError each, no signal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlu_networks import floats, network_of
from mm_backend_mlu import EMULATED_CARDS, MluBackend, packed
from mm_backend_mlu.device import MluQueue
from mm_backend_mlu.drivers import emulated
from mm_backend_mlu.toolchain import find_host_compiler, find_vendor_compiler

import mm_core as mm
from mm_core.device import Event
from mm_core.errors import BuildError, CompileError, DeviceError, ModelFileError

X = floats(4, 8)


def chain() -> mm.Network:
    """Three kernels, a constant and a workspace."""
    return network_of(lambda n, x: n.softmax(n.matmul(n.cumsum(x, axis=0), floats(8, 8)), axis=-1, name="head"), [X])


def build(network: mm.Network | None = None, *backends: str, arch: str = "mtp_372", **options: Any) -> mm.Model:
    config = mm.BuilderConfig(backends=backends or ("mlu",), strict=True, target={"mlu_arch": arch}, **options)
    return mm.Builder(config).build(network or chain())


def run(model: mm.Model, *devices: str) -> np.ndarray:
    result: np.ndarray = model.create_engine(devices=devices or None).create_context().run({"x0": X})["y0"]
    return result


# --- builds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["", "372", "MTP_372", "mtp_372;", "mtp_220"])
def test_unknown_architectures(arch: str) -> None:
    with pytest.raises(BuildError, match=rf"'{arch}' is not an MLU architecture; available: mtp_372, mtp_592"):
        build(arch=arch)


@pytest.mark.parametrize("bitmap", ["0", "1:2", "9" * 5000])
def test_bitmaps_that_are_none(bitmap: str) -> None:
    with pytest.raises(BuildError, match=r"mlu_arch: .* is not a list of cluster counts"):
        build(arch=f"mtp_372:{bitmap}")


@pytest.mark.parametrize(
    ("arrays", "build_network", "reason"),
    [
        ([(1, 4, 901, 901)], lambda n, x: n.max_pool(x, kernel_shape=(900, 900), name="big"), "windows of .900, 900."),
        ([(2, 900_000), (900_000, 4)], lambda n, x, y: n.matmul(x, y, name="big"), "a product of .* fits no tiling"),
        ([(600_000,)], lambda n, x: n.topk(x, 5, name="big")[0], "an axis that does not fit NRAM"),
    ],
)
def test_tensors_that_fit_no_tiling(arrays: Any, build_network: Callable[..., Any], reason: str) -> None:
    """Under strict an error that names the node, with the CPU beside it the reason in the report."""
    inputs = [floats(*shape) for shape in arrays]
    with pytest.raises(BuildError, match=f"big: no backend runs mm.*mlu: {reason}"):
        build(network_of(build_network, inputs))
    model = build(network_of(build_network, inputs), "mlu", "cpu")
    (record,) = model.report.refusals()
    assert (record.node, record.device) == ("big", "cpu")


@pytest.mark.parametrize("arch", ["mtp_372", "mtp_592"])
def test_precisions_that_the_target_lacks(arch: str) -> None:
    with pytest.raises(BuildError, match=r"precision mode 'force_bfloat16' is unknown; available: .*force_float16"):
        build(arch=arch, precision="force_bfloat16")
    with pytest.raises(BuildError, match=r"brings about the precision mode qint8_mixed_float16; .*force_float16"):
        build(arch=arch, precision="qint8_mixed_float16")
    for dtype in (np.float64, mm.bfloat16.numpy):
        doubled = network_of(lambda n, x: n.exp(x, name="wide"), [np.ones((4, 8), dtype)])
        with pytest.raises(BuildError, match=r"wide: no backend runs mm.exp: mlu: elements of type"):
            build(doubled, arch=arch)


def test_an_sdk_that_is_not_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUWARE_HOME", str(tmp_path))
    with pytest.raises(CompileError, match=rf"NEUWARE_HOME={tmp_path} has no bin/cncc.*unset NEUWARE_HOME"):
        find_vendor_compiler()
    monkeypatch.delenv(EMULATED_CARDS, raising=False)
    with pytest.raises(DeviceError, match=rf"NEUWARE_HOME={tmp_path} has no lib64/libcnrt.so.*for emulated cards"):
        MluBackend().open("mlu:0")
    monkeypatch.setenv(EMULATED_CARDS, "MLU370-S4")
    assert MluBackend().open("mlu:0").description.startswith("emulated")


def test_a_model_runs_where_there_is_no_compiler_and_is_not_built_there(tmp_path: Path) -> None:
    build().save(tmp_path / "m.mm")
    script = f"""
import numpy as np, mm_core as mm
model = mm.Model.load({str(tmp_path / "m.mm")!r})
print(model.create_engine().create_context().run({{"x0": np.ones((4, 8), np.float32)}})["y0"].sum().round(3))
net = mm.Network("n")
net.mark_output(net.exp(net.add_input("x", mm.float32, (4,))), "y")
try:
    mm.Builder(mm.BuilderConfig(backends=["mlu"], strict=True)).build(net)
except mm.CompileError as error:
    print(error)
"""
    (tmp_path / "empty").mkdir()
    variables = {key: value for key, value in os.environ.items() if key not in ("CXX", "NEUWARE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_ZIG + script], env={**variables, "PATH": str(tmp_path / "empty")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result, error = done.stdout.strip().splitlines()
    assert result == "4.0"
    assert "there is no C++ compiler" in error
    assert "install g++ or clang++" in error


_WITHOUT_ZIG = "import sys\nsys.modules['ziglang'] = None\n"


def test_a_compiler_that_is_chosen_and_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "absent-compiler")
    with pytest.raises(CompileError, match="CXX='absent-compiler' is not a compiler that runs"):
        find_host_compiler()


# --- devices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "devices", "message"),
    [
        ("MLU370-S4", ["mlu:1"], "no device mlu:1; available: mlu:0"),
        ("MLU590", [], "built for mtp_372 and mlu:0 is a mtp_592; build it with mlu_arch=mtp_592"),
        ("MLU999", [], "there is no MLU card named 'MLU999'; available: MLU370-S4"),
        ("MLU370-X8", [], "built for 6 or 8 clusters and the device has 4; build it with mlu_arch=mtp_372"),
        ("MLU370-S4", ["cpu:0"], "the model has no part for cpu:0; available: mlu"),
    ],
)
def test_devices_that_a_model_does_not_run_on(
    monkeypatch: pytest.MonkeyPatch, cards: str, devices: list[str], message: str
) -> None:
    """A card may be another one, or gone, since the model was built. Nothing runs on the CPU instead."""
    model = build(arch="mtp_372:6,8")
    monkeypatch.setenv(EMULATED_CARDS, cards)
    with pytest.raises(DeviceError, match=message):
        run(model, *devices)


def test_a_model_larger_than_the_card() -> None:
    model = build(network_of(lambda n, x: n.cumsum(n.tile(x, [40_000, 1]), axis=0), [floats(1, 1_000_000)]))
    context = model.create_engine().create_context()
    with pytest.raises(DeviceError, match=r"mlu:0 has \d+ bytes of memory, \d+ are in use and \d+ more are asked for"):
        context.run({"x0": floats(1, 1_000_000)})


def test_a_failure_that_is_there_before_anybody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's thread may be done with a launch before the runtime looks: what failed is still an error."""
    submit = MluQueue._submit

    def finished(self: MluQueue, *arguments: Any) -> Event:
        event: Any = submit(self, *arguments)
        assert event._submitted.wait(30)
        return event

    def lost(*_: Any) -> None:
        raise DeviceError("the card is gone")

    context = build().create_engine().create_context()
    assert np.isfinite(context.run({"x0": X})["y0"]).all()
    monkeypatch.setattr(MluQueue, "_submit", finished)
    with monkeypatch.context() as patch:
        patch.setattr(emulated.EmulatedModule, "launch", lost)
        with pytest.raises(DeviceError, match="the card is gone"):
            context.run({"x0": X})
    assert np.isfinite(context.run({"x0": X})["y0"]).all()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_opens_the_card_itself() -> None:
    model = build()
    engine = model.create_engine()
    context = engine.create_context()
    expected = context.run({"x0": X})["y0"]
    if (child := os.fork()) == 0:  # Whatever happens, the child must not go on with the tests.
        status = 1
        try:
            for inherited in (context, engine.create_context()):
                with pytest.raises(DeviceError, match="create the engine after forking"):
                    inherited.run({"x0": X})
            np.testing.assert_array_equal(run(model), expected)
            context.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(context.run({"x0": X})["y0"], expected)


# --- files ----------------------------------------------------------------------------------------------------------


def test_damaged_files(tmp_path: Path) -> None:
    build().save(tmp_path / "m.mm")
    data = (tmp_path / "m.mm").read_bytes()
    for place in range(64, len(data), len(data) // 24):
        with pytest.raises(ModelFileError):
            mm.Model.load(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        with pytest.raises(ModelFileError):
            mm.Model.load(data[:place])


def _with_code(model: mm.Model, code: bytes) -> mm.Model:
    return replace(model, executables=(replace(model.executables[0], code=code),))


@pytest.mark.parametrize("kept", [0, 10, 64, 1000, 20_000, 0.5, 0.9])
def test_objects_of_which_a_part_is_missing(kept: float) -> None:
    """Mapped by the dynamic linker, they would end the process with a signal."""
    model = build()
    sections = packed.unpack(model.executables[0].code)
    whole = sections[packed.EMULATED]
    short = whole[: kept if isinstance(kept, int) else int(len(whole) * kept)]
    with pytest.raises(ModelFileError, match="mlu:0: the part's code is damaged; build the model again"):
        run(_with_code(model, packed.pack({**sections, packed.EMULATED: short})))


def test_containers_that_are_none() -> None:
    model, deep = build(), b"[" * 100_000
    for code in (b"MMBANG01" + len(deep).to_bytes(8, "little") + deep, b"MMBANG01" + b"\xff" * 8, b"\0" * 100):
        with pytest.raises(ModelFileError, match="the code of a part is damaged"):
            run(_with_code(model, code))


def test_an_object_for_another_host() -> None:
    model = build()
    other = replace(model.executables[0], requires={"system": "Linux", "machine": "z80"})
    with pytest.raises(DeviceError, match=r"does not run on this host: it was built for Linux on z80.*build the model"):
        run(replace(model, executables=(other,)))


def test_hostile_programs(tmp_path: Path) -> None:
    """Numbers and names of a program changed at random, in a child: errors, or results, and no signal."""
    build(keep_graph=False).save(tmp_path / "m.mm")
    script = Path(__file__).with_name("hostile_programs.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "m.mm", "150"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    refused, ran = map(int, done.stdout.split())
    assert refused > 100
    assert refused + ran == 150
