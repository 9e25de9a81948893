"""The distributions of this repository as their pyproject.toml files state them."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distribution:
    """One folder with a pyproject.toml; `folder` is relative to the root."""

    folder: Path

    @cached_property
    def tables(self) -> dict[str, Any]:
        return tomllib.loads((ROOT / self.folder / "pyproject.toml").read_text())

    @property
    def project(self) -> dict[str, Any]:
        return self.tables["project"]

    @property
    def name(self) -> str:
        return self.project["name"]

    @property
    def package(self) -> str:
        """The import name, mm_core for mm-core."""
        return self.name.replace("-", "_")

    @property
    def sources(self) -> list[Path]:
        """Every Python file of the package."""
        return sorted((ROOT / self.folder / self.package).rglob("*.py"))

    @property
    def requirements(self) -> dict[str, Requirement]:
        """What it declares to need, by canonical name; extras are left out."""
        parsed = map(Requirement, self.project["dependencies"])
        return {canonicalize_name(requirement.name): requirement for requirement in parsed}

    @property
    def extras(self) -> set[str]:
        """What its extras bring, by canonical name."""
        listed = self.project.get("optional-dependencies", {}).values()
        return {canonicalize_name(Requirement(text).name) for texts in listed for text in texts}


DISTRIBUTIONS = tuple(
    Distribution(path.parent.relative_to(ROOT))
    for path in (ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/*/pyproject.toml")))
)


def repository_files() -> list[Path]:
    """Files that git tracks or would track, relative to the root."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]
