"""The code of a compiled part: its BANG C, and what was made of it, in one piece of bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mm_core.errors import ModelFileError
from mm_core.serial import check_fields, check_list

SOURCE = "source"
"""The translation unit, as text."""
EMULATED = "emulated"
"""A shared object for the host: the kernels and the emulator."""
VENDOR = "vendor"
"""A shared object that the vendor's compiler made, for the device."""
_MAGIC = b"MMBANG01"
_LENGTH_BYTES = 8


def pack(sections: Mapping[str, bytes]) -> bytes:
    """Sections by name, in the order given, behind a header that says where they lie."""
    places, offset = [], 0
    for name, content in sections.items():
        places.append({"name": name, "offset": offset, "size": len(content)})
        offset += len(content)
    header = json.dumps(places, sort_keys=True, separators=(",", ":")).encode()
    return b"".join((_MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, *sections.values()))


def unpack(code: bytes) -> dict[str, bytes]:
    """What `pack` was given. ModelFileError for anything else."""
    start = len(_MAGIC) + _LENGTH_BYTES
    length = int.from_bytes(code[len(_MAGIC) : start], "little")
    if code[: len(_MAGIC)] != _MAGIC or length > len(code) - start:
        raise _damaged("it does not begin as it should")
    try:
        header = json.loads(code[start : start + length])
    except (ValueError, RecursionError) as error:
        raise _damaged("its list of sections cannot be read") from error
    body, sections = code[start + length :], {}
    for item in check_list(header, _WHERE, dict):
        place = check_fields(item, _WHERE, {"name": str, "offset": int, "size": int})
        if min(place["offset"], place["size"]) < 0 or place["offset"] + place["size"] > len(body):
            raise _damaged(f"its section {place['name']!r} lies outside")
        sections[place["name"]] = body[place["offset"] :][: place["size"]]
    return sections


_WHERE = "mlu code"


def _damaged(what: str) -> ModelFileError:
    return ModelFileError(f"the code of a part is damaged: {what}", where=_WHERE, remedy="build the model again")
