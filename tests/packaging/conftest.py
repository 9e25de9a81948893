"""Wheels of every distribution, built once, and environments that hold nothing but what a user would install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.packaging.distributions import DISTRIBUTIONS, ROOT, repository_files

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """The command's output; its whole text in the failure. Nothing of this repository or pytest leaks into it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "MM_"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own; its processes see no compiler and no other program."""

    folder: Path

    def run(self, command: str, *arguments: str | Path) -> str:
        """Output of one of its commands, run in the environment's folder with nothing else on PATH."""
        programs = self.folder / "bin"
        return run(
            programs / command,
            *arguments,
            cwd=self.folder,
            PATH=str(programs),
            CC="",
            MM_CACHE_DIR=str(self.folder / "cache"),
            COLUMNS="200",
        )


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the repository holds, so that a build takes nothing else from it and leaves nothing in it."""
    copy = tmp_path_factory.mktemp("source")
    for path in repository_files():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy / path)
    return copy


@pytest.fixture(scope="session")
def wheels(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel of each distribution, built without the network."""
    built = tmp_path_factory.mktemp("wheels")
    folders = [source / distribution.folder for distribution in DISTRIBUTIONS]
    run(*PIP, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", built, *folders, cwd=source)
    return built


@pytest.fixture(scope="session")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """`environment("mm-core", ...)`: an environment with these distributions and what they declare to need."""

    @cache
    def make(*names: str) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False, symlinks=True)
        run(*PIP, "--python", folder / "bin" / "python", "install", "--find-links", wheels, *names)
        return Environment(folder)

    return make
