"""What stands where in a `.mm` file. All integers are little-endian.

    preamble   magic (8 bytes), format version (u32), header length (u32), header digest (32), signature (64)
    header     JSON: {"header": the caller's object, "sections": [...]}
    zeros      up to a multiple of 4096: the start of the body
    body       the sections, each at a multiple of 4096, zeros between them, none after the last

A section states its name, kind, offset in the body, length, the BLAKE3 digests of its leaves of 1 MiB in
hexadecimal, and, if it holds tensors, the key, element type, shape, offset and length of each; tensors stand
at multiples of 64. The header digest covers magic, version, length and header, and through the leaves every
section: a signature (Ed25519, all zeros where there is none) is made over it. Every offset follows from
the lengths before it, so nothing can hide between sections.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from mm_core.errors import ModelFileError
from mm_core.serial.digests import DIGEST_BYTES, digest, leaf_count
from mm_core.serial.strict_json import JsonValue, check_fields
from mm_core.types import BY_TEXT, DType
from mm_core.types.dtypes import string

MAGIC = b"\x89MM\r\n\x1a\n\x00"  # as in PNG: shows text-mode transfers and 7-bit channels
VERSION = 1
PAGE_BYTES = 4096
TENSOR_ALIGNMENT = 64
HEADER_LIMIT = 1 << 28
_MAX_RANK = 32
_COVERED = struct.Struct("<8sII")
PREAMBLE_BYTES = _COVERED.size + DIGEST_BYTES + 64
_NO_SIGNATURE = bytes(64)


def aligned(offset: int, alignment: int) -> int:
    """The next multiple of `alignment` at or after `offset`."""
    return -(-offset // alignment) * alignment


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor stands in its section, in bytes."""

    key: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    length: int

    def to_json(self) -> JsonValue:
        return {
            "dtype": self.dtype.text,
            "key": self.key,
            "length": self.length,
            "offset": self.offset,
            "shape": self.shape,
        }


@dataclass(frozen=True, slots=True)
class SectionEntry:
    """A section of the body; offset and length in bytes. `tensors` is None for a section of plain bytes."""

    name: str
    kind: str
    offset: int
    length: int
    leaves: tuple[bytes, ...]
    tensors: tuple[TensorEntry, ...] | None

    def to_json(self) -> JsonValue:
        entry: dict[str, JsonValue] = {
            "kind": self.kind,
            "leaves": b"".join(self.leaves).hex(),
            "length": self.length,
            "name": self.name,
            "offset": self.offset,
        }
        if self.tensors is not None:
            entry["tensors"] = [tensor.to_json() for tensor in self.tensors]
        return entry


def pack_preamble(header: bytes) -> bytes:
    """The preamble of an unsigned file with this header."""
    covered = _COVERED.pack(MAGIC, VERSION, len(header))
    return covered + digest(covered, header) + _NO_SIGNATURE


