"""Writing a `.mm` file: streamed, atomic, and the same bytes for the same content."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mm_core.errors import ModelFileError
from mm_core.serial.digests import DIGEST_BYTES, LeafHasher, leaf_count
from mm_core.serial.layout import (
    HEADER_LIMIT,
    PAGE_BYTES,
    PREAMBLE_BYTES,
    TENSOR_ALIGNMENT,
    SectionEntry,
    TensorEntry,
    aligned,
    body_start,
    pack_preamble,
)
from mm_core.serial.strict_json import JsonValue, encode
from mm_core.serial.strings import encode_strings
from mm_core.types import Array, TensorData
from mm_core.types.dtypes import string


@dataclass(frozen=True, slots=True)
class Section:
    """A section to write. `data` is bytes, or tensors by key, which are fetched one at a time."""

    name: str
    kind: str
    data: bytes | bytearray | memoryview | Mapping[str, TensorData]


def write_container(
    path: str | os.PathLike[str], header: Mapping[str, JsonValue], sections: Sequence[Section]
) -> None:
    """Write a model file. It appears under `path` whole or not at all; an existing file is replaced.

    Raises ModelFileError where the header is not JSON, names repeat, or the file system refuses.
    """
    target = Path(path)
    layout = _Layout(header, sections, str(target))
    temporary = target.parent / f".mm-{secrets.token_hex(8)}.tmp"
    try:
        try:
            with temporary.open("xb") as file:
                layout.write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise ModelFileError(
            f"cannot write the model file: {error.strerror or error}",
            where=str(target),
            remedy="choose a folder that exists, is writable and has space",
        ) from error


def container_bytes(header: Mapping[str, JsonValue], sections: Sequence[Section]) -> bytes:
    """The bytes that `write_container` would put into a file."""
    stream = io.BytesIO()
    _Layout(header, sections, "model").write(stream)
    return stream.getvalue()


class _Layout:
    """Sections with their final offsets. Only the digests are unknown until the bytes have passed."""

    def __init__(self, header: Mapping[str, JsonValue], sections: Sequence[Section], where: str) -> None:
        self._header = header
        self._where = where
        self._sections = sections
        self._strings: dict[tuple[str, str], bytes] = {}
        self._entries: list[SectionEntry] = []
        names: set[str] = set()
        end = 0
        for section in sections:
            if section.name in names:
                raise ModelFileError(f"two sections are named {section.name!r}", where=where)
            entry = self._entry(section, aligned(end, PAGE_BYTES))
            names.add(section.name)
            end = entry.offset + entry.length
            self._entries.append(entry)

    def write(self, file: BinaryIO) -> None:
        """Write the body, then the header: its length is known from the start, its digests are not."""
        header_bytes = len(self._header_text(self._entries))
        start = body_start(header_bytes)
        file.seek(PREAMBLE_BYTES + header_bytes)
        finished: list[SectionEntry] = []
        for section, entry in zip(self._sections, self._entries):
            hasher = LeafHasher()
            file.write(bytes(start + entry.offset - file.tell()))
            for piece in self._pieces(section, entry):
                hasher.update(piece)
                file.write(piece)
            finished.append(replace(entry, leaves=hasher.leaves()))
        text = self._header_text(finished)
        file.seek(0)
        file.write(pack_preamble(text))
        file.write(text)

    def _header_text(self, entries: Sequence[SectionEntry]) -> bytes:
        sections = [entry.to_json() for entry in entries]
        text = encode({"header": self._header, "sections": sections}, f"{self._where}: header")
        if len(text) > HEADER_LIMIT:
            raise ModelFileError(
                f"the header has {len(text)} bytes, the limit is {HEADER_LIMIT}", where=self._where
            )
        return text

    def _entry(self, section: Section, offset: int) -> SectionEntry:
        tensors: tuple[TensorEntry, ...] | None = None
        if isinstance(section.data, Mapping):
            tensors = tuple(self._tensor_entries(section.name, section.data))
            length = tensors[-1].offset + tensors[-1].length if tensors else 0
        else:
            length = memoryview(section.data).nbytes
        placeholders = (bytes(DIGEST_BYTES),) * leaf_count(length)
        return SectionEntry(section.name, section.kind, offset, length, placeholders, tensors)

    def _tensor_entries(self, section: str, tensors: Mapping[str, TensorData]) -> Iterator[TensorEntry]:
        end = 0
        for key, tensor in tensors.items():
            length = tensor.nbytes
            if tensor.dtype is string:
                encoded = encode_strings(
                    tensor.numpy(), f"{self._where}: tensor {key!r} of section {section!r}"
                )
                self._strings[section, key] = encoded
                length = len(encoded)
            offset = aligned(end, TENSOR_ALIGNMENT)
            yield TensorEntry(key, tensor.dtype, tensor.shape, offset, length)
            end = offset + length

    def _pieces(self, section: Section, entry: SectionEntry) -> Iterator[memoryview]:
        """The bytes of a section in order, alignment included."""
        if not isinstance(section.data, Mapping):
            yield memoryview(section.data).cast("B")
            return
        end = 0
        for tensor in entry.tensors or ():
            yield memoryview(bytes(tensor.offset - end))
            if tensor.dtype is string:
                yield memoryview(self._strings[section.name, tensor.key])
            else:
                yield _raw(section.data[tensor.key].numpy())
            end = tensor.offset + tensor.length


def _raw(array: Array) -> memoryview:
    """The elements of an array as bytes in row-major order; copies only what is not contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable, where the operating system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
