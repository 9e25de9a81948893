"""Kernels in C to one shared object, through the compiler found on this machine and a content-addressed cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as memoise
from pathlib import Path

from mm_core.compiler import ObjectCache
from mm_core.errors import CompileError

from .isa import Isa, host_machine
from .kernel_source import KernelSource
from .vector import prelude

_FLAGS = (
    "-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-Wno-psabi", "-w",
)  # fmt: skip
_LINK_FLAGS = ("-shared", "-s", "-Wl,--build-id=none", "-lm")
CACHE = "cpu-objects"
"""The kind of object cache that kernels are kept in."""
_PROCESSES = 2
_STDERR_LINES = 12
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Compiler:
    """A C compiler: its command line and what it says its version is."""

    command: tuple[str, ...]
    version: str

    def run(self, arguments: Sequence[str], folder: Path, what: str) -> None:
        """Run it in `folder`; a failure is a CompileError that ends with the last lines it printed."""
        environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
        try:
            result = subprocess.run(
                [*self.command, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                errors="replace", timeout=_TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CompileError(f"the compiler {self.command[0]!r} did not finish: {error}", where=what) from error
        if result.returncode:
            lines = "\n".join(result.stderr.strip().splitlines()[-_STDERR_LINES:])
            raise CompileError(
                f"the compiler {shlex.join(self.command)} failed with status {result.returncode}:\n{lines}",
                where=what,
                remedy="try another compiler through the environment variable CC",
            )


def find_compiler(machine: str = "") -> Compiler:
    """The first C compiler that answers, for this machine or another type, such as aarch64. CompileError if none does.

    They are: $CC; gcc, clang and cc, or for another type of machine the gcc that Linux distributions have for it;
    the ziglang package.
    """
    return _find_compiler(os.environ.get("CC", ""), "" if machine == host_machine() else machine)


@memoise
def _find_compiler(chosen: str, machine: str) -> Compiler:
    if chosen:
        candidates = [tuple(shlex.split(chosen))]
    else:
        names = (f"{machine}-linux-gnu-gcc",) if machine else ("gcc", "clang", "cc")
        candidates = [(name,) for name in names if shutil.which(name)]
        if importlib.util.find_spec("ziglang"):
            # Unlike the others, zig aims at the machine it runs on unless told otherwise.
            aim = ("-target", f"{machine}-linux-gnu") if machine else ("-mcpu=baseline",)
            candidates.append((sys.executable, "-m", "ziglang", "cc", *aim))
    for command in candidates:
        version = _version(command)
        if version:
            return Compiler(command, version)
    if chosen:
        raise CompileError(f"CC={chosen!r} is not a compiler that runs", remedy="correct or unset CC")
    if machine:
        raise CompileError(
            f"there is no C compiler for {machine}, so kernels cannot be generated for it",
            remedy=f"install gcc-{machine.replace('_', '-')}-linux-gnu, set CC, or pip install ziglang",
        )
    raise CompileError(
        "there is no C compiler, so kernels cannot be generated",
        remedy="install gcc or clang, set CC, or pip install ziglang",
    )


def _version(command: tuple[str, ...]) -> str:
    try:
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.partition("\n")[0].strip() if result.returncode == 0 else ""


@memoise
def abi_header() -> str:
    """The text of mm_cpu.h, from the installed package or from the source tree."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "include", package.parent / "native" / "include"):
        if (folder / "mm_cpu.h").is_file():
            return (folder / "mm_cpu.h").read_text()
    raise CompileError(
        "mm_cpu.h is missing from the installation of mm-backend-cpu", remedy="reinstall mm-backend-cpu"
    )


def unit_text(source: KernelSource, isa: Isa) -> str:
    """The C file of one kernel: the ABI, the vector prelude, the kernel and a name that the linker sees."""
    export = (
        f"extern __typeof__({source.symbol}) {_exported(source)} "
        f'__attribute__((alias("{source.symbol}"), visibility("hidden")));'
    )
    return "\n".join((abi_header(), prelude(isa), source.code, export, ""))


def _exported(source: KernelSource) -> str:
    return f"{source.symbol}_kernel"


def _table_text(sources: Sequence[KernelSource]) -> str:
    declarations = "\n".join(
        f'extern __attribute__((visibility("hidden"))) void {name}(const mm_call*, int64_t, int64_t, void*);'
        for name in dict.fromkeys(map(_exported, sources))
    )
    entries = ", ".join(map(_exported, sources))
    return f"""{abi_header()}
{declarations}
static const mm_kernel kernels[] = {{{entries}}};
static const mm_object object = {{MM_CPU_ABI, {len(sources)}, kernels}};
__attribute__((visibility("default"))) const mm_object* mm_object_entry(const mm_functions* functions) {{
  (void)functions;
  return &object;
}}
"""


def compile_kernels(sources: Sequence[KernelSource], isa: Isa, cache: ObjectCache | None = None) -> bytes:
    """One shared object whose `mm_object_entry` lists the kernels in the order given; the same bytes for equal input.

    Each kernel is a C file of its own, so that the cache shares it between networks. CompileError names the kernel.
    """
    if not sources:
        raise CompileError("there are no kernels to compile")
    cache = cache or ObjectCache(CACHE)
    compiler = find_compiler(isa.machine)
    common = "\0".join((compiler.version, *compiler.command, *_FLAGS, *isa.flags))
    units = {source.symbol: (source.symbol, unit_text(source, isa)) for source in sources}
    units[""] = ("kernel_table", _table_text(sources))
    keys = {symbol: _digest(common, text) for symbol, (_, text) in units.items()}
    object_key = _digest(common, *_LINK_FLAGS, *keys.values())
    if linked := cache.get(object_key):
        return linked
    with tempfile.TemporaryDirectory(prefix="mm-compile-") as name:
        folder = Path(name)

        def build(symbol: str) -> None:
            stem, text = units[symbol]
            _build_unit(compiler, isa, cache, keys[symbol], folder, stem, text)

        with ThreadPoolExecutor(min(_PROCESSES, os.cpu_count() or 1)) as pool:
            list(pool.map(build, units))
        objects = [f"{stem}.o" for stem, _ in units.values()]
        compiler.run([*objects, *_LINK_FLAGS, "-o", "kernels.so"], folder, "linking kernels")
        linked = (folder / "kernels.so").read_bytes()
    cache.put(object_key, linked)
    return linked


def _build_unit(
    compiler: Compiler, isa: Isa, cache: ObjectCache, key: str, folder: Path, stem: str, text: str
) -> None:
    unit = cache.get(key)
    if unit is not None:
        (folder / f"{stem}.o").write_bytes(unit)
        return
    (folder / f"{stem}.c").write_text(text)
    # Relative names keep the folder out of the object, so that equal input gives equal bytes.
    compiler.run([*_FLAGS, *isa.flags, "-c", f"{stem}.c", "-o", f"{stem}.o"], folder, stem)
    cache.put(key, (folder / f"{stem}.o").read_bytes())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