def read_preamble(file: memoryview, where: str) -> tuple[bytes, bytes]:
    """The verified header text and its digest. Raises ModelFileError; nothing is read beyond the file."""
    if bytes(file[: len(MAGIC)]) != MAGIC:
        raise ModelFileError(
            "not an mm model file: it does not begin with the format's magic bytes",
            where=where,
            remedy="pass a file that mm_build or Model.save wrote",
        )
    if len(file) < PREAMBLE_BYTES:
        raise damaged(f"truncated: {len(file)} bytes, and the preamble alone has {PREAMBLE_BYTES}", where)
    _, version, length = _COVERED.unpack_from(file)
    if version != VERSION:
        raise ModelFileError(
            f"model file format {version} cannot be read",
            where=where,
            available=f"format {VERSION}",
            remedy="build the model again with this version of mm-core, or install the version that wrote it",
        )
    if length > HEADER_LIMIT:
        raise damaged(f"the header claims {length} bytes, the limit is {HEADER_LIMIT}", where)
    if PREAMBLE_BYTES + length > len(file):
        raise damaged(
            f"truncated: the header needs {PREAMBLE_BYTES + length} bytes, the file has {len(file)}", where
        )
    signature = PREAMBLE_BYTES - len(_NO_SIGNATURE)
    stated = bytes(file[_COVERED.size : signature])
    header = bytes(file[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
    if digest(file[: _COVERED.size], header) != stated:
        raise damaged("the header does not match its digest", where)
    if bytes(file[signature:PREAMBLE_BYTES]) != _NO_SIGNATURE:
        raise ModelFileError(
            "the file is signed, and format 1 has no signatures",
            where=where,
            remedy="install a newer mm-core",
        )
    return header, stated


def body_start(header_bytes: int) -> int:
    """Offset in the file of the body behind a header of this length."""
    return aligned(PREAMBLE_BYTES + header_bytes, PAGE_BYTES)


def read_sections(values: Sequence[object], where: str) -> tuple[SectionEntry, ...]:
    """The section entries of a header, checked: unique names, exact offsets, sizes that fit shapes."""
    entries: list[SectionEntry] = []
    names: set[str] = set()
    end = 0
    for position, value in enumerate(values):
        entry = _read_section(value, f"{where}: section {position}")
        if entry.name in names:
            raise damaged(f"two sections are named {entry.name!r}", where)
        if entry.offset != aligned(end, PAGE_BYTES):
            raise damaged(
                f"section {entry.name!r} is at body offset {entry.offset}, not {aligned(end, PAGE_BYTES)}",
                where,
            )
        names.add(entry.name)
        end = entry.offset + entry.length
        entries.append(entry)
    return tuple(entries)


def _read_section(value: object, where: str) -> SectionEntry:
    required = {"kind": str, "leaves": str, "length": int, "name": str, "offset": int}
    fields = check_fields(value, where, required, {"tensors": list})
    length: int = fields["length"]
    if length < 0 or len(fields["leaves"]) != 2 * DIGEST_BYTES * leaf_count(length):
        raise damaged(
            f"{len(fields['leaves'])} digits of digests do not fit a length of {length} bytes", where
        )
    try:
        digests = bytes.fromhex(fields["leaves"])
    except ValueError as error:
        raise damaged("the digests are not hexadecimal", where) from error
    leaves = tuple(digests[i : i + DIGEST_BYTES] for i in range(0, len(digests), DIGEST_BYTES))
    tensors = _read_tensors(fields["tensors"], length, where) if "tensors" in fields else None
    return SectionEntry(fields["name"], fields["kind"], fields["offset"], length, leaves, tensors)


def _read_tensors(values: list[object], length: int, where: str) -> tuple[TensorEntry, ...]:
    tensors: list[TensorEntry] = []
    keys: set[str] = set()
    end = 0
    for position, value in enumerate(values):
        tensor = _read_tensor(value, f"{where}, tensor {position}")
        if tensor.key in keys:
            raise damaged(f"two tensors have the key {tensor.key!r}", where)
        if tensor.offset != aligned(end, TENSOR_ALIGNMENT):
            raise damaged(f"tensor {tensor.key!r} is at offset {tensor.offset}, where none can be", where)
        keys.add(tensor.key)
        end = tensor.offset + tensor.length
        tensors.append(tensor)
    if end != length:
        raise damaged(f"its tensors end at {end}, the section at {length}", where)
    return tuple(tensors)


def _read_tensor(value: object, where: str) -> TensorEntry:
    fields: dict[str, Any] = check_fields(
        value, where, {"dtype": str, "key": str, "length": int, "offset": int, "shape": list}
    )
    dtype = BY_TEXT.get(fields["dtype"])
    if dtype is None:
        raise ModelFileError(
            f"unknown element type {fields['dtype']!r}", where=where, available=", ".join(BY_TEXT)
        )
    shape = tuple(fields["shape"])
    if len(shape) > _MAX_RANK or any(type(dim) is not int or dim < 0 for dim in shape):
        raise damaged(f"{list(shape)!r:.80} is not a shape", where)
    if prod(dim for dim in shape if dim) * dtype.itemsize >= 1 << 63:
        raise damaged(f"shape {list(shape)!r:.80} is beyond any memory", where)
    size = prod(shape) * dtype.itemsize
    length = fields["length"]
    if length < size or (length != size and dtype is not string):  # strings: a u64 an element, then the text
        raise damaged(f"{dtype}{list(shape)} has {size} bytes, {length} are stated", where)
    return TensorEntry(fields["key"], dtype, shape, fields["offset"], length)


def damaged(what: str, where: str) -> ModelFileError:
    """The error for a file whose bytes cannot have been written by mm."""
    return ModelFileError(
        f"damaged model file: {what}",
        where=where,
        remedy="copy the file again from its source, or rebuild the model",
    )
