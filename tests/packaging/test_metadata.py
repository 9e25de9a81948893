"""What the pyproject.toml files promise, compared with the source next to them."""

from __future__ import annotations

import ast
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import mm_core
from mm_core import plugins
from tests.packaging.distributions import DISTRIBUTIONS, ROOT, Distribution

each = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)


def test_every_folder_of_plugins_is_a_distribution() -> None:
    folders = {path.relative_to(ROOT) for path in ROOT.glob("plugins/*/*") if any(path.glob("mm_*/__init__.py"))}
    assert folders == {distribution.folder for distribution in DISTRIBUTIONS} - {Path()}


@each
def test_one_version_one_licence_one_python(distribution: Distribution) -> None:
    project = distribution.project
    assert project["version"] == mm_core.__version__
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"
    assert (ROOT / distribution.folder / project["readme"]).read_text().startswith("# ")


@each
def test_sisters_are_required_at_this_minor_version(distribution: Distribution) -> None:
    major, minor = mm_core.__version__.split(".")[:2]
    wanted = SpecifierSet(f">={major}.{minor},<{major}.{int(minor) + 1}")
    sisters = {name: found.specifier for name, found in distribution.requirements.items() if name.startswith("mm-")}
    assert set(sisters.values()) <= {wanted}
    assert ("mm-core" in sisters) == (distribution.name != "mm-core")
    if distribution.folder.match("plugins/backends/*"):
        assert set(sisters) == {"mm-core"}, "a deployment installs the core and a backend, nothing else of mm"


def imported(distribution: Distribution) -> dict[str, Path]:
    """Top-level names that the package imports from elsewhere, each with one file that does."""
    found: dict[str, Path] = {}
    for path in distribution.sources:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            else:
                continue
            found |= {module.split(".")[0]: path for module in modules}
    return {name: path for name, path in found.items() if name not in {*sys.stdlib_module_names, distribution.package}}


@each
def test_what_is_imported_is_declared_and_what_is_declared_is_used(distribution: Distribution) -> None:
    owners = metadata.packages_distributions() | {"google": ["protobuf"]}
    used = {canonicalize_name(owners[name][0]): path for name, path in imported(distribution).items()}
    optional = set(distribution.extras)
    if distribution.name == "mm-core":
        optional.add("pytest")  # its pytest plugin runs inside pytest only
    declared = set(distribution.requirements)
    missing = {name: str(path.relative_to(ROOT)) for name, path in used.items() if name not in declared | optional}
    assert not missing
    # Networks are written in the operators of the packages mm-ops-*; an OpDef is found by name, not by import.
    assert {name for name in declared - set(used) if not name.startswith("mm-ops-")} == set()


@each
def test_setuptools_packages_are_listed_completely(distribution: Distribution) -> None:
    listed = distribution.tables["tool"].get("setuptools", {}).get("packages")
    if listed is None:
        assert distribution.tables["tool"]["scikit-build"]["wheel"]["packages"] == [distribution.package]
        return
    packages = {
        ".".join(path.parent.relative_to(ROOT / distribution.folder).parts)
        for path in distribution.sources
        if path.name == "__init__.py"
    }
    assert set(listed) == packages


@each
def test_entry_points_resolve(distribution: Distribution) -> None:
    for group, points in distribution.project.get("entry-points", {}).items():
        for name, value in points.items():
            assert metadata.EntryPoint(name, value, group).load() is not None


@each
def test_the_environment_has_the_entry_points_that_the_source_declares(distribution: Distribution) -> None:
    installed = {
        (point.group, point.name, point.value) for point in metadata.distribution(distribution.name).entry_points
    }
    declared = {
        (group, name, value)
        for group, points in distribution.project.get("entry-points", {}).items()
        for name, value in points.items()
    } | {("console_scripts", name, value) for name, value in distribution.project.get("scripts", {}).items()}
    assert installed == declared, "install the packages again: make -B .venv/stamps/projects"


def test_no_installed_plugin_has_a_problem() -> None:
    ours = {distribution.name for distribution in DISTRIBUTIONS}
    records = [record for record in plugins.records() if record.distribution in ours]
    assert {record.distribution for record in records} == ours - {"mm-core"}
    assert [record for record in records if record.problem is not None] == []
