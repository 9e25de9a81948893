"""Compilers: the host's for the emulated object, the vendor's `cncc` for the real one."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as memoise
from pathlib import Path

from mm_core.compiler import ObjectCache
from mm_core.errors import CompileError

from .host import host_features, instruction_level
from .target import Target

BANG_FOLDER = Path(__file__).resolve().parent / "bang"
"""The language for the host's compiler (`emulator/bang.h`), `launch.h` and the library of kernels."""

_EMULATOR_FOLDER = BANG_FOLDER / "emulator"
_UNIT = "kernels.mlu"
_COMMON_FLAGS = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-stack-protector",
                 "-fno-asynchronous-unwind-tables", "-ffp-contract=off", "-w")  # fmt: skip
_EMULATOR_FLAGS = (*_COMMON_FLAGS, "-O3", "-fno-math-errno", "-fno-trapping-math")
# The sanitizer puts a call in front of each access to memory, which the emulator answers. Vectors would hide accesses.
_KERNEL_FLAGS = (*_COMMON_FLAGS, "-O1", "-fsanitize=thread", "-fno-tree-vectorize")
_LINK_FLAGS = ("-shared", "-s", "-Wl,--build-id=none", "-lm")
_VENDOR_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared")
# x86-64-v3 in words that all compilers know.
_LEVEL_FLAGS = ("-mavx2", "-mbmi", "-mbmi2", "-mf16c", "-mfma", "-mlzcnt", "-mmovbe", "-mpopcnt")
CACHE = "mlu-objects"
"""The kind of object cache that the emulator and kernels are kept in."""
_PROCESSES = 2
_TIMEOUT_SECONDS = 600
_ERROR_LINES = 12


