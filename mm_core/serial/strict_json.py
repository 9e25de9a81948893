"""Strict JSON: canonical when written; when read, no duplicate key, NaN, unknown or absent field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mm_core.errors import ModelFileError

JsonValue = bool | int | float | str | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


def encode(value: JsonValue, where: str) -> bytes:
    """Canonical UTF-8 JSON: sorted keys, no white space. Raises ModelFileError for what JSON cannot hold."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"cannot be written as JSON: {error}", where=where) from error
    return data


def decode(data: bytes, where: str) -> Any:
    """The value of a JSON document. Raises ModelFileError for anything but strict JSON in UTF-8."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"not valid JSON: {error}", where=where) from error


def check_fields(
    value: object,
    where: str,
    required: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """`value` as an object with all `required` fields, perhaps `optional` ones, no others, each of its type.

    Raises ModelFileError that names the fields at fault.
    """
    if not isinstance(value, dict):
        raise ModelFileError(f"expected an object, found {type(value).__name__}", where=where)
    known = {**required, **(optional or {})}
    if missing := required.keys() - value.keys():
        raise ModelFileError(f"absent: {', '.join(sorted(missing))}", where=where)
    if unknown := value.keys() - known.keys():
        raise ModelFileError(
            f"unknown: {', '.join(map(repr, sorted(unknown)))}",
            where=where,
            available=", ".join(sorted(known)),
            remedy="a newer mm may have written this file",
        )
    for key, found in value.items():
        if type(found) is not known[key]:
            expected = known[key].__name__
            raise ModelFileError(f"{key} is of type {type(found).__name__}, not {expected}", where=where)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"duplicate key {key!r}")
        result[key] = value
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def check_list(value: object, where: str, kind: type) -> list[Any]:
    """`value` as a list of elements of one type; ModelFileError for anything else."""
    if not isinstance(value, list):
        raise ModelFileError(f"expected a list, found {type(value).__name__}", where=where)
    for item in value:
        if type(item) is not kind:
            raise ModelFileError(f"the list holds {type(item).__name__} where {kind.__name__} belongs", where=where)
    return value
