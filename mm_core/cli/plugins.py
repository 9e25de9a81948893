"""mm_plugins: what is installed, whether it works, and the start of a new one."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from mm_core.cli.common import EXIT_ERROR, VERBOSE, Command, console, launch
from mm_core.cli.scaffold import KINDS, write_package
from mm_core.plugins import GROUPS, doctor, records

_COLOURS = {"ok": "green", "unavailable": "yellow", "off": "yellow"}


@click.group(name="mm_plugins", epilog="Example: mm_plugins check cpu")
@click.version_option(package_name="mm-core")
def command() -> None:
    """List, check and create plugins of mm."""


@command.command(name="list", cls=Command, epilog="Example: mm_plugins list --kind backends")
@click.option(
    "--kind",
    type=click.Choice([group.removeprefix("mm.") for group in GROUPS]),
    help="Only this entry-point group.",
)
def list_command(kind: str | None) -> None:
    """Show what is installed, by kind. Reads metadata only: no plugin is imported."""
    out = console()
    found = records(f"mm.{kind}" if kind else None)
    if not found:
        out.print("no plugins are installed; start with: pip install mm-ops-standard mm-backend-cpu")
        return
    table = Table("kind", "name", "distribution", "version", "state", box=None, pad_edge=False)
    for record in found:
        colour = _COLOURS.get(record.state, "red")
        state = f"[{colour}]{record.state}[/{colour}]" + (f" {escape(record.problem)}" if record.problem else "")
        table.add_row(record.kind, record.name, record.distribution, record.version, state)
    out.print(table)


@command.command(cls=Command, epilog="Example: mm_plugins check mm-backend-cpu")
@click.argument("name", required=False)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Seconds per plugin.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Plugins checked at once.")
@click.pass_context
def check(context: click.Context, name: str | None, timeout: float, jobs: int) -> None:
    """Import each plugin in a child process and run its self-test.

    NAME is a plugin, group:plugin or a distribution; without it all are checked. The exit status is not 0
    if one of them needs repair.
    """
    out = console()
    ill = 0
    for found in doctor.check(name, timeout=timeout, jobs=jobs):
        colour = _COLOURS.get(found.verdict, "red")
        record = found.record
        out.print(
            f"[{colour}]{found.verdict:<11}[/{colour}] {record.kind} [bold]{escape(record.name)}[/bold] "
            f"({escape(record.owner)}, {found.seconds:.1f} s)"
        )
        if found.reason:
            out.print(f"            {escape(found.reason)}")
        if not found.healthy:
            ill += 1
            out.print(f"            remedy: {escape(found.remedy)}")
            if found.detail and context.meta[VERBOSE]:
                out.print(escape(found.detail))
    if ill:
        console(stderr=True).print(f"[red]{ill} {'plugin needs' if ill == 1 else 'plugins need'} repair[/red]")
        context.exit(EXIT_ERROR)


@command.command(cls=Command, epilog="Example: mm_plugins new op swish")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to.")
def new(kind: str, name: str, directory: Path) -> None:
    """Write a plugin package into ./NAME/: it installs, loads and passes its own tests as it stands."""
    out = console()
    package = write_package(kind, name, directory)
    for path in package.files:
        out.print(f"  {escape(str(path))}")
    out.print(f"next: pip install -e {escape(str(package.folder))} && pytest {escape(str(package.folder))}")


def main() -> None:
    launch(command)