@dataclass(frozen=True)
class Toolchain:
    """A compiler: its command line and what it says its version is."""

    command: tuple[str, ...]
    version: str

    def run(self, arguments: Sequence[str], folder: Path, what: str, remedy: str) -> None:
        """Run it in `folder`; a failure is a CompileError that ends with the first errors it printed."""
        environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
        try:
            result = subprocess.run(
                [*self.command, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                errors="replace", timeout=_TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CompileError(f"{self.command[0]!r} did not finish: {error}", where=what, remedy=remedy) from error
        if result.returncode:
            lines = result.stderr.strip().splitlines()
            errors = [line for line in lines if "error" in line or "undefined" in line] or lines
            raise CompileError(
                f"{shlex.join(self.command)} failed with status {result.returncode}:\n"
                + "\n".join(errors[:_ERROR_LINES]),
                where=what,
                remedy=remedy,
            )


@dataclass(frozen=True)
class EmulatedObject:
    """A shared object for the host that runs kernels on the emulator, and what a host must have to load it."""

    code: bytes
    requires: Mapping[str, str]


def find_host_compiler() -> Toolchain:
    """The first C++ compiler that answers: $CXX, g++, clang++, c++, the ziglang package. CompileError if none does."""
    return _find_host_compiler(os.environ.get("CXX", ""))


@memoise
def _find_host_compiler(chosen: str) -> Toolchain:
    if chosen:
        candidates = [tuple(shlex.split(chosen))]
    else:
        candidates = [(name,) for name in ("g++", "clang++", "c++") if shutil.which(name)]
        if importlib.util.find_spec("ziglang"):
            candidates.append((sys.executable, "-m", "ziglang", "c++", "-mcpu=baseline", "-fno-sanitize=undefined"))
    for command in candidates:
        if version := _version(command):
            return Toolchain(command, version)
    if chosen:
        raise CompileError(f"CXX={chosen!r} is not a compiler that runs", remedy="correct or unset CXX")
    raise CompileError(
        "there is no C++ compiler, and without one nothing can be built for the emulated MLU",
        remedy="install g++ or clang++, set CXX, or pip install ziglang",
    )


def _version(command: Sequence[str]) -> str:
    try:
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.partition("\n")[0].strip() if result.returncode == 0 else ""


def compile_emulated(source: str, target: Target, cache: ObjectCache | None = None) -> EmulatedObject:
    """A generated source as a shared object on the emulator: the same bytes for the same source. CompileError else."""
    compiler = find_host_compiler()
    cache = cache or ObjectCache(CACHE)
    level = instruction_level()
    machine = _LEVEL_FLAGS if level else ()
    emulator = _emulator_texts()
    headers = "\0".join(text for name, text in emulator.items() if name.endswith(".h"))
    common = "\0".join((compiler.version, *compiler.command, *machine, headers))
    kernel_flags = (*_KERNEL_FLAGS, *_entry_flags(compiler), *machine, *_definitions(target))
    units = {
        name: (text, (*_EMULATOR_FLAGS, *machine)) for name, text in emulator.items() if name.endswith(".cpp")
    }  # fmt: skip
    units[_UNIT] = (source + "\0" + _library_text(), kernel_flags)
    keys = {name: _digest(common, *flags, name, text) for name, (text, flags) in units.items()}
    linked_key = _digest(*_LINK_FLAGS, *keys.values())
    requires = {key: value for key, value in host_features().items() if value}
    if linked := cache.get(linked_key):
        return EmulatedObject(linked, requires)
    remedy = "set CXX to another compiler"
    with tempfile.TemporaryDirectory(prefix="mm-mlu-") as name:
        folder = Path(name)
        (folder / _UNIT).write_text(source)

        def build(unit: str) -> None:
            compiled = folder / f"{unit}.o"
            if stored := cache.get(keys[unit]):
                compiled.write_bytes(stored)
                return
            if unit != _UNIT:
                shutil.copyfile(_EMULATOR_FOLDER / unit, folder / unit)
            # Relative names keep the folder out of the object.
            includes = (f"-I{_EMULATOR_FOLDER}", f"-I{BANG_FOLDER}")
            arguments = [*units[unit][1], *includes, "-x", "c++", "-c", unit, "-o", compiled.name]
            compiler.run(arguments, folder, unit, remedy)
            cache.put(keys[unit], compiled.read_bytes())

        with ThreadPoolExecutor(min(_PROCESSES, os.cpu_count() or 1)) as pool:
            list(pool.map(build, units))
        objects = [f"{unit}.o" for unit in units]
        compiler.run([*objects, *_LINK_FLAGS, "-o", "kernels.so"], folder, "linking kernels", remedy)
        linked = (folder / "kernels.so").read_bytes()
    cache.put(linked_key, linked)
    return EmulatedObject(linked, requires)


def _entry_flags(compiler: Toolchain) -> tuple[str, ...]:
    """Without the sanitizer's calls on entering and leaving functions, which the emulator has no use for."""
    option = "tsan-instrument-func-entry-exit=0"
    if "clang" in compiler.version.lower() or "ziglang" in compiler.command:
        return "-mllvm", f"-{option}"
    return "--param", option


def _definitions(target: Target) -> tuple[str, ...]:
    # The vendor's compiler states whole memories in KiB; what it keeps for itself is not in them.
    kept = 128 * 1024
    sizes = {"NRAM": target.nram_bytes + kept, "WRAM": target.wram_bytes, "SRAM": target.sram_bytes + kept}
    return (
        f"-D__BANG_ARCH__={target.bang_arch}",
        *(f"-D__MLU_{name}_SIZE__={size // 1024}" for name, size in sizes.items()),
    )


def _emulator_texts() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(_EMULATOR_FOLDER.iterdir()) if path.suffix in (".h", ".cpp")}


def _library_text() -> str:
    """All that a source may include besides bang.h, as it decides what the object is."""
    paths = [BANG_FOLDER / "launch.h", *sorted((BANG_FOLDER / "kernels").glob("*.h"))]
    return "\0".join(path.read_text() for path in paths)


def find_vendor_compiler() -> Toolchain | None:
    """Cambricon's `cncc`: in $NEUWARE_HOME, or on the PATH; None where it is not installed.

    CompileError if NEUWARE_HOME says that there is an SDK, and there is no compiler that answers.
    """
    home = os.environ.get("NEUWARE_HOME")
    command = shutil.which("cncc", path=str(Path(home) / "bin")) if home else None
    command = command or shutil.which("cncc")
    if command is None and home:
        raise CompileError(
            f"NEUWARE_HOME={home} has no bin/cncc, so nothing can be compiled for real cards",
            remedy="install Cambricon's CNToolkit there, or unset NEUWARE_HOME to build for emulated cards alone",
        )
    if command is None:
        return None
    version = _version([command])
    if not version:
        raise CompileError(
            f"{command} does not answer", remedy="repair the Neuware SDK, or take it off PATH and NEUWARE_HOME"
        )
    return Toolchain((command,), version)


def compile_vendor(compiler: Toolchain, source: str, target: Target, cache: ObjectCache | None = None) -> bytes:
    """A generated source as the shared object that the driver loads, by the vendor's compiler. CompileError else."""
    cache = cache or ObjectCache(CACHE)
    home = os.environ.get("NEUWARE_HOME")
    includes = (f"-I{Path(home) / 'include'}",) if home else ()
    libraries = (f"-L{Path(home) / 'lib64'}", "-lcnrt") if home else ("-lcnrt",)
    flags = (*_VENDOR_FLAGS, f"--bang-mlu-arch={target.arch}")
    key = _digest(compiler.version, *compiler.command, *flags, *includes, *libraries, source, _library_text())
    if stored := cache.get(key):
        return stored
    with tempfile.TemporaryDirectory(prefix="mm-mlu-") as name:
        folder = Path(name)
        (folder / _UNIT).write_text(source)
        arguments = [_UNIT, "-o", "kernels.so", f"-I{BANG_FOLDER}", *includes, *libraries, *flags]
        compiler.run(arguments, folder, _UNIT, "the SDK may be too old for this architecture or code: update it")
        if not (folder / "kernels.so").is_file():
            raise CompileError(f"{compiler.command[0]} made no object", where=_UNIT)
        binary = (folder / "kernels.so").read_bytes()
    cache.put(key, binary)
    return binary


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
