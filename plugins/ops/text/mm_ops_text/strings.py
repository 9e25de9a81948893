"""Strings: joined, split, normalized, matched, looked up. They live on the host, as object arrays of `str`."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np
import re2

from mm_core.errors import InputError, UnsupportedOpError
from mm_core.ops import STRINGS, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array, broadcast_shapes

_INT64 = BY_NAME["int64"]


class TextOp(OpDef):
    """An operator that the runtime calls on the host."""

    tier = Tier.HOST
    operands: ClassVar[tuple[Operand, ...]] = (Operand("x"),)
    dtypes = {"T": STRINGS}

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return types[0].shape


class Concat(TextOp):
    """Each string of x followed by that of y at the same place, after broadcasting (ONNX StringConcat)."""

    name = "text.concat"
    operands = (Operand("x"), Operand("y"))

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return broadcast_shapes([type_.shape for type_ in types])

    def reference(self, x: Array, y: Array) -> Array:
        return np.asarray(np.add(x, y), object)


class Split(TextOp):
    """Each string cut at `delimiter`, at most `max_splits` times (-1: at all); an empty one means runs of whitespace.

    ONNX StringSplit. The pieces get a new last axis, filled up with empty strings; the second result counts them.
    """

    name = "text.split"
    results = (Result("pieces"), Result("counts", _INT64))
    attributes = (Attribute("delimiter", str, ""), Attribute("max_splits", int, -1))

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return [(*types[0].shape, None), types[0].shape]

    def reference(self, x: Array, *, delimiter: str, max_splits: int) -> tuple[Array, Array]:
        pieces = [text.split(delimiter or None, max_splits) for text in x.reshape(-1).tolist()]
        counts = np.array(list(map(len, pieces)), np.int64)
        padded = _padded(pieces, "")
        return padded.reshape(*x.shape, padded.shape[1]), counts.reshape(x.shape)


def _padded(rows: list[list[str]], pad: str) -> Array:
    """Rows of strings filled up to the length of the longest: [rows, length]."""
    width = max(map(len, rows), default=0)
    return np.array([[*row, *[pad] * (width - len(row))] for row in rows], object).reshape(len(rows), width)


class Tokens(TextOp):
    """The parts of each string that match the RE2 expression `pattern`, from left to right, of `least` letters or more.

    They get a new last axis, filled up with `pad`. With `marks` each string's begin with U+0002 and end with U+0003.
    """

    name = "text.tokens"
    attributes = (
        Attribute("pattern", str), Attribute("least", int, 1), Attribute("pad", str, ""),
        Attribute("marks", bool, False),
    )  # fmt: skip

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        _compiled(self.name, attributes["pattern"])
        return (*types[0].shape, None)

    def reference(self, x: Array, *, pattern: str, least: int, pad: str, marks: bool) -> Array:
        search = _compiled(self.name, pattern).finditer
        found = [[match[0] for match in search(text) if len(match[0]) >= least] for text in x.reshape(-1)]
        if marks and any(found):
            found = [["\x02", *tokens, "\x03"] for tokens in found]
        padded = _padded(found, pad)
        return padded.reshape(*x.shape, padded.shape[1])


class Normalize(TextOp):
    """The strings that are no stop words, their case changed (ONNX StringNormalizer). x is [C] or [1, C].

    Where none is left the result is one empty string. Case follows Unicode, whatever the locale.
    """

    name = "text.normalize"
    attributes = (
        Attribute("case", str, "none", ("none", "lower", "upper")),
        Attribute("case_sensitive", bool, False),
        Attribute("stopwords", (str,), ()),
    )

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        shape = types[0].shape
        if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] not in (1,) and isinstance(shape[0], int)):
            raise UnsupportedOpError(f"{self.name} takes strings of shape [C] or [1, C], got {types[0]}")
        kept = None if attributes["stopwords"] else shape[-1] or 1
        return (*(1 for _ in shape[:-1]), kept)

    def reference(self, x: Array, *, case: str, case_sensitive: bool, stopwords: tuple[str, ...]) -> Array:
        if x.ndim == 2 and x.shape[0] != 1:
            raise InputError(f"{self.name} takes strings of shape [C] or [1, C], got {list(x.shape)}")
        stops = set(stopwords if case_sensitive else map(str.lower, stopwords))
        kept = [text for text in x.reshape(-1) if (text if case_sensitive else text.lower()) not in stops] or [""]
        if case != "none":
            kept = [text.lower() if case == "lower" else text.upper() for text in kept]
        return np.array(kept, object).reshape(*[1] * (x.ndim - 1), -1)


class RegexFullMatch(TextOp):
    """Whether the whole of each string matches the RE2 expression `pattern` (ONNX RegexFullMatch)."""

    name = "text.regex_full_match"
    results = (Result("y", BY_NAME["bool"]),)
    attributes = (Attribute("pattern", str),)

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        _compiled(self.name, attributes["pattern"])
        return types[0].shape

    def reference(self, x: Array, *, pattern: str) -> Array:
        match = _compiled(self.name, pattern).fullmatch
        found = [match(text) is not None for text in x.reshape(-1)]
        return np.array(found, np.bool_).reshape(x.shape)


@cache
def _compiled(op: str, pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # The exception says it.
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise UnsupportedOpError(
            f"{op}: {pattern!r} is no expression that RE2 takes: {reason}",
            remedy="RE2 has neither look-around nor back references",
        ) from None


class Find(TextOp):
    """The place of each string in `vocabulary`, a 1-D tensor; -1 for others. Of equal words the last counts."""

    name = "text.find"
    operands = (Operand("x"), Operand("vocabulary"))
    results = (Result("y", _INT64),)

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        if len(types[1].shape) != 1:
            raise UnsupportedOpError(f"{self.name}: the vocabulary must have rank 1, it is {types[1]}")
        return types[0].shape

    def reference(self, x: Array, vocabulary: Array) -> Array:
        places = {word: place for place, word in enumerate(vocabulary.tolist())}
        found = [places.get(text, -1) for text in x.reshape(-1).tolist()]
        return np.array(found, np.int64).reshape(x.shape)


OPS: tuple[type[OpDef], ...] = (Concat, Split, Tokens, Normalize, RegexFullMatch, Find)
