"""What lies in the wheels: the package, what it reads at run time, and nothing else."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging.distributions import DISTRIBUTIONS, ROOT, Distribution

pytestmark = pytest.mark.serial

each = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)

NATIVE = "mm_backend_cpu/libmm_cpu.so"
REQUEST = "mm_backend_cpu/_request.abi3.so"


def wheel(wheels: Path, distribution: Distribution) -> ZipFile:
    (path,) = wheels.glob(f"{distribution.package}-*.whl")
    return ZipFile(path)


def metadata(archive: ZipFile) -> Message:
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(archive.read(name))


@each
def test_a_wheel_installs_one_package(wheels: Path, distribution: Distribution) -> None:
    version = distribution.project["version"]
    tops = {name.split("/")[0] for name in wheel(wheels, distribution).namelist()}
    assert tops == {distribution.package, f"{distribution.package}-{version}.dist-info"}


@each
def test_a_wheel_holds_every_file_of_the_package(source: Path, wheels: Path, distribution: Distribution) -> None:
    package = source / distribution.folder / distribution.package
    wanted = {str(path.relative_to(package.parent)) for path in package.rglob("*") if path.is_file()}
    if distribution.name == "mm-backend-cpu":
        wanted |= {NATIVE, REQUEST, "mm_backend_cpu/include/mm_cpu.h"}
    held = {name for name in wheel(wheels, distribution).namelist() if ".dist-info/" not in name}
    assert held == wanted
    assert f"{distribution.package}/py.typed" in held


def test_the_core_carries_its_templates_and_its_licence(wheels: Path) -> None:
    archive = wheel(wheels, DISTRIBUTIONS[0])
    names = archive.namelist()
    for kind in ("op", "pass", "parser", "backend", "kernel"):
        assert f"mm_core/cli/templates/{kind}/pyproject.toml.template" in names
    (licence,) = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


@each
def test_metadata_of_the_wheel(wheels: Path, distribution: Distribution) -> None:
    stated = metadata(wheel(wheels, distribution))
    assert stated["License-Expression"] == "Apache-2.0"
    assert stated["Requires-Python"] == ">=3.11"
    assert stated["Summary"] == distribution.project["description"]
    assert "# mm" in str(stated.get_payload())
    required = [value.replace(" ", "") for value in stated.get_all("Requires-Dist", [])]
    if distribution.name != "mm-core":
        assert {"mm-core<0.2,>=0.1", "mm-core>=0.1,<0.2"} & set(required)


@each
def test_only_the_native_wheel_is_bound_to_a_platform(wheels: Path, distribution: Distribution) -> None:
    (path,) = wheels.glob(f"{distribution.package}-*.whl")
    if distribution.name == "mm-backend-cpu":
        assert path.name.split("-")[2:4] == ["cp311", "abi3"]
        assert not path.name.endswith("-any.whl")
    else:
        assert path.name.endswith("-py3-none-any.whl")


def test_the_native_library_is_built_for_every_processor_of_its_kind(wheels: Path) -> None:
    build_files = [
        *(ROOT / "plugins/backends/cpu/native").rglob("CMakeLists.txt"),
        ROOT / "plugins/backends/cpu/pyproject.toml",
    ]
    assert not any("march=native" in path.read_text() for path in build_files)
    (cpu,) = [distribution for distribution in DISTRIBUTIONS if distribution.name == "mm-backend-cpu"]
    library = wheel(wheels, cpu).read(NATIVE)
    # Neither the folder it was compiled in nor the one it was compiled from.
    assert str(ROOT).encode() not in library
    assert str(wheels.parent).encode() not in library
