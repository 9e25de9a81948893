"""Reading a `.mm` file: mapped, checked against its hashes, and handed out without a copy."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np

from mm_core.errors import ModelFileError
from mm_core.serial.digests import LEAF_BYTES, first_mismatch
from mm_core.serial.layout import (
    PREAMBLE_BYTES,
    SectionEntry,
    TensorEntry,
    body_start,
    damaged,
    read_preamble,
    read_sections,
)
from mm_core.serial.strict_json import check_fields, decode
from mm_core.serial.strings import decode_strings
from mm_core.types import Array, TensorData
from mm_core.types.dtypes import string


class Container:
    """A model file, open for reading. Nothing leaves it unverified; safe to use from many threads.

    Opening checks the header, the padding and every section of plain bytes. Sections of tensors are checked
    leaf by leaf when a tensor is first read, or all at once by `verify`. A file stays mapped for as long as
    the container or anything taken from it lives; replace such a file by renaming, never by writing into it.
    """

    def __init__(self, file: memoryview, where: str) -> None:
        self._file = file
        self._where = where
        text, self.digest = read_preamble(file, where)
        top = check_fields(
            decode(text, f"{where}: header"), f"{where}: header", {"header": dict, "sections": list}
        )
        self.header: Mapping[str, Any] = top["header"]
        self._entries = {entry.name: entry for entry in read_sections(top["sections"], where)}
        self._start = body_start(len(text))
        self._verified = {name: bytearray(len(entry.leaves)) for name, entry in self._entries.items()}
        self._check_extent(PREAMBLE_BYTES + len(text))
        for entry in self._entries.values():
            if entry.tensors is None:
                self._verify(entry, 0, entry.length)

    @classmethod
    def open(cls, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Container:
        """Open a file by path, or the bytes of one. Raises ModelFileError for any damage."""
        if isinstance(source, bytes | bytearray | memoryview):
            return cls(memoryview(source).cast("B").toreadonly(), "model")
        where = os.fspath(source)
        try:
            return cls(_mapped(where), where)
        except OSError as error:
            raise ModelFileError(
                f"cannot open the model file: {error.strerror or error}", where=where, remedy="check the path"
            ) from error

    @property
    def sections(self) -> Mapping[str, str]:
        """The kind of each section by name, in the order of the file."""
        return {entry.name: entry.kind for entry in self._entries.values()}

    def section(self, name: str) -> memoryview:
        """The verified bytes of a section, read-only, no copy."""
        entry = self._entry(name)
        self._verify(entry, 0, entry.length)
        return self._bytes(entry)

    def tensors(self, name: str) -> dict[str, TensorData]:
        """Handles to the tensors of a section by key; `numpy()` verifies a tensor and maps it without a copy.

        String tensors are decoded, which copies them.
        """
        entry = self._entry(name)
        if entry.tensors is None:
            holders = [other.name for other in self._entries.values() if other.tensors is not None]
            raise ModelFileError(
                f"section {name!r} holds no tensors",
                where=self._where,
                available=", ".join(holders) or "none",
            )
        return {
            tensor.key: TensorData(
                tensor.dtype, tensor.shape, partial(self._load, entry, tensor), key=tensor.key
            )
            for tensor in entry.tensors
        }

    def verify(self) -> None:
        """Check all that has not been checked yet. Raises ModelFileError with the place of the damage."""
        for entry in self._entries.values():
            self._verify(entry, 0, entry.length)

    def _entry(self, name: str) -> SectionEntry:
        entry = self._entries.get(name)
        if entry is None:
            raise ModelFileError(
                f"the file has no section {name!r}",
                where=self._where,
                available=", ".join(self._entries) or "none",
            )
        return entry

    def _bytes(self, entry: SectionEntry) -> memoryview:
        begin = self._start + entry.offset
        return self._file[begin : begin + entry.length]

    def _check_extent(self, end: int) -> None:
        """The file ends where its last section does, and all that lies between sections is zero."""
        gaps = []
        for entry in self._entries.values():
            gaps.append((end, self._start + entry.offset))
            end = self._start + entry.offset + entry.length
        if len(self._file) != end:
            state = "truncated" if len(self._file) < end else "followed by foreign bytes"
            raise damaged(f"{state}: {len(self._file)} bytes where the header states {end}", self._where)
        for begin, stop in gaps:
            if any(self._file[begin:stop]):
                raise damaged(f"the padding from byte {begin} to {stop} is not zero", self._where)

    def _verify(self, entry: SectionEntry, begin: int, end: int) -> None:
        """Check the leaves that hold bytes `begin` to `end` of a section, unless that has been done."""
        # Two threads may check one leaf twice; neither proceeds before its own check has passed.
        verified = self._verified[entry.name]
        leaves = range(begin // LEAF_BYTES, -(-end // LEAF_BYTES))
        unchecked = [index for index in leaves if not verified[index]]
        wrong = first_mismatch(self._bytes(entry), entry.leaves, unchecked)
        if wrong is not None:
            first = self._start + entry.offset + wrong * LEAF_BYTES
            last = self._start + entry.offset + min((wrong + 1) * LEAF_BYTES, entry.length)
            raise damaged(
                f"section {entry.name!r} does not match its digest in bytes {first} to {last} of the file",
                self._where,
            )
        for index in unchecked:
            verified[index] = 1

    def _load(self, entry: SectionEntry, tensor: TensorEntry) -> Array:
        end = tensor.offset + tensor.length
        self._verify(entry, tensor.offset, end)
        data = self._bytes(entry)[tensor.offset : end]
        if tensor.dtype is string:
            where = f"{self._where}: tensor {tensor.key!r}"
            return decode_strings(data, tensor.shape, prod(tensor.shape), where)
        return np.ndarray(tensor.shape, tensor.dtype.numpy, data)


def _mapped(path: str) -> memoryview:
    """A regular file as memory. Anything else is refused unopened: opening a pipe could wait for ever."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ModelFileError("not a regular file", where=path, remedy="pass the path of a .mm file")
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
