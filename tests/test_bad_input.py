"""Bad input from end to end: each mistake is an MMError of its own kind that says what, where and what to do."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mm_core as mm
from mm_core import plugins
from mm_core.errors import (
    BuildError,
    CompileError,
    InputError,
    MMError,
    ModelFileError,
    ParseError,
    PluginConflictError,
    PluginLoadError,
    PluginMissingError,
    UnsupportedOpError,
)

WEIGHT = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)


def network() -> mm.Network:
    """Large enough for generated code."""
    net = mm.Network("dense")
    x = net.add_input("x", mm.float32, ("N", 256))
    net.mark_output(net.gelu(net.linear(x, WEIGHT, name="first layer"), name="activation"), "y")
    return net


def build(net: mm.Network | None = None, **options: object) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(**options)).build(net or network())


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "dense.mm"
    build().save(path)
    return path.read_bytes()


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "Traceback" not in text
    return text


# ---- sources -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.xyz", b"whatever"), ("model.bin", b"\x00" * 64), ("noextension", b""), ("model.mm.txt", b"hello")],
)
def test_unknown_kind_of_file(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ParseError) as caught:
        mm.parse(path)
    assert name in one_line(caught.value)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MMError, match=r"absent\.onnx"):
        mm.parse(tmp_path / "absent.onnx")


@pytest.mark.parametrize("source", [None, 7, object(), ["a.onnx"], b"bytes"])
def test_what_is_no_source(source: object) -> None:
    with pytest.raises(ParseError):
        mm.parse(source)


def test_an_unknown_parser(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    with pytest.raises(PluginMissingError, match=r"caffe.*(onnx)"):
        mm.parse(path, parser="caffe")


@pytest.mark.parametrize("text", ["", "hello", '"mm.network"', "module { }"])
def test_text_that_is_no_network(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.mlir"
    path.write_text(text)
    with pytest.raises(ParseError):
        mm.parse(path)


def test_text_with_an_unknown_operator_or_attribute(tmp_path: Path) -> None:
    text = str(network())
    path = tmp_path / "net.mlir"
    path.write_text(text.replace('"mm.gelu"', '"mm.gelo"'))
    with pytest.raises(UnsupportedOpError, match=r"mm\.gelo is unknown.*mm\.gelu") as caught:
        mm.parse(path)
    assert "line" in one_line(caught.value)
    path.write_text(text.replace('approximate = "none"', 'approximate = "fast"'))
    with pytest.raises(UnsupportedOpError, match=r"attribute 'approximate' is 'fast'.*'none'"):
        mm.parse(path)
    path.write_text(text.replace('"mm.gelu"', '"acme.gelu"'))
    with pytest.raises(PluginMissingError, match="acme"):
        mm.parse(path)


# ---- model files ---------------------------------------------------------------------------------------------------


def test_every_damaged_byte_is_noticed(model_bytes: bytes) -> None:
    """All bytes of the header and the small sections, a sample of the weights."""
    mm.Model.load(model_bytes)
    rng = np.random.default_rng(0)
    dense = range(0, min(len(model_bytes), 6000), 7)
    sparse = rng.integers(0, len(model_bytes), 300).tolist()
    for position in (*dense, *sparse, len(model_bytes) - 1):
        damaged = bytearray(model_bytes)
        damaged[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(ModelFileError):
            mm.Model.load(bytes(damaged))


@pytest.mark.parametrize("keep", [0, 1, 15, 64, 1000, -1, -4096])
def test_a_truncated_file(model_bytes: bytes, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "short.mm"
    path.write_bytes(model_bytes[:keep])
    with pytest.raises(ModelFileError, match=r"short\.mm"):
        mm.Model.load(path)


def test_what_is_no_model_file(tmp_path: Path) -> None:
    path = tmp_path / "text.mm"
    path.write_text("hello")
    with pytest.raises(ModelFileError, match=r"text\.mm"):
        mm.Model.load(path)
    with pytest.raises(MMError, match="absent"):
        mm.Model.load(tmp_path / "absent.mm")
    with pytest.raises(MMError):
        mm.Model.load(tmp_path)


def test_a_signature_cannot_be_checked_silently(model_bytes: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"cannot check signatures.*omit verify_key"):
        mm.Model.load(model_bytes, verify_key=b"key")


def test_a_model_saved_where_nothing_can_be_written(tmp_path: Path) -> None:
    model = build()
    with pytest.raises(MMError, match="absent"):
        model.save(tmp_path / "absent" / "m.mm")
    (tmp_path / "folder.mm").mkdir()
    with pytest.raises(MMError, match=r"folder\.mm"):
        model.save(tmp_path / "folder.mm")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mm"]
    assert not list((tmp_path / "folder.mm").iterdir())


# ---- plugins -------------------------------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


LOAD = """
import sys
import mm_core as mm
from mm_core.errors import MMError
try:
    mm.Model.load(sys.argv[1] if len(sys.argv) > 1 else {path!r}).create_engine()
