"""mm_build from the command line: sources, shapes, choices, backends' own options, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import mm_core as mm
from mm_core.cli.build import command
from mm_core.cli.scaffold import write_package


@pytest.fixture
def source(tmp_path: Path) -> Path:
    net = mm.Network("tiny")
    x = net.add_input("x", mm.float32, ("N", 4))
    k = net.add_input("k", mm.float32, (4,))
    net.mark_output(net.tanh(net.add(net.mul(x, x), k)), "y")
    path = tmp_path / "tiny.mlir"
    path.write_text(str(net))
    return path


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source of a front end that takes shapes: the template of `mm_plugins new parser`, installed."""
    package = write_package("parser", "acme", tmp_path)
    info = tmp_path / "mm_parser_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-parser-acme\nVersion: 0.1.0\n\n")
    (info / "entry_points.txt").write_text("[mm.parsers]\nacme = mm_parser_acme:AcmeParser\n")
    monkeypatch.syspath_prepend(package.folder)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "tiny.acme"
    path.write_text("input x float32 N,4\ninput k float32 4\ns = mul x x\nt = add s k\ny = tanh t\noutput y\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def build(*arguments: object) -> Result:
    done = run(*arguments, "--backend", "reference")
    assert done.exit_code == 0, done.output
    return done


def test_a_source_becomes_a_model_file_that_runs(source: Path, tmp_path: Path) -> None:
    done = build(source, "-o", tmp_path / "out.mm")
    for word in ("input x", "float32 Nx4", "output y", "placement", "reference", "Build time", "parse", "compile"):
        assert word in done.stdout
    model = mm.Model.load(tmp_path / "out.mm")
    x, k = np.ones((2, 4), np.float32), np.arange(4, dtype=np.float32)
    y = model.create_engine().create_context().run({"x": x, "k": k})["y"]
    np.testing.assert_allclose(y, np.tanh(x * x + k), rtol=1e-6)


def test_the_output_has_a_default_and_magicminds_name(source: Path, tmp_path: Path) -> None:
    build(source)
    assert (tmp_path / "tiny.mm").exists()
    build(source, "--magicmind_model", tmp_path / "named.mm")
    assert (tmp_path / "named.mm").read_bytes() == (tmp_path / "tiny.mm").read_bytes()


@pytest.mark.parametrize(
    "options", [["--input_dims", "x=3,4"], ["--input_dims", "3,4"], ["--batch_size", "3,"], ["--input_dims", "3,4 4"]]
)
def test_shapes_by_name_by_position_and_by_batch(acme: Path, tmp_path: Path, options: list[str]) -> None:
    build(acme, "-o", tmp_path / "out.mm", *options)
    assert mm.Model.load(tmp_path / "out.mm").inputs[0].shape == (3, 4)


def test_text_has_the_shapes_it_states(source: Path) -> None:
    done = run(source, "--batch_size", "3,", "--backend", "reference")
    assert done.exit_code == 1
    assert "takes no input_shapes" in done.stderr


def test_the_command_line_goes_before_the_configuration_file(source: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"keep_graph": True, "opt_level": 0, "backends": ["absent"]}))
    build(source, "--build_config", config, "-o", tmp_path / "a.mm")
    assert "mm.tanh" in mm.Model.load(tmp_path / "a.mm").graph_text
    text = json.dumps({"precision_config": {"precision_mode": "force_float32"}})
    build(source, "--build_config", text, "-o", tmp_path / "b.mm")


def test_print_ir_leaves_every_step(source: Path, tmp_path: Path) -> None:
    build(source, "--print_ir", tmp_path / "ir")
    assert any("mm.tanh" in path.read_text(errors="replace") for path in (tmp_path / "ir").iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "give one MODEL"),
        (["SOURCE", "--onnx", "b.onnx"], 2, "give one MODEL"),
        (["absent.onnx"], 1, "absent.onnx"),
        (["SOURCE", "-o", "SOURCE"], 2, "is the source itself"),
        (["SOURCE", "--backend", "absent"], 1, "no backend named 'absent'"),
        (["SOURCE", "--precision", "qint8_mixed_float16"], 1, "no pass of this build brings about the precision mode"),
        (["SOURCE", "--precision", "nonsense"], 1, "'nonsense' is unknown"),
        (["SOURCE", "--calibration", "c.npz"], 1, "calibration is not offered"),
        (["SOURCE", "--opt_level", "7"], 2, "7 is not in the range"),
        (["SOURCE", "--disable_pass", "absent"], 1, "absent"),
        (["SOURCE", "--plugin", "absent"], 1, "'absent'"),
        (["SOURCE", "--input_dims", "z=1"], 1, "no input 'z'"),
        (["SOURCE", "--backend", "reference", "--option", "colour=red"], 1, "no backend of this build has the option"),
        (["SOURCE", "--backend", "reference", "--mlu_arch", "mtp_372"], 2, "--mlu_arch"),
        (["SOURCE", "--backend", "reference", "--build_config", '{"archs": ["mtp_372"]}'], 1, "'archs'"),
        (["SOURCE", "--parser_option", "signature"], 2, "name=value"),
        (["SOURCE", "--parser_option", "signature=serving"], 1, "takes no signature"),
        (["SOURCE", "--build_config", "{"], 1, "not JSON"),
        (["SOURCE", "--build_config", '{"archs_": []}'], 1, "'archs_' is unknown"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    source: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    done = run(*[source if argument == "SOURCE" else argument for argument in arguments])
    assert done.exit_code == status, done.output
    assert message in done.stderr
    if status == 1:
        assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_backends_own_options_join_the_command_line(source: Path, tmp_path: Path) -> None:
    """A backend in a process of its own, so that this one's registry stays as it is."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n\n")
    (info / "entry_points.txt").write_text("[mm.backends]\nacme = acme_backend:Acme\n")
    (tmp_path / "acme_backend.py").write_text(
        "from mm_backend_reference import ReferenceBackend\n"
        "from mm_core.device import TargetOption\n"
        "class Acme(ReferenceBackend):\n"
        "    name = 'acme'\n"
        "    options = (TargetOption('acme_arch', 'The chip.', 'one', ('one', 'two')),)\n"
        "    def compiler(self, target):\n"
        "        print('TARGET', target)\n"
        "        return super().compiler(target)\n"
    )

    def mm_build(*arguments: object) -> subprocess.CompletedProcess[str]:
        code = "from mm_core.cli.build import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path
        )

    assert "--acme_arch [one|two]" in mm_build("--backend", "acme", "--help").stdout
    assert "--acme_arch" not in mm_build("--backend", "reference", "--help").stdout
    for option in (["--acme_arch", "two"], ["--option", "acme_arch=two"], ["--option", "acme.acme_arch=two"]):
        done = mm_build(source, "--backend", "acme", *option)
        assert "TARGET {'acme_arch': 'two'}" in done.stdout, done.stderr
    wrong = mm_build(source, "--backend=acme", "--acme_arch", "three")
    assert wrong.returncode == 2
    assert "'three' is not one of 'one', 'two'" in wrong.stderr


def test_a_network_without_outputs_is_refused() -> None:
    network = mm.Network("unfinished")
    network.relu(network.add_input("x", mm.float32, (2,)))
    with pytest.raises(mm.BuildError, match="unfinished: the network has no outputs; name them with mark_output"):
        mm.Builder(mm.BuilderConfig(backends=["reference"])).build(network)
