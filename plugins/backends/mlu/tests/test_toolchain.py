"""Finding compilers, building with them, and what they are asked: the vendor's compiler is a stand-in that records."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from mlu_running import Kernels, source_of
from mm_backend_mlu import host, toolchain
from mm_backend_mlu.drivers.emulated import EmulatedDriver
from mm_backend_mlu.host import missing_on_host
from mm_backend_mlu.target import find_card
from mm_backend_mlu.toolchain import (
    BANG_FOLDER,
    CACHE,
    compile_emulated,
    compile_vendor,
    find_host_compiler,
    find_vendor_compiler,
)

from mm_core.compiler import ObjectCache
from mm_core.errors import CompileError

_S4 = find_card("MLU370-S4")
_SOURCE = source_of(["y[taskId] = x[taskId] + __BANG_ARCH__;"], "const float *x, float *y")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectCache:
    """A cache with nothing in it but the emulator, which takes longest."""
    shared = ObjectCache(CACHE)
    for unit in shared.folder.glob("*/*"):
        place = tmp_path / CACHE / unit.relative_to(shared.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(unit)
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path))
    return ObjectCache(CACHE)


@pytest.fixture
def compilers() -> object:
    toolchain._find_host_compiler.cache_clear()
    yield
    toolchain._find_host_compiler.cache_clear()


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_same_source_gives_the_same_bytes(own_cache: ObjectCache) -> None:
    known = set(own_cache.folder.glob("*/*"))
    first = compile_emulated(_SOURCE + "// not compiled before", _S4)
    made = set(own_cache.folder.glob("*/*")) - known
    assert len(made) >= 2, "the kernels and the linked object, the emulator too where nothing was compiled before"
    for path in made:
        path.unlink()
    assert compile_emulated(_SOURCE + "// not compiled before", _S4) == first


def test_arch_is_defined() -> None:
    for name, arch in (("MLU370-X4", 372), ("MLU590", 592)):
        x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
        Kernels(_SOURCE, find_card(name)).run(x, y)
        assert np.array_equal(y, x + arch)


def test_objects_hold_no_path_and_no_empty_memories() -> None:
    source = source_of([""], "float *x", nram=655360, wram=1 << 20, sram=4063232)
    code = compile_emulated(source, _S4).code
    assert str(BANG_FOLDER).encode() not in code
    assert str(Path.home()).encode() not in code
    assert len(code) < 1 << 20


def test_cached(own_cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compile_emulated(_SOURCE, _S4)
    monkeypatch.setattr(toolchain.Toolchain, "run", lambda *_: pytest.fail("it is compiled again"))
    assert compile_emulated(_SOURCE, _S4) == made


def test_error_in_the_source() -> None:
    with pytest.raises(CompileError, match=r"kernels.mlu:.*error.*no_such_name"):
        compile_emulated(source_of(["no_such_name();"], "float *x"), _S4)


@pytest.mark.usefixtures("compilers")
def test_compiler_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompileError, match="CXX='no-such-compiler' is not a compiler that runs; correct or unset CXX"):
        find_host_compiler()


@pytest.mark.usefixtures("compilers")
def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(toolchain.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CompileError, match="install g"):
        find_host_compiler()


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        ({"system": "Plan 9", "machine": "x86_64"}, "built for Plan 9 on x86_64"),
        ({"level": "x86-64-v9"}, "processors of level x86-64-v9"),
        (dict(host.host_features()), ""),
        ({}, ""),
    ],
)
def test_requirements(requires: dict[str, str], words: str) -> None:
    assert words in missing_on_host(requires)
    assert bool(words) == bool(missing_on_host(requires))


def test_requirements_are_met_where_it_was_built() -> None:
    requires = compile_emulated(_SOURCE, _S4).requires
    driver = EmulatedDriver("mlu:0", _S4)
    assert driver.problem_with(requires) == ""
    assert "built for other on" in driver.problem_with({**requires, "system": "other"})


_RECORDING = """
import json, os, sys
if "--version" in sys.argv:
    print("cncc v4.1.0")
else:
    record = {"arguments": sys.argv[1:], "source": open(sys.argv[1]).read()}
    open(os.environ["RECORD"], "a").write(json.dumps(record) + "\\n")
    open(sys.argv[sys.argv.index("-o") + 1], "wb").write(b"binary of the vendor")
"""


@pytest.fixture
def neuware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "neuware"
    monkeypatch.setenv("NEUWARE_HOME", str(home))
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return home


def _recorded(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder.parent / "record").read_text().splitlines()]


@pytest.mark.parametrize("card", ["MLU370-S4", "MLU590"])
def test_vendor_compiler(neuware: Path, tmp_path: Path, card: str) -> None:
    program = _program(neuware / "bin" / "cncc", _RECORDING)
    compiler = find_vendor_compiler()
    assert compiler is not None
    assert compiler.command == (str(program),)
    assert compiler.version == "cncc v4.1.0"
    cache = ObjectCache(CACHE, tmp_path / "cache")
    target = find_card(card)
    assert compile_vendor(compiler, _SOURCE, target, cache) == b"binary of the vendor"
    (call,) = _recorded(neuware)
    assert call["source"] == _SOURCE
    assert call["arguments"] == [
        "kernels.mlu", "-o", "kernels.so", f"-I{BANG_FOLDER}", f"-I{neuware}/include", f"-L{neuware}/lib64", "-lcnrt",
        "-std=c++17", "-O3", "-fPIC", "-shared", f"--bang-mlu-arch={target.arch}",
    ]  # fmt: skip
    assert compile_vendor(compiler, _SOURCE, target, cache) == b"binary of the vendor"
    assert len(_recorded(neuware)) == 1


def test_vendor_compiler_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEUWARE_HOME", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path), "/usr/bin", "/bin")))
    assert find_vendor_compiler() is None
    _program(tmp_path / "cncc", _RECORDING)
    compiler = find_vendor_compiler()
    assert compiler is not None
    assert compiler.command == (str(tmp_path / "cncc"),)


def test_broken_vendor_compiler(neuware: Path) -> None:
    _program(neuware / "bin" / "cncc", "raise SystemExit(3)")
    with pytest.raises(CompileError, match="does not answer; repair the Neuware SDK"):
        find_vendor_compiler()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("sys.exit('error: unknown arch mtp_372')", "unknown arch mtp_372; the SDK may be too old"),
        ("pass", "made no object"),
    ],
)
def test_vendor_compiler_that_fails(neuware: Path, tmp_path: Path, behaviour: str, words: str) -> None:
    text = f"import sys\nif '--version' in sys.argv:\n    print('cncc v1')\nelse:\n    {behaviour}\n"
    _program(neuware / "bin" / "cncc", text)
    compiler = find_vendor_compiler()
    assert compiler is not None
    with pytest.raises(CompileError, match=words):
        compile_vendor(compiler, _SOURCE, _S4, ObjectCache(CACHE, tmp_path / "cache"))
