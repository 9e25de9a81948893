"""Writing a new plugin package from the templates beside this file."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mm_core.errors import PluginError

KINDS: dict[str, tuple[str, str]] = {
    "op": ("mm-ops-", "mm_ops_"),
    "pass": ("mm-passes-", "mm_passes_"),
    "parser": ("mm-parser-", "mm_parser_"),
    "backend": ("mm-backend-", "mm_backend_"),
    "kernel": ("mm-kernels-", "mm_kernels_"),
}
"""Kind -> prefixes of the distribution and of the package."""

_SUFFIX = ".template"


@dataclass(frozen=True)
class NewPackage:
    folder: Path
    files: tuple[Path, ...]


def write_package(kind: str, name: str, directory: Path) -> NewPackage:
    """Write the package for a plugin called `name` into `directory/name`; never overwrites anything."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise PluginError(
            f"{name!r} cannot be the name of a plugin",
            remedy="use lower-case letters and digits, words joined by hyphens, such as `my-plugin`",
        )
    folder = directory / name
    if folder.exists():
        raise PluginError(f"{folder} already exists", remedy="choose another name or remove it")
    values = _values(kind, name)
    written = [
        _write(source, folder / _fill(path, values), values)
        for path, source in _walk(files("mm_core.cli") / "templates" / kind)
    ]
    return NewPackage(folder, tuple(sorted(written)))


def _values(kind: str, name: str) -> dict[str, str]:
    distribution, package = KINDS[kind]
    identifier = name.replace("-", "_")
    try:
        core = version("mm-core")
    except PackageNotFoundError:
        core = "0.1.0"
    major, minor = core.split(".")[:2]
    return {
        "name": name,
        "identifier": identifier,
        "class_name": "".join(word.capitalize() for word in name.split("-")),
        "distribution": distribution + name,
        "package": package + identifier,
        "core_range": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    """Every template below `folder` with its path, relative and without the suffix of templates."""
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            found.append((prefix + entry.name.removesuffix(_SUFFIX), entry))
    return found


def _write(source: Traversable, target: Path, values: dict[str, str]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_fill(source.read_text(), values))
    return target


def _fill(text: str, values: dict[str, str]) -> str:
    """The text with each `@{name}` replaced; KeyError for a name that is not among the values."""
    return re.sub(r"@\{([a-z_]+)\}", lambda match: values[match[1]], text)
