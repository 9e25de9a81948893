"""String tensors as bytes: the lengths of the elements as little-endian u64, then their UTF-8 text."""

from __future__ import annotations

import numpy as np

from mm_core.errors import ModelFileError
from mm_core.types import Array


def encode_strings(array: Array, where: str) -> bytes:
    """The bytes of an object array of `str`. Raises ModelFileError for any other element."""
    texts = []
    for element in array.reshape(-1):
        if not isinstance(element, str):
            raise ModelFileError(
                f"a string tensor holds {type(element).__name__}",
                where=where,
                remedy="convert its elements to str",
            )
        texts.append(element.encode("utf-8", "surrogatepass"))
    lengths = np.array([len(text) for text in texts], "<u8")
    return lengths.tobytes() + b"".join(texts)


def decode_strings(data: memoryview, shape: tuple[int, ...], count: int, where: str) -> Array:
    """The object array of `str` with `count` elements that `encode_strings` wrote."""
    array = np.empty(count, object)
    begin = 8 * count
    for index, length in enumerate(np.ndarray(count, "<u8", data).tolist()):
        end = begin + length
        if end > len(data):
            raise ModelFileError(f"string {index} ends beyond its tensor", where=where)
        try:
            array[index] = bytes(data[begin:end]).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise ModelFileError(f"string {index} is not UTF-8", where=where) from error
        begin = end
    if begin != len(data):
        raise ModelFileError(f"{len(data) - begin} bytes follow the last string", where=where)
    return array.reshape(shape)
