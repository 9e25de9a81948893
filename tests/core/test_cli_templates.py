"""`mm_plugins new`: every kind of package installs, loads through its entry point, and passes its own tests."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mm_core.cli.scaffold import KINDS, write_package
from mm_core.errors import PluginError

ENTRY = {
    "op": ("mm.ops", "my_thing"),
    "pass": ("mm.passes", "my-thing"),
    "parser": ("mm.parsers", "my-thing"),
    "backend": ("mm.backends", "my-thing"),
    "kernel": ("mm.kernels", "cpu.my-thing"),
}


def run(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_new_package_installs_and_passes_its_own_tests(kind: str, tmp_path: Path) -> None:
    package = write_package(kind, "my-thing", tmp_path)
    site = tmp_path / "site"
    # A wheel is built and unpacked, so that what is tested is what a user would install.
    run(
        "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site, package.folder,
        cwd=tmp_path,
    )  # fmt: skip
    here = {"PYTHONPATH": str(site)}
    group, name = ENTRY[kind]
    code = (
        "from mm_core import plugins\n"
        f"record = plugins.find({group!r}, {name!r})\n"
        "print(record.distribution, record.state)\n"
        f"plugins.load({group!r}, {name!r})\n"
    )
    assert run("-c", code, cwd=tmp_path, **here).split() == [KINDS[kind][0] + "my-thing", "ok"]
    output = run("-m", "pytest", "-q", "-p", "no:cacheprovider", package.folder / "tests", cwd=tmp_path, **here)
    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_templates_leave_nothing_to_fill_in_and_are_valid_code(kind: str, tmp_path: Path) -> None:
    package = write_package(kind, "x2", tmp_path)
    names = {path.name for path in package.files}
    assert {"pyproject.toml", "README.md", "__init__.py"} <= names
    assert any(name.startswith("test_") for name in names)
    for path in package.files:
        text = path.read_text()
        assert "@{" not in text
        assert max(map(len, text.splitlines())) <= 120
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize("name", ["", "My", "1x", "a_b", "a--b", "-a", "../x", "class", "a b"])
def test_names_that_cannot_be_packages_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be the name"):
        write_package("op", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_package("op", "mine", tmp_path)
    with pytest.raises(PluginError, match="already exists"):
        write_package("pass", "mine", tmp_path)
