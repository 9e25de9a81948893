"""mm_plugins list and check, on this environment and on broken distributions; hooks that add to a command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mm_core import plugins
from mm_core.cli import common
from mm_core.cli.plugins import command
from mm_core.errors import BuildError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def install(folder: Path, name: str, code: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\n")
    (info / "entry_points.txt").write_text(f"[mm.hooks]\n{name} = {name}\n")
    (folder / f"{name}.py").write_text(code)


def test_list_shows_every_record_and_imports_none() -> None:
    code = (
        "import sys\nfrom mm_core.cli.plugins import command\n"
        "command(['list'], standalone_mode=False)\n"
        "print('IMPORTED', *sorted(name for name in sys.modules if name.startswith(('mm_ops', 'mm_backend'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for record in plugins.records():
        assert record.name in done.stdout
        assert record.distribution in done.stdout
    assert done.stdout.rstrip().endswith("IMPORTED")


def test_list_of_one_kind() -> None:
    done = run("list", "--kind", "ops")
    assert done.exit_code == 0
    assert "mm-ops-standard" in done.output
    assert "backend" not in done.output


def test_check_of_a_sound_plugin() -> None:
    done = run("check", "mm.ops:mm")
    assert done.exit_code == 0, done.output
    assert "ok" in done.output


def test_check_of_a_broken_one_says_why_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acmecheck", "raise RuntimeError('no such luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("check", "acmecheck")
    assert done.exit_code == 1
    for word in ("broken", "acmecheck 1.0", "no such luck", "remedy:"):
        assert word in done.output
    assert "Traceback" not in done.output
    assert "Traceback" in run("check", "acmecheck", "--verbose").output


def test_check_of_nothing_is_an_error() -> None:
    done = run("check", "no-such-plugin")
    assert done.exit_code == 1
    assert "no-such-plugin" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["check", "--help"], ["new", "--help"]])
def test_help_has_an_example(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 0
    assert "Example: mm_plugins" in done.output


def test_a_hook_plugin_adds_an_option(tmp_path: Path) -> None:
    install(
        tmp_path,
        "acmeoption",
        "import click\nfrom mm_core.plugins import hookimpl\n"
        "@hookimpl\ndef mm_command_line(command):\n"
        "    if command.name == 'mm_run':\n"
        "        command.params.append(click.Option(['--acme'], help='From a plugin.'))\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", "from mm_core.cli.run import main; main()", "--help"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "--acme" in done.stdout
    assert "From a plugin." in done.stdout


def failing(error: BaseException) -> click.Command:
    @click.command(name="failing", cls=common.Command)
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BuildError("two\n  lines", remedy="mend it"), common.EXIT_ERROR, "error: two lines; mend it\n"),
        (KeyError("k"), common.EXIT_INTERNAL, "internal error: KeyError: 'k'; run again with --verbose"),
        (KeyboardInterrupt(), 1, "Aborted!"),
    ],
)
def test_every_failure_is_one_line_and_a_status(error: BaseException, status: int, line: str) -> None:
    done = CliRunner().invoke(failing(error))
    assert done.exit_code == status
    assert line in done.stderr
    assert "Traceback" not in done.stderr


def test_verbose_adds_the_traceback() -> None:
    done = CliRunner().invoke(failing(KeyError("k")), ["--verbose"])
    assert done.exit_code == common.EXIT_INTERNAL
    assert "Traceback (most recent call last)" in done.stderr


def test_a_wrong_log_level_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_LOG_LEVEL", "LOUD")
    done = run("list")
    assert done.exit_code == 2
    assert "MM_LOG_LEVEL" in done.stderr
