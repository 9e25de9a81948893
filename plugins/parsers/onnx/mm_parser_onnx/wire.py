"""Reads large weights past protobuf: the model file is mapped, and the bytes of its initializers stay where they are.

Protobuf would copy every weight twice. Here the serialised model is walked field by field; what is small goes to
protobuf, and of each large initializer only the place of its bytes is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mm_core.errors import ParseError

LARGE = 1024
"""Bytes from which an initializer's data is left in the file."""
LARGEST_MESSAGE = 2**31 - 1
"""Bytes of the largest message that protobuf reads."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""Numbers of ModelProto.graph, GraphProto.initializer and TensorProto.raw_data."""


@dataclass(frozen=True, slots=True)
class SlimModel:
    """A serialised model without its large weights, and these by their index among the graph's initializers."""

    data: bytes
    weights: dict[int, memoryview]


class _Malformed(Exception):
    """The bytes are not fields of a message."""


def slim(data: memoryview) -> SlimModel:
    """Split a serialised ModelProto. Whatever is unusual or damaged is left to protobuf, whole.

    ParseError if what is left is more than protobuf can read.
    """
    weights: dict[int, memoryview] = {}
    try:
        graphs = [content for number, _, content in _fields(data) if number == _GRAPH]
        if len(graphs) != 1 or graphs[0] is None:
            return SlimModel(_bounded(data), {})
        return SlimModel(_bounded(memoryview(b"".join(_model(data, weights)))), weights)
    except _Malformed:
        return SlimModel(_bounded(data), {})


def _bounded(data: memoryview) -> bytes:
    if len(data) > LARGEST_MESSAGE:
        raise ParseError(
            f"this model has {len(data)} bytes beside its initializers, or it is damaged: protobuf reads 2 GB",
            remedy="keep large weights in initializers, or save the model with external data",
        )
    return bytes(data)


def _model(data: memoryview, weights: dict[int, memoryview]) -> Iterator[bytes]:
    for number, whole, content in _fields(data):
        if number == _GRAPH and content is not None:
            yield _message(_GRAPH, b"".join(_graph(content, weights)))
        else:
            yield _bounded(whole)


def _graph(data: memoryview, weights: dict[int, memoryview]) -> Iterator[bytes]:
    count = 0
    for number, whole, content in _fields(data):
        if number != _INITIALIZER or content is None:
            yield _bounded(whole)
            continue
        if len(content) >= LARGE:
            fields = list(_fields(content))
            raw = [inner for field, _, inner in fields if field == _RAW_DATA and inner is not None]
            if len(raw) == 1 and len(raw[0]) >= LARGE:
                weights[count] = raw[0]
                rest = b"".join(bytes(part) for field, part, _ in fields if field != _RAW_DATA)
                yield _message(_INITIALIZER, rest)
                count += 1
                continue
        yield _bounded(whole)
        count += 1


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview | None]]:
    """The fields of a message: number, the whole field, and its content if it has a length."""
    position, end = 0, len(data)
    while position < end:
        start = position
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        content = None
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind == _FIXED64:
            position += 8
        elif kind == _FIXED32:
            position += 4
        elif kind == _LENGTH:
            length, position = _varint(data, position)
            content = data[position : position + length]
            position += length
        else:
            raise _Malformed
        if position > end or not number:
            raise _Malformed
        yield number, data[start:position], content


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Malformed


def _message(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
