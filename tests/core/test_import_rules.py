"""Who may import whom, and what the core may not know: checked on the source, and on a running process."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mm_core as mm
from tests.core.layering import ROOT, Import, imports, sources, words

CORE = ROOT / "mm_core"
PLUGINS = ROOT / "plugins"

LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "plugins": {"errors"},
    "types": {"errors"},
    "memory": {"errors", "types"},
    "ops": {"errors", "types", "plugins"},
    "ir": {"errors", "types", "ops"},
    "serial": {"errors", "types"},
    "model": {"errors", "types", "serial", "plugins"},
    "device": {"errors", "types", "serial", "model", "plugins"},
    "runtime": {"errors", "types", "serial", "model", "device", "plugins", "memory"},
    "rewrite": {"errors", "types", "ops", "ir"},
    "parsing": {"errors", "types", "ops", "ir", "plugins"},
    "compiler": {"errors", "types", "ops", "ir", "serial", "model", "plugins", "device"},
    "passes": {"errors", "types", "ops", "ir", "rewrite", "plugins"},
}
"""Package of the core -> the packages it may import. build, testing and cli are judged below."""

COMPILER_SIDE = {"ir", "rewrite", "parsing", "compiler", "passes", "build"}
EVERYTHING = {*LAYERS, "build"}
# The build asks the runtime which host operations it performs: that is stated there, once.
LAYERS |= {"build": EVERYTHING, "testing": EVERYTHING, "cli": EVERYTHING}

DOOR = ("model", "runtime")
"""The one import upwards: `Model.create_engine` brings the runtime in when it is called."""

DEPENDENCIES = {"numpy", "ml_dtypes", "pluggy", "stevedore", "packaging", "click", "rich", "blake3"}
DEV_DEPENDENCIES_OF_TESTING = {"pytest", "hypothesis"}

FOREIGN = re.compile(r"torch|tensorflow|onnx|keras|cuda|openvino|\bmlu|mlu_|cambricon|nvidia|rocm", re.IGNORECASE)
OPTION_FILES = {"cli/build.py"}
"""Where MagicMind's names of front ends may stand: as options of mm_build."""


def layer(path: Path) -> str:
    first = path.relative_to(CORE).parts[0]
    return first.removesuffix(".py")


def core_imports() -> list[Import]:
    return [
        found for path in sources(CORE) for found in imports(path, package=".".join(path.relative_to(ROOT).parts[:-1]))
    ]


def test_layers_import_only_what_lies_below_them() -> None:
    wrong = []
    for found in core_imports():
        if found.path.parent == CORE and found.path.stem == "__init__":
            continue  # the lazy facade
        parts = found.module.split(".")
        if parts[0] != "mm_core" or (found.module, found.name) == ("mm_core", "__version__"):
            continue
        target = parts[1] if len(parts) > 1 else found.name or ""
        here = layer(found.path)
        if len(parts) == 1 and target not in LAYERS:
            wrong.append(f"{found} (inside the core import the package, not the facade)")
        elif target != here and target not in LAYERS[here] and (here, target) != DOOR:
            wrong.append(f"{found} ({here} may import {', '.join(sorted(LAYERS[here])) or 'nothing'})")
    assert not wrong, "\n".join(wrong)


def test_the_core_depends_on_its_declared_libraries_only() -> None:
    wrong = []
    for found in core_imports():
        top = found.module.split(".")[0]
        allowed = DEPENDENCIES | ({"mm_core"} if top == "mm_core" else set())
        if layer(found.path) == "testing":
            allowed = allowed | DEV_DEPENDENCIES_OF_TESTING
        if top not in allowed and top not in sys.stdlib_module_names:
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_the_core_names_no_framework_and_no_device() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in sources(CORE)
        if str(path.relative_to(CORE)) not in OPTION_FILES
        for line, word in words(path)
        if FOREIGN.search(word)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_configures_no_logging_and_hides_no_failure() -> None:
    wrong = []
    for path in sources(CORE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: bare except")
            if isinstance(node, ast.Attribute) and node.attr == "basicConfig":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: logging.basicConfig")
    assert not wrong, "\n".join(wrong)


PUBLIC_MODULES = {"mm_core.errors", "mm_core.types.dtypes", "mm_core.testing.case"}
"""Modules that are no packages and public whole: every error, every element type, what the harness judges."""


def public_names(module: str) -> set[str] | None:
    """`__all__` of a package, every name without an underscore of a public module, None if it is private."""
    if module == "mm_core":
        return set(mm.__all__) | {path.name for path in CORE.iterdir() if (path / "__init__.py").exists()}
    if module in PUBLIC_MODULES:
        return {name for name in vars(importlib.import_module(module)) if not name.startswith("_")}
    init = CORE.joinpath(*module.split(".")[1:], "__init__.py")
    if not init.exists() or module.count(".") > 1:
        return None
    for node in ast.parse(init.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def test_plugins_import_public_names_of_the_core_only() -> None:
    wrong = []
    for path in sources(PLUGINS, "*/*/mm_*/**/*.py"):
        for found in imports(path):
            if found.module.split(".")[0] != "mm_core":
                continue
            names = public_names(found.module)
            if names is None:
                wrong.append(f"{found} (not a public package)")
            elif found.name is not None and found.name not in names:
                wrong.append(f"{found} (not in __all__)")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", ["import os\nfrom mm_core.build import X\n", "def f():\n    import torch\n"])
def test_the_reader_of_imports_sees_them_at_any_depth(tmp_path: Path, code: str) -> None:
    path = tmp_path / "m.py"
    path.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\n" + code)
    modules = {found.module for found in imports(path)}
    assert modules & {"mm_core.build", "torch"}
    assert "hidden" not in modules


def test_importing_the_core_loads_nothing_heavy() -> None:
    code = "import sys, mm_core; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "tensorflow", "onnx", "onnxruntime", "click", "rich", "stevedore", "pluggy"}


def import_seconds(module: str) -> float:
    """The best of five cold interpreters: cumulative import time of one module, after numpy."""
    code = f"import time, numpy\nstarted = time.perf_counter()\nimport {module}\nprint(time.perf_counter() - started)"
    runs = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(5)
    )
    return min(map(float, runs))


def test_only_create_engine_leads_from_the_model_to_the_runtime() -> None:
    upwards = [found for found in core_imports() if layer(found.path) == "model" and "runtime" in found.module]
    assert [found.name for found in upwards] == ["Engine"]
    code = "import sys, mm_core.model; print('mm_core.runtime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_running_a_model_loads_nothing_of_the_compiler(tmp_path: Path) -> None:
    net = mm.Network("tiny")
    x = net.add_input("x", mm.float32, ("N", 4))
    net.mark_output(net.tanh(x), "y")
    path = tmp_path / "tiny.mm"
    mm.Builder(mm.BuilderConfig(backends=["reference"])).build(net).save(path)
    code = (
        "import sys, numpy as np, mm_core as mm\n"
        "context = mm.Model.load(sys.argv[1]).create_engine().create_context()\n"
        "assert context.run({'x': np.zeros((2, 4), np.float32)})['y'].shape == (2, 4)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('mm_core.')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1] for name in done.stdout.split()}
    assert "runtime" in loaded
    # The interpreter's executables are networks as text, so this one backend brings the IR along.
    assert loaded & COMPILER_SIDE <= {"ir"}


@pytest.mark.serial
def test_import_mm_core_adds_at_most_100_ms_to_numpy() -> None:
    assert import_seconds("mm_core") < 0.1