except MMError as error:
    print(type(error).__name__, error)
"""


def test_a_model_whose_backend_is_absent(model_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    path.write_bytes(model_bytes)
    done = run_python(LOAD.format(path=str(path)), MM_DISABLE_PLUGINS="cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Plugin"), done.stdout
    assert "cpu" in done.stdout


def test_a_model_whose_distribution_is_absent(model_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name == "mm-backend-cpu":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(PluginMissingError, match=r'needs mm-backend-cpu>=.*pip install .*"mm-backend-cpu>=') as caught:
        mm.Model.load(model_bytes)
    assert one_line(caught.value)
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == "mm-backend-cpu" else real(name))
    with pytest.raises(PluginMissingError, match=r"installed: 0\.0\.1"):
        mm.Model.load(model_bytes)


def test_an_unknown_backend() -> None:
    with pytest.raises(PluginMissingError, match=r"'gpu'.*cpu.*reference"):
        build(backends=["gpu"])


class Site:
    """A folder on the path that holds distributions made up for a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name, code in modules.items():
            (self.folder / f"{name}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def test_a_backend_that_fails_to_import(site: Site) -> None:
    site.install("acme-npu", "[mm.backends]\nnpu = acme_npu:Backend\n", acme_npu="import toolkit_of_acme\n")
    assert "npu" in {record.name for record in plugins.records("mm.backends")}
    with pytest.raises(PluginLoadError, match=r"npu.*acme-npu.*toolkit_of_acme"):
        build(backends=["npu"])
    assert build().backends == ["cpu"], "a broken plugin that nobody asked for hurts nobody"


def test_two_backends_of_one_name(site: Site) -> None:
    site.install("acme-npu", "[mm.backends]\nnpu = acme_npu:Backend\n", acme_npu="Backend = None\n")
    site.install("other-npu", "[mm.backends]\nnpu = other_npu:Backend\n", other_npu="Backend = None\n")
    with pytest.raises(PluginConflictError) as caught:
        build(backends=["npu"])
    assert {"acme-npu", "other-npu"} <= set(re.findall(r"[a-z]+-npu", one_line(caught.value)))


# ---- compilers and caches ------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MM_CACHE_DIR", str(folder))
    return folder


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def answer(model: mm.Model) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((3, 256)).astype(np.float32)
    return model.create_engine().create_context().run({"x": x})["y"]


def test_no_compiler_is_said_and_done_without(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "false")
    model = build(strict=True)
    assert {record.note for record in model.executables[0].kernels} == {"library"}
    reference = build(backends=["reference"])
    np.testing.assert_allclose(answer(model), answer(reference), rtol=1e-4, atol=1e-5)
    assert not entries(fresh_cache)


def test_a_compiler_that_breaks_off(fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *version*) echo pretend 1.0; exit 0;; esac\necho no space left >&2\nexit 3\n'
    )
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(compiler))
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(CompileError, match=r"(?s)failed with status 3.*no space left.*CC") as caught:
        build()
    assert caught.value.where
    assert not entries(fresh_cache)
    assert [name for name in sorted(os.listdir(tmp_path)) if name != "cache"] == before


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the folder should be: that holds for every user, the superuser included."""
    blocked = tmp_path / "cache"
    blocked.write_text("in the way")
    monkeypatch.setenv("MM_CACHE_DIR", str(blocked / "inside"))
    np.testing.assert_allclose(answer(build()), answer(build(backends=["reference"])), rtol=1e-4, atol=1e-5)
    assert blocked.read_text() == "in the way"
    assert sorted(os.listdir(tmp_path)) == ["cache"]


# ---- configurations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backends": []}, "at least one"),
        ({"backends": ["cpu", "cpu"]}, "each backend once"),
        ({"opt_level": 9}, "opt_level is 9.*0, 1, 2, 3"),
        ({"precision": "float3"}, "'float3' is unknown"),
        ({"precision": "force_float16", "disable_passes": ["lower-precision"]}, "no pass .* force_float16"),
        ({"precision": "qint16_mixed_float32"}, "no pass .* qint16_mixed_float32.*available: force_float32"),
        ({"threads": 0}, "at least 1"),
        ({"dim_range": {"N": (4, 2)}}, "dim_range of N"),
        ({"dim_range": {"N": (-1, 2)}}, "dim_range of N"),
        ({"dim_range": {"K": (1, 2)}}, "dim_range names K.*available: N"),
        ({"target": {"cpu_arch": "z80"}}, "z80"),
        ({"passes": "absent-pass"}, "absent-pass"),
        ({"disable_passes": ["absent-pass"]}, "absent-pass"),
    ],
    ids=str,
)
def test_bad_choices(options: dict[str, object], message: str) -> None:
    with pytest.raises(MMError, match=message):
        build(**options)


def test_an_option_of_a_backend_that_is_no_text() -> None:
    with pytest.raises(BuildError, match=r"the option 'cpu_arch' of a backend is 3, must be text"):
        mm.BuilderConfig.from_json('{"target": {"cpu_arch": 3}}')


def test_a_build_that_no_backend_can_do_names_the_node() -> None:
    net = mm.Network("text")
    x = net.add_input("x", "string", (2,))
    net.mark_output(net.equal(x, x, name="comparison"), "y")
    with pytest.raises(BuildError, match=r"comparison.*no backend runs mm.equal: cpu: "):
        build(net, strict=True)


def test_a_device_that_is_not_there() -> None:
    model = build()
    with pytest.raises(MMError, match=r"no device cpu:7.*cpu:0"):
        model.create_engine(devices=["cpu:7"])
    with pytest.raises(MMError, match=r"has no part for mlu:0.*cpu"):
        model.create_engine(devices=["mlu:0"])
    with pytest.raises(MMError, match=r"no device reference:7.*reference:0"):
        model.create_engine(devices=["cpu:0", "reference:7"])
    idle = model.create_engine(devices=["reference:0", "cpu:0"])  # Named, there, and without work: no mistake.
    assert [device.name for device in idle.devices] == ["cpu:0"]
    with pytest.raises(MMError, match="threads is 0"):
        model.create_engine(threads=0)


def test_a_request_that_does_not_fit() -> None:
    ready = build().create_engine().create_context()
    for inputs, message in (
        ({"z": WEIGHT}, "missing: x; unknown: z.*x: tensor"),
        ({"x": WEIGHT.astype(np.float64)}, "float64, expected float32"),
        ({"x": WEIGHT[:, :3]}, r"\[256, 3\], expected \[N, 256\]"),
    ):
        with pytest.raises(InputError, match=message):
            ready.run(inputs)
