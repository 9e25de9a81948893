"""Command-line options that the commands here share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
from click.core import ParameterSource


def chosen(
    known: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None = None
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A click callback that splits a comma-separated list and refuses unknown names. A group stands for its names."""
    members = {**{name: (name,) for name in known}, **(groups or {})}

    def split(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
        given = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in given if name not in members]
        if unknown:
            raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(members)}")
        return list(dict.fromkeys(name for entry in given for name in members[entry]))

    return split


def command_line(module: str) -> str:
    """The command that runs, as one would type it: the options that were given, without the folder of the results."""
    context = click.get_current_context()
    words = ["python -m", module]
    for option in context.command.params:
        name = option.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name == "output":
            continue
        value = context.params[name]
        words.append(option.opts[0])
        if not isinstance(value, bool):
            words.append(",".join(value) if isinstance(value, list) else str(value))
    return " ".join(words)
