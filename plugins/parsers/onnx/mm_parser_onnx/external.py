"""The one door to files beside a model. A model may name only regular files of its own, inside its own folder."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from mm_core.errors import ParseError


def map_file(path: Path, *, links: bool) -> memoryview:
    """A whole regular file as read-only memory; nothing is read before it is needed. OSError as `open` raises it.

    Without `links`, symbolic and hard links are refused. What is checked is the file that has been opened: another may
    take its name at any time.
    """
    # A pipe without a writer would block forever.
    flags = getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ParseError("it is not a regular file", where=str(path))
        if not links and status.st_nlink > 1:
            raise ParseError("it is a hard link, which may lead out of the model's folder", where=str(path))
        if not status.st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)


class ExternalFiles:
    """External data of one model. Each file is checked and mapped once."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._mapped: dict[str, memoryview] = {}

    def read(self, location: str, offset: int, length: int | None, what: str) -> memoryview:
        """`length` bytes (None: all that follow) at `offset` of the file that the model calls `location`."""
        if location not in self._mapped:
            self._mapped[location] = self._open(location, what)
        data = self._mapped[location]
        end = len(data) if length is None else offset + length
        if offset < 0 or end > len(data) or end < offset:
            raise ParseError(
                f"{what} needs bytes {offset} to {end} of the file {location!r}, which has {len(data)}",
                remedy="the file is truncated or belongs to another model",
            )
        return data[offset:end]

    def _open(self, location: str, what: str) -> memoryview:
        path = self._inside(location, what)
        try:
            if path.is_symlink():
                raise _refused(what, location, "it is a link")
            return map_file(path, links=False)
        except ParseError as error:
            raise _refused(what, location, error.what) from None
        except FileNotFoundError:
            files = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
            raise ParseError(
                f"{what} is in the file {location!r}, which is missing",
                where=str(path.parent),
                available=", ".join(files[:20]) or "no files",
                remedy="put it beside the model",
            ) from None
        except OSError as error:
            raise ParseError(f"{what}: the file {location!r} cannot be read: {error}") from error

    def _inside(self, location: str, what: str) -> Path:
        if self.folder is None:
            raise ParseError(
                f"{what} is in the file {location!r}, but the model came from memory and has no folder",
                remedy="parse the path of the model",
            )
        written = PurePosixPath(location)
        if not location or "\0" in location or written.is_absolute() or PureWindowsPath(location).is_absolute():
            raise _refused(what, location, "the path must be relative")
        if ".." in written.parts or ".." in PureWindowsPath(location).parts:
            raise _refused(what, location, "the path leads out of the model's folder")
        path = self.folder / written
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise _refused(what, location, "the path leads out of the model's folder")
        return path


def _refused(what: str, location: str, reason: str) -> ParseError:
    return ParseError(
        f"{what} names the file {location!r}: {reason}",
        remedy="external data must be a regular file inside the model's folder",
    )
