"""Folders of what compilers made or measured, named by the hash of all that went into it."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)
_DIGEST_BYTES = 32


def default_folder() -> Path:
    """$MM_CACHE_DIR, or the user's cache folder."""
    if chosen := os.environ.get("MM_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mm"


class ObjectCache:
    """Bytes by key, in a folder for one `kind` of them below `folder`, the user's cache if left out.

    A damaged entry counts as missing; a folder that cannot be written is reported once, then left.
    """

    def __init__(self, kind: str, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()) / kind
        self._writable = True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def get(self, key: str) -> bytes | None:
        """The bytes stored under `key`, or None."""
        try:
            stored = self._path(key).read_bytes()
        except OSError:
            return None
        digest, payload = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        return payload if hashlib.sha256(payload).digest() == digest else None

    def put(self, key: str, payload: bytes) -> None:
        """Store bytes under `key`: complete or not at all."""
        if not self._writable:
            return
        path, temporary = self._path(key), None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
        except OSError as error:
            self._writable = False
            logger.warning(
                "%s are not cached: %s; set MM_CACHE_DIR to a folder that can be written", self.folder.name, error
            )
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
