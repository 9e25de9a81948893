"""Where generated models are kept: in MM_TEST_MODELS or the user's cache folder, a sub-folder each."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock


def folder() -> Path:
    """The folder of all generated models, created when missing."""
    chosen = os.environ.get("MM_TEST_MODELS")
    if chosen:
        path = Path(chosen)
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mm" / "test-models"
    path.mkdir(parents=True, exist_ok=True)
    return path


def fingerprint(sources: Iterable[str], *facts: object) -> str:
    """Short digest of source files, library versions and facts: a change in any of them is another model."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(Path(source).read_bytes())
    for package in ("torch", "transformers", "onnx", "onnxscript"):
        digest.update(f"{package}={version(package)};".encode())
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:12]


def obtain(key: str, make: Callable[[Path], None]) -> Path:
    """The sub-folder `key`, filled by `make(folder)` if it does not exist yet.

    The folder appears under its name only when `make` has returned, and processes that want the same model at
    the same time wait for the first one instead of repeating its work.
    """
    target = folder() / key
    if target.is_dir():
        return target
    with FileLock(folder() / f"{key}.lock"):
        if target.is_dir():
            return target
        partial = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder()))
        try:
            make(partial)
            partial.chmod(0o755)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target
