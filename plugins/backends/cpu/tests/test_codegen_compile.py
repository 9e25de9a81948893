"""The compiler driver: order and bytes of objects, the cache, and what happens when things fail."""

from __future__ import annotations

import logging
import subprocess

import numpy as np
import pytest
from mm_backend_cpu.codegen import compile as driver
from mm_backend_cpu.codegen.compile import CACHE, compile_kernels, find_compiler
from mm_backend_cpu.codegen.isa import ISAS, detect, isa, usable
from mm_backend_cpu.codegen.kernel_source import Parameters, kernel_source
from mm_backend_cpu.testing import run

from mm_core.compiler import ObjectCache
from mm_core.errors import BuildError, CompileError
from mm_core.types import symbol


def constant_kernel(value: float):
    """A kernel that writes one number to each element of its output."""
    code = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  float* output = call->data[0];
  for (int64_t i = begin; i < end; i++) output[i] = {value!r}f;
}}"""
    return kernel_source("constant", code, tasks=symbol("N"))


@pytest.fixture
def cache(tmp_path):
    return ObjectCache(CACHE, tmp_path)


@pytest.fixture
def count_runs(monkeypatch):
    """The arguments of every run of the compiler proper."""
    runs, original = [], driver.Compiler.run

    def run(self, arguments, *rest):
        runs.append(arguments)
        original(self, arguments, *rest)

    monkeypatch.setattr(driver.Compiler, "run", run)
    return runs


def test_a_kernel_runs_and_its_symbol_is_its_content():
    [output] = run(constant_kernel(2.5), detect(), [], [((7,), np.float32)], {"N": 7})
    np.testing.assert_array_equal(output, 2.5)
    assert constant_kernel(2.5) == constant_kernel(2.5)
    assert constant_kernel(2.5).symbol != constant_kernel(3.5).symbol


def test_bytes_depend_on_the_input_alone(tmp_path):
    sources = [constant_kernel(1.0), constant_kernel(2.0), constant_kernel(1.0)]
    first = compile_kernels(sources, detect(), ObjectCache(CACHE, tmp_path / "one"))
    assert compile_kernels(sources, detect(), ObjectCache(CACHE, tmp_path / "two")) == first
    assert compile_kernels(sources[::-1], detect(), ObjectCache(CACHE, tmp_path / "three")) == first  # a palindrome
    assert compile_kernels(sources[:2][::-1], detect(), ObjectCache(CACHE, tmp_path / "four")) != first


def test_cached_kernels_are_not_compiled_again(cache, count_runs):
    first = compile_kernels([constant_kernel(1.0)], detect(), cache)
    assert len(count_runs) == 3  # the kernel, the table, the link
    assert compile_kernels([constant_kernel(1.0)], detect(), cache) == first
    assert len(count_runs) == 3
    compile_kernels([constant_kernel(1.0), constant_kernel(2.0)], detect(), cache)
    assert len(count_runs) == 6
    assert f"{constant_kernel(1.0).symbol}.c" not in [part for arguments in count_runs[3:] for part in arguments]


def test_a_damaged_entry_is_a_miss(cache):
    first = compile_kernels([constant_kernel(1.0)], detect(), cache)
    entries = [path for path in cache.folder.rglob("*") if path.is_file()]
    for path in entries:
        damaged = bytearray(path.read_bytes())
        damaged[-1] ^= 1
        path.write_bytes(bytes(damaged))
    assert compile_kernels([constant_kernel(1.0)], detect(), cache) == first


def test_an_unwritable_cache_is_reported_once(tmp_path, caplog):
    (tmp_path / "cpu-objects").write_text("a file where the folder should be")
    cache = ObjectCache(CACHE, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert compile_kernels([constant_kernel(1.0), constant_kernel(2.0)], detect(), cache)
    assert len([r for r in caplog.records if "MM_CACHE_DIR" in r.getMessage()]) == 1


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    cache = ObjectCache(CACHE, tmp_path)
    compile_kernels([constant_kernel(1.0)], detect(), cache)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_compiler_that_fails_says_which_kernel_and_why(cache):
    broken = kernel_source("broken", "static void KERNEL_NAME(int x) { this is not C; }", tasks=1)
    with pytest.raises(CompileError) as caught:
        compile_kernels([constant_kernel(1.0), broken], detect(), cache)
    assert broken.symbol in str(caught.value)
    assert "error" in str(caught.value)
    assert "this is not C" in str(caught.value)


def test_cc_that_is_no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(CompileError, match="CC='false'"):
        find_compiler()


def test_cc_that_fails_when_it_compiles(tmp_path, monkeypatch, cache):
    script = tmp_path / "cc"
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && echo fake 1 && exit 0\necho no room left >&2\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    with pytest.raises(CompileError, match="no room left") as caught:
        compile_kernels([constant_kernel(1.0)], detect(), cache)
    assert "status 3" in str(caught.value)


def test_no_compiler_at_all(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(driver.shutil, "which", lambda name: None)
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: None)
    driver._find_compiler.cache_clear()
    try:
        with pytest.raises(CompileError, match="ziglang"):
            find_compiler()
    finally:
        driver._find_compiler.cache_clear()


def test_no_kernels_is_an_error(cache):
    with pytest.raises(CompileError, match="no kernels"):
        compile_kernels([], detect(), cache)


def test_objects_export_one_symbol(tmp_path, cache):
    path = tmp_path / "object.so"
    path.write_bytes(compile_kernels([constant_kernel(1.0)], detect(), cache))
    listing = subprocess.run(["nm", "-D", "--defined-only", str(path)], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in listing.stdout.splitlines()] == ["mm_object_entry"]


def test_instruction_sets():
    assert usable()[-1] is ISAS["portable"]
    assert detect() is usable()[0]
    with pytest.raises(BuildError, match="avx512vnni"):
        isa("mmx")


def test_parameters_are_literals_or_numbered():
    parameters, n = Parameters(), symbol("N")
    assert parameters.c(3) == "INT64_C(3)"
    assert [parameters.c(dim) for dim in (n, n * 2, n)] == ["call->params[0]", "call->params[1]", "call->params[0]"]
    assert parameters.dims == [n, n * 2]
