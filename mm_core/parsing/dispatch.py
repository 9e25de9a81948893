"""`mm.parse`: every installed parser is asked whether a source is its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mm_core import plugins
from mm_core.errors import ParseError, PluginError, PluginLoadError, PluginMissingError
from mm_core.ir import Network
from mm_core.parsing.parser import InputShapes, Parser
from mm_core.parsing.text import TextParser

GROUP = "mm.parsers"
_BUILTIN: tuple[type[Parser], ...] = (TextParser,)


def parse(
    source: Any,
    parser: str | None = None,
    input_shapes: InputShapes | None = None,
    example_inputs: Any = None,
    **options: Any,
) -> Network:
    """Read a model from a file or a framework's object.

    `parser` names the parser plugin; None asks each installed one. `input_shapes` replaces the shapes of inputs by
    name: sizes, symbols' names, or None. `example_inputs` and `options` go to the parser. Raises ParseError where
    no parser takes the source or it is damaged, UnsupportedOpError for what mm cannot express, PluginError for a
    parser that is absent or broken.
    """
    if isinstance(source, (str, os.PathLike)) and not Path(source).exists():
        raise ParseError("there is no such file or folder", where=os.fspath(source))
    chosen = _choose(source) if parser is None else _load(parser)
    return chosen().parse(source, input_shapes=input_shapes, example_inputs=example_inputs, **options)


def _load(name: str) -> type[Parser]:
    builtin = next((parser for parser in _BUILTIN if parser.name == name), None)
    if builtin is not None:
        return builtin
    try:
        loaded = plugins.load(GROUP, name)
    except PluginMissingError as error:
        raise PluginMissingError(
            error.what, available=", ".join(sorted([*_names(), *(p.name for p in _BUILTIN)])), remedy=error.remedy
        ) from None
    if not (isinstance(loaded, type) and issubclass(loaded, Parser)):
        raise PluginLoadError(f"the parser plugin {name!r} offers {loaded!r}", remedy="offer a subclass of Parser")
    return loaded


def _names() -> list[str]:
    return [record.name for record in plugins.records(GROUP) if record.problem is None]


def _installed() -> Iterator[tuple[str, type[Parser] | PluginError]]:
    """Each parser, or the reason why it cannot be asked."""
    for builtin in _BUILTIN:
        yield builtin.name, builtin
    for name in sorted({record.name for record in plugins.records(GROUP)}):
        try:
            yield name, _load(name)
        except PluginError as error:
            yield name, error


def _choose(source: Any) -> type[Parser]:
    answers = list(_installed())
    takers = [(name, found) for name, found in answers if isinstance(found, type) and found().accepts(source)]
    where = os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"a {type(source).__name__}"
    if len(takers) > 1:
        names = ", ".join(name for name, _ in takers)
        raise ParseError("several parsers take this source", where=where, available=names, remedy="choose: parser=...")
    if not takers:
        raise ParseError(
            "no parser takes this source",
            where=where,
            available="; ".join(
                f"{name}: {found.summary() if isinstance(found, type) else found}" for name, found in answers
            ),
            remedy="install the parser package for it (`pip install mm-parser-...`), or name one with parser=...",
        )
    return takers[0][1]
