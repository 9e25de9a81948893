"""The packages as a user has them: installed from wheels, with what they declare and nothing more."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import mm_core as mm
from tests.packaging.conftest import Environment, run
from tests.packaging.distributions import DISTRIBUTIONS, ROOT

pytestmark = pytest.mark.serial

DIGITS = ROOT / "examples" / "digits"

USER_STORY = ("mm-core[standard]", "mm-parser-onnx", "mm-backend-cpu")
"""The three packages of someone who has an ONNX file and wants answers from it, fast."""

WITHOUT_PASSES = ("mm-core", "mm-parser-onnx", "mm-backend-cpu")

DEPLOYMENT = ("mm-core", "mm-backend-cpu")

Make = Callable[..., Environment]


@pytest.fixture(scope="module")
def digits(environment: Make) -> Path:
    """examples/digits/digits.onnx, built by `mm_build` where the three packages are installed and no compiler is."""
    builder = environment(*USER_STORY)
    shutil.copy(DIGITS / "digits.onnx", builder.folder)
    builder.run("mm_build", "digits.onnx", "-o", "digits.mm")
    return builder.folder / "digits.mm"


def test_the_core_alone_imports_every_public_name(environment: Make) -> None:
    names = environment("mm-core").run(
        "python", "-c", "import mm_core as mm\nfor name in mm.__all__: getattr(mm, name)\nprint(len(mm.__all__))"
    )
    assert int(names) > 50


def test_the_core_alone_imports_quickly_and_loads_nothing_it_does_not_need(environment: Make) -> None:
    core = environment("mm-core")
    loaded = core.run("python", "-c", "import sys, mm_core\nprint(*sorted(sys.modules))").split()
    foreign = {name.split(".")[0] for name in loaded} & {
        "blake3", "click", "ml_dtypes", "numpy", "packaging", "pluggy", "rich", "stevedore",
    }  # fmt: skip
    assert not foreign
    assert [name for name in loaded if name.startswith("mm_core")] == ["mm_core"]


def test_the_core_alone_lists_and_makes_plugins(environment: Make) -> None:
    core = environment("mm-core")
    assert "no plugins are installed" in core.run("mm_plugins", "list")
    core.run("mm_plugins", "new", "op", "my-op")
    assert (core.folder / "my-op" / "pyproject.toml").is_file()
    for command in ("mm_build", "mm_run", "mm_plugins"):
        assert "Usage" in core.run(command, "--help")


def test_three_packages_build_and_run_a_trained_model(environment: Make, digits: Path) -> None:
    user = environment(*USER_STORY)
    assert user.run("mm_plugins", "list").count(" ok") >= 3
    output = user.run("mm_run", digits, "--duration", "200")
    assert "Throughput" in output or "throughput" in output


def test_without_passes_a_model_builds_too(environment: Make, tmp_path: Path) -> None:
    environment(*WITHOUT_PASSES).run("mm_build", DIGITS / "digits.onnx", "-o", tmp_path / "digits.mm")
    environment(*DEPLOYMENT).run("mm_run", tmp_path / "digits.mm", "--iterations", "3")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the oldest versions have no wheels for later Pythons")
def test_the_oldest_versions_that_are_declared_are_enough(environment: Make, tmp_path: Path) -> None:
    oldest = {
        f"{name}=={specifier.version}"
        for distribution in DISTRIBUTIONS
        for name, requirement in distribution.requirements.items()
        for specifier in requirement.specifier
        if specifier.operator == ">=" and not name.startswith("mm-")
    }
    user = environment(*USER_STORY, *sorted(oldest))
    assert "broken" not in user.run("mm_plugins", "check")
    user.run("mm_build", DIGITS / "digits.onnx", "-o", tmp_path / "digits.mm")
    user.run("mm_run", tmp_path / "digits.mm", "--iterations", "3")


def test_all_plugins_are_well_where_only_they_are_installed(environment: Make) -> None:
    report = environment(*USER_STORY).run("mm_plugins", "check")
    assert report.count("ok  ") >= 3


def test_a_deployment_needs_two_packages_and_no_compiler(environment: Make, digits: Path, tmp_path: Path) -> None:
    """The file runs where there is no parser, no operator package and no compiler, and agrees with ONNX Runtime."""
    with np.load(DIGITS / "held_out.npz") as archive:
        images, labels = archive["images"][:, None].astype(np.float32) / 16, archive["labels"]
    np.save(tmp_path / "images.npy", images)
    code = (
        "import importlib.util, shutil, sys\n"
        "import numpy as np\n"
        "import mm_core as mm\n"
        "model, images, logits = sys.argv[1:]\n"
        "context = mm.Model.load(model).create_engine().create_context()\n"
        "np.save(logits, context.run({'image': np.load(images)})['logits'])\n"
        "assert not any(map(importlib.util.find_spec, ('onnx', 'mm_ops_standard', 'mm_parser_onnx')))\n"
        "assert not any(map(shutil.which, ('cc', 'gcc', 'clang', 'c++')))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('mm_')))"
    )
    deployed = environment(*DEPLOYMENT)
    loaded = deployed.run("python", "-c", code, digits, tmp_path / "images.npy", tmp_path / "logits.npy").split()
    unwanted = ("mm_core.build", "mm_core.compiler", "mm_core.ir", "mm_core.ops", "mm_core.passes", "mm_core.rewrite",
                "mm_backend_cpu.codegen", "mm_backend_cpu.compiler", "mm_backend_cpu.lowering")  # fmt: skip
    assert not [name for name in loaded if name.startswith(unwanted)]
    logits = np.load(tmp_path / "logits.npy")
    (expected,) = onnxruntime.InferenceSession(DIGITS / "digits.onnx").run(["logits"], {"image": images})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.mean(logits.argmax(1) == labels) >= 0.97


def test_code_compiled_elsewhere_runs_in_a_deployment(environment: Make, tmp_path: Path) -> None:
    """A file built in this environment, whose kernels a compiler made, gives the same bits in the deployment."""
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(mm.parse(DIGITS / "digits.onnx"))
    model.save(tmp_path / "digits.mm")
    assert "conv+relu" in {record.kernel for record in model.report.kernels}  # fused: generated code
    images = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np, mm_core as mm\n"
        "context = mm.Model.load(sys.argv[1]).create_engine().create_context()\n"
        "np.save(sys.argv[3], context.run({'image': np.load(sys.argv[2])})['logits'])\n"
    )
    environment(*DEPLOYMENT).run(
        "python", "-c", code, tmp_path / "digits.mm", tmp_path / "images.npy", tmp_path / "logits.npy"
    )
    here = model.create_engine().create_context().run({"image": images})["logits"]
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), here)


def test_the_mlu_is_built_with_a_compiler_and_deployed_without(environment: Make, tmp_path: Path) -> None:
    """The wheel holds the language, the emulator and the kernels; two packages run what was made of them."""
    builder = environment("mm-core[standard]", "mm-parser-onnx", "mm-backend-mlu")
    model = tmp_path / "digits.mm"
    source = (DIGITS / "digits.onnx", "--backend", "mlu", "--strict", "--batch_size", "2", "-o", model)
    run(builder.folder / "bin" / "mm_build", *source, MM_CACHE_DIR=str(tmp_path / "cache"))
    deployed = environment("mm-core", "mm-backend-mlu")
    output = deployed.run("mm_run", model, "--devices", "mlu:0", "--iterations", "3", "--duration", "0")
    assert "emulated MLU370-S4" in output
    assert "Predicted latency (not measured)" in output
    code = (
        "import sys, numpy as np, mm_core as mm\n"
        "context = mm.Model.load(sys.argv[1]).create_engine().create_context()\n"
        "context.run({'image': np.zeros((2, 1, 8, 8), np.float32)})\n"
        "print(*sorted(name for name in sys.modules if name.startswith('mm_')))"
    )
    loaded = deployed.run("python", "-c", code, model).split()
    unwanted = ("mm_core.compiler", "mm_core.ir", "mm_core.ops", "mm_backend_mlu.codegen", "mm_backend_mlu.compiler",
                "mm_backend_mlu.lowering", "mm_backend_mlu.toolchain")  # fmt: skip
    assert not [name for name in loaded if name.startswith(unwanted)]
    failing = "import subprocess, sys; print(subprocess.run(sys.argv[1:], stderr=-1, text=True).stderr)"
    assert "there is no C++ compiler" in builder.run("python", "-c", failing, "mm_build", *source)
