"""What the commands share: errors as one line, exit status, `--verbose`, logging, output."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from mm_core.errors import MMError

EXIT_ERROR = 1
EXIT_INTERNAL = 70
"""Status of a failure that is not the user's: an exception that is no MMError (EX_SOFTWARE of sysexits.h)."""

VERBOSE = "mm_core.cli.verbose"
"""Key of the `--verbose` flag in a click context's `meta`."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def console(*, stderr: bool = False) -> Console:
    """A console that highlights nothing, and does not break lines when its output is no terminal."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 160
    return Console(stderr=stderr, highlight=False, width=width, soft_wrap=width is not None)


class Command(click.Command):
    """A command whose failures are one clear line on stderr and a status other than 0."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.params.append(
            click.Option(
                ["--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_remember_verbose,
                help="Show the traceback of an error, and log more.",
            )
        )

    def invoke(self, context: click.Context) -> Any:
        verbose: bool = context.meta[VERBOSE]
        _set_up_logging(verbose)
        try:
            return super().invoke(context)
        except MMError as error:
            _complain(f"error: {error}", verbose)
            context.exit(EXIT_ERROR)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            reason = error.strerror or error
            _complain(f"error: {place}{reason}; check the path, its permissions and the space", verbose)
            context.exit(EXIT_ERROR)
        except MemoryError as error:
            _complain(f"error: there is not enough memory: {error}; use smaller sizes", verbose)
            context.exit(EXIT_ERROR)
        except Exception as error:
            advice = "" if verbose else "; run again with --verbose and report the traceback"
            _complain(f"internal error: {type(error).__name__}: {error}{advice}", verbose)
            context.exit(EXIT_INTERNAL)


def _remember_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[VERBOSE] = value


def launch(command: click.Command) -> None:
    """Run a command from its console script; hook plugins may add to it first."""
    from mm_core.plugins import hooks

    hooks().mm_command_line(command=command)
    command.main(prog_name=command.name)


def _complain(line: str, verbose: bool) -> None:
    out = console(stderr=True)
    if verbose:
        out.print(escape(traceback.format_exc()))
    out.print(f"[red]{escape(' '.join(line.split()))}[/red]")


def _set_up_logging(verbose: bool) -> None:
    """Send mm's own log to stderr, at the level of MM_LOG_LEVEL; the root logger is left alone."""
    from rich.logging import RichHandler

    level = os.environ.get("MM_LOG_LEVEL", "INFO" if verbose else "WARNING").upper()
    if level not in LOG_LEVELS:
        raise click.UsageError(f"MM_LOG_LEVEL is {level!r}; it must be one of {', '.join(LOG_LEVELS)}")
    logger = logging.getLogger("mm_core")
    logger.setLevel(level)
    if not logger.handlers:
        logger.addHandler(RichHandler(console=console(stderr=True), show_path=False, show_time=False))
