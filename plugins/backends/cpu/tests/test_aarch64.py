"""Networks built here for AArch64: refused on another processor, and right on an emulated one.

Debian's packages gcc-aarch64-linux-gnu and g++-aarch64-linux-gnu compile, qemu-user-static runs.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mm_backend_cpu.codegen import compile as driver
from mm_backend_cpu.program import Program

import mm_core as mm
from mm_core.errors import DeviceError

TRIPLE = "aarch64-linux-gnu"
NATIVE = Path(__file__).resolve().parents[1] / "native"
RUNNER = Path(__file__).parent / "aarch64" / "run_program.c"
_MISSING = [tool for tool in (f"{TRIPLE}-gcc", f"{TRIPLE}-g++", "qemu-aarch64-static") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the cross compiler of Debian runs on x86_64"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """The native library and a program around it, compiled for AArch64: a function that runs it on a folder."""
    folder = tmp_path_factory.mktemp("aarch64")
    includes = [f"-I{NATIVE / 'include'}", f"-I{NATIVE / 'src'}"]
    sources = sorted(map(str, (*NATIVE.glob("src/*.cpp"), *NATIVE.glob("kernels/*.cpp"))))

    def compile_one(number: int, source: str) -> str:
        language = ["-gcc", "-std=gnu11"] if source.endswith(".c") else ["-g++", "-std=c++17"]
        target = folder / f"{number}.o"
        command = [f"{TRIPLE}{language[0]}", language[1], "-O1", "-fno-math-errno", *includes, "-c", source]
        subprocess.run([*command, "-o", str(target)], check=True)
        return str(target)

    objects = [compile_one(number, source) for number, source in enumerate([*sources, str(RUNNER)])]
    runner = folder / "run_program"
    # Generated code finds what it needs of the C library in the process that loads it.
    subprocess.run([f"{TRIPLE}-g++", *objects, "-o", str(runner), "-pthread", "-ldl"], check=True)

    def run(*arguments: str) -> None:
        subprocess.run(["qemu-aarch64-static", "-L", f"/usr/{TRIPLE}", str(runner), *arguments], check=True)

    return run


def convolutions() -> mm.Network:
    """Every algorithm for convolutions, pools, and what follows them."""
    rng = np.random.default_rng(1)

    def weights(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    network = mm.Network("convolutions")
    image = network.add_input("image", mm.float32, (1, 3, 29, 31))
    h = network.relu(network.conv(image, weights(32, 3, 3, 3), weights(32), strides=(2, 2), name="first"))
    h = network.relu(network.conv(h, weights(96, 32, 1, 1), name="expand"))
    h = network.silu(network.conv(h, weights(96, 1, 3, 3), pads=(1, 1, 1, 1), group=96, name="depthwise"))
    h = network.add(network.conv(h, weights(32, 96, 1, 1)), network.conv(h, weights(32, 96, 3, 3), pads=(1, 1, 1, 1)))
    h = network.max_pool(h, kernel_shape=(2, 2), strides=(2, 2))
    h = network.flatten(network.reduce_mean(h, axes=(2, 3), keepdims=True))
    network.mark_output(network.softmax(network.linear(h, weights(10, 32), weights(10)), axis=-1), "scores")
    return network


def transformer() -> mm.Network:
    """Products, normalisation, attention and elementary functions."""
    rng = np.random.default_rng(2)

    def weights(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    network = mm.Network("transformer")
    x = network.add_input("x", mm.float32, (1, 19, 64))
    h = network.layer_norm(x, weights(64) + 1, weights(64), axis=-1)
    heads = [
        network.transpose(network.reshape(network.linear(h, weights(64, 64)), (1, 19, 4, 16)), permutation=(0, 2, 1, 3))
        for _ in range(3)
    ]
    h = network.transpose(network.attention(*heads), permutation=(0, 2, 1, 3))
    h = network.add(x, network.linear(network.reshape(h, (1, 19, 64)), weights(64, 64)))
    h = network.add(h, network.linear(network.gelu(network.linear(h, weights(256, 64))), weights(64, 256)))
    network.mark_output(network.tanh(h), "y")
    network.mark_output(network.cumsum(h, axis=1), "sums")
    return network


@pytest.mark.parametrize("make", [convolutions, transformer])
def test_results_equal_those_of_this_machine(
    make: Callable[[], mm.Network], emulated: Callable[..., None], tmp_path: Path
) -> None:
    here = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(make())
    there = mm.Builder(mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": "neon"})).build(make())
    (part,) = there.executables
    assert sum(kernel.note != "library" for kernel in part.kernels) > 5, "code was generated"
    rng = np.random.default_rng(0)
    inputs = {spec.name: rng.standard_normal(spec.shape).astype(np.float32) for spec in there.inputs}

    bound = Program.from_json(part.manifest["program"]).bind({})
    (tmp_path / "words").write_bytes(bound.words.tobytes())
    (tmp_path / "object").write_bytes(part.code)
    for number, constant in enumerate(part.constants):
        (tmp_path / f"constant{number}").write_bytes(constant.numpy().tobytes())
    for number, array in enumerate(inputs.values()):
        (tmp_path / f"input{number}").write_bytes(array.tobytes())
    expected = here.create_engine().create_context().run(inputs)
    sizes = [str(array.nbytes) for array in expected.values()]
    emulated(str(tmp_path), str(len(part.constants)), str(len(inputs)), *sizes)
    for number, array in enumerate(expected.values()):
        found = np.frombuffer((tmp_path / f"output{number}").read_bytes(), array.dtype).reshape(array.shape)
        np.testing.assert_allclose(found, array, rtol=2e-5, atol=2e-6 * float(np.abs(array).max()))


def test_code_for_aarch64_does_not_run_here() -> None:
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": "neon"})).build(transformer())
    assert model.executables[0].requires["isa"] == "neon"
    with pytest.raises(DeviceError, match="processors with neon"):
        model.create_engine()


def test_without_a_cross_compiler_the_library_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(driver.shutil, "which", lambda name: None)
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: None)
    driver._find_compiler.cache_clear()
    try:
        with pytest.raises(mm.CompileError, match="no C compiler for aarch64") as caught:
            driver.find_compiler("aarch64")
        assert "gcc-aarch64-linux-gnu" in str(caught.value)
        model = mm.Builder(mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": "neon"})).build(convolutions())
        assert {kernel.note for part in model.executables for kernel in part.kernels} == {"library"}
    finally:
        driver._find_compiler.cache_clear()
