"""Command-line options that the commands here share."""

from __future__ import annotations

from collections.abc import Callable

import click


def chosen(known: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A click callback that splits a comma-separated list and refuses unknown names."""

    def split(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
        names = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names

    return split
