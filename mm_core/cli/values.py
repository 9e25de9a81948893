"""What the commands read from their options: shapes, lists and batch sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from mm_core.errors import InputError

Shapes = dict[str | int, tuple[int, ...]]
"""Shape by input name, or by position where no name was given."""


class NameList(click.ParamType[Any]):
    """`a,b,c` as a tuple of names."""

    name = "NAME,..."

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())


class InputDims(click.ParamType[Any]):
    """`x=1,3,224,224`, `1,3,224,224` by position, several separated by blanks, `_` for a scalar."""

    name = "[NAME=]D,D,..."

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(self._one(part, parameter, context) for part in value.split())

    def _one(
        self, text: str, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str | None, tuple[int, ...]]:
        name, separator, dims = text.rpartition("=")
        if dims == "_":
            return name or None, ()
        if not re.fullmatch(r"\d+(,\d+)*", dims) or (separator and not name):
            self.fail(f"{text!r} is not a shape; write x=1,3,224,224 or 1,3,224,224", parameter, context)
        return name or None, tuple(int(dim) for dim in dims.split(","))


class BatchSizes(click.ParamType[Any]):
    """`8` for every input, or `2,,3` by position, an empty place keeping what the model says."""

    name = "N[,N...]"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",")]
        if not all(re.fullmatch(r"[1-9]\d*|", part) for part in parts) or not any(parts):
            self.fail(f"{value!r} is not a batch size; write 8, or 2,,3 by position", parameter, context)
        return tuple(int(part) if part else None for part in parts)


class NameValue(click.ParamType[Any]):
    """`name=value` as a pair."""

    name = "NAME=VALUE"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        name, separator, text = value.partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not of the form name=value", parameter, context)
        return name, text


def shapes_by_input(given: tuple[tuple[tuple[str | None, tuple[int, ...]], ...], ...]) -> Shapes:
    """The shapes of all `--input_dims` together; unnamed ones take the next position."""
    shapes: Shapes = {}
    position = 0
    for name, dims in (shape for option in given for shape in option):
        if name is None:
            shapes[position] = dims
            position += 1
        elif name in shapes:
            raise click.UsageError(f"--input_dims gives two shapes for {name!r}")
        else:
            shapes[name] = dims
    return shapes


def shapes_by_name(names: Sequence[str], given: Shapes) -> dict[str, tuple[int, ...]]:
    """The given shapes by input name; InputError for an input that is not there or is given twice."""
    chosen: dict[str, tuple[int, ...]] = {}
    for key, dims in given.items():
        if isinstance(key, int) and key >= len(names):
            raise InputError(
                f"shape number {key + 1} has no input to go to: the model has {len(names)}",
                available=", ".join(names) or "no inputs",
            )
        name = names[key] if isinstance(key, int) else key
        if name not in names:
            raise InputError(f"the model has no input {name!r}", available=", ".join(names) or "no inputs")
        if name in chosen:
            raise InputError(f"two shapes are given for the input {name!r}, one of them by position")
        chosen[name] = dims
    return chosen


def spread(batch_sizes: Sequence[int | None], count: int) -> Sequence[int | None]:
    """Batch sizes by input: a single one holds for all `count` inputs."""
    return list(batch_sizes) * count if len(batch_sizes) == 1 else batch_sizes
