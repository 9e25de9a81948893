"""Pipelines as text: `fold-constants{max-bytes=1048576},simplify`. Reading is the exact inverse of printing."""

from __future__ import annotations

import dataclasses
import json
import re
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from mm_core import plugins
from mm_core.errors import PassError
from mm_core.passes.base import Pass

GROUP = "mm.passes"
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.+/-]+|[{}\[\]=,])')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def load_pass(name: str) -> type[Pass]:
    """The class of an installed pass. PluginMissingError, PluginLoadError."""
    found = plugins.load(GROUP, name)
    if not (isinstance(found, type) and issubclass(found, Pass)) or found.name != name:
        raise PassError(f"the plugin '{name}' is {found!r}, not a Pass of that name")
    return found


def print_pass(instance: Pass) -> str:
    """The pass with those options that differ from their defaults."""
    options = []
    for option in dataclasses.fields(instance):
        value = getattr(instance, option.name)
        default = option.default if option.default_factory is dataclasses.MISSING else option.default_factory()
        if value != default:
            options.append(f"{option.name.replace('_', '-')}={_print_value(value)}")
    return instance.name + (f"{{{','.join(options)}}}" if options else "")


def print_pipeline(passes: Sequence[Pass]) -> str:
    return ",".join(map(print_pass, passes))


def _print_value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{','.join(map(_print_value, value))}]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value not in ("true", "false", "none") else json.dumps(value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def parse_passes(text: str) -> list[Pass]:
    """The passes that a pipeline text names, with their options. PassError for bad text or options."""
    return _Reader(text).pipeline()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.position = end = 0
        while end < len(text.rstrip()):
            match = _TOKEN.match(text, end)
            if match is None:
                raise PassError(f"the pipeline {text!r} cannot be read at character {end}")
            self.tokens.append(match[1])
            end = match.end()

    def take(self, token: str) -> bool:
        found = self.position < len(self.tokens) and self.tokens[self.position] == token
        self.position += found
        return found

    def next(self, wanted: str) -> str:
        if self.position == len(self.tokens):
            raise PassError(f"the pipeline {self.text!r} ends where {wanted} should follow")
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, token: str) -> None:
        if (found := self.next(f"'{token}'")) != token:
            raise PassError(f"the pipeline {self.text!r} has {found!r} where '{token}' should stand")

    def pipeline(self) -> list[Pass]:
        passes: list[Pass] = []
        while self.position < len(self.tokens):
            passes.append(self.one_pass())
            if self.position < len(self.tokens):
                self.expect(",")
        return passes

    def one_pass(self) -> Pass:
        kind = load_pass(self.next("a pass"))
        hints = get_type_hints(kind)
        fields = {option.name.replace("_", "-"): option.name for option in dataclasses.fields(kind)}
        options: dict[str, Any] = {}
        if self.take("{"):
            while not self.take("}"):
                key = self.next("an option")
                if key not in fields:
                    raise PassError(
                        f"the pass '{kind.name}' has no option '{key}'", available=", ".join(fields) or "no options"
                    )
                self.expect("=")
                wanted = hints[fields[key]]
                value = self.value()
                try:
                    options[fields[key]] = _convert(value, wanted)
                except (TypeError, ValueError):
                    wanted_name = getattr(wanted, "__name__", wanted)
                    raise PassError(f"option '{key}' of '{kind.name}' is {value!r}, wanted {wanted_name}") from None
                self.take(",")
        return kind(**options)

    def value(self) -> Any:
        """A quoted or bare text, or a list; what it means, the option's type says."""
        if self.take("["):
            items = []
            while not self.take("]"):
                items.append(self.value())
                self.take(",")
            return items
        token = self.next("a value")
        return _Quoted(json.loads(token)) if token.startswith('"') else token


class _Quoted(str):
    """A text in quotes: never a number, a truth value or none."""


def _convert(value: Any, wanted: Any) -> Any:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        if value == "none" and not isinstance(value, _Quoted) and type(None) in get_args(wanted):
            return None
        for choice in get_args(wanted):
            if choice is not type(None):
                try:
                    return _convert(value, choice)
                except (TypeError, ValueError):
                    continue
        raise ValueError
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError
        return tuple(_convert(item, get_args(wanted)[0]) for item in value)
    if isinstance(value, list) or (isinstance(value, _Quoted) and wanted is not str):
        raise ValueError
    if wanted is bool:
        return {"true": True, "false": False}[value] if value in ("true", "false") else int("not a truth value")
    if wanted in (int, float, str):
        return wanted(str(value))
    raise TypeError
