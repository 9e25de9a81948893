"""The pages are held against the code: examples run and print what is said, names exist, links lead somewhere.

What a page shows runs: the Python blocks of a page, from top to bottom, are one program. A comment behind a `print`
is what it must print ("..." stands for anything). Commands are read by the commands themselves.
`tests/core/test_cli_docs.py` holds the tables of options and hooks against the code.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import mm_core as mm
from mm_core import errors, plugins
from mm_core.cli.build import command as mm_build
from mm_core.cli.plugins import command as mm_plugins
from mm_core.cli.run import command as mm_run
from mm_core.ops import dialect
from mm_core.passes import Phase
from tests.core.layering import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted(DOCS.glob("*.md"))]
DISTRIBUTIONS = {
    tomllib.loads(path.read_text())["project"]["name"]: path
    for path in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/*/pyproject.toml"))
}
COMMANDS = {"mm_build": mm_build, "mm_run": mm_run, "mm_plugins": mm_plugins}
FOLDERS = ("mm_core", "plugins", "tests", "examples", "benchmarks", "docs")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """The line at which each block of a language begins, and its text."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start(2)), match[2]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


# --- examples -----------------------------------------------------------------------------------------------------

DRIVER = """
import json
import sys

shown = {}

def print(*values, sep=" ", end="\\n", file=None, flush=False):
    line = sys._getframe(1).f_lineno
    shown[line] = (shown[line] + "\\n" if line in shown else "") + sep.join(map(str, values))

scope = {"__name__": "page", "print": print}
source = sys.stdin.read()
exec(compile(source, sys.argv[1], "exec"), scope)
sys.stdout.write(json.dumps(shown))
"""


@every_page
def test_python_examples_run_and_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    for start, text in blocks(page, "python"):
        lines += [""] * (start - len(lines)) + text.splitlines()
    if not lines:
        return
    (tmp_path / "digits.onnx").symlink_to(ROOT / "examples" / "digits" / "digits.onnx")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(page.relative_to(ROOT))], input="\n".join(lines), cwd=tmp_path,
        env={**os.environ, "MM_CACHE_DIR": str(tmp_path / "cache")}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong = []
    printed = json.loads(done.stdout)
    for number, line in enumerate(lines, 1):
        said = re.search(r"^print\(.*\)\s+# (.*)$", line)
        found = printed.get(str(number), "")
        if said is not None and not fnmatch.fnmatchcase(found, _pattern(said[1])):
            wrong.append(f"line {number} says {said[1]!r}, the code prints {found!r}")
    assert not wrong, "\n".join(wrong)


def _pattern(said: str) -> str:
    return "*".join(re.sub(r"([*?[])", r"[\1]", piece) for piece in said.split("..."))


@every_page
def test_toml_examples_name_existing_entry_point_groups(page: Path) -> None:
    for _, text in blocks(page, "toml"):
        groups = tomllib.loads(text)["project"]["entry-points"]
        assert set(groups) <= set(plugins.GROUPS)


@every_page
def test_mlir_examples_read_and_print_back(page: Path) -> None:
    for _, text in blocks(page, "mlir"):
        assert str(mm.Network.from_text(text)) == text


@every_page
def test_commands_in_examples_are_understood(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _, text in blocks(page, "console"):
        for line in text.splitlines():
            if not line.startswith("$ "):
                continue
            for piece in line[2:].partition("  #")[0].split(" && "):
                words = [word for word in shlex.split(piece) if not re.fullmatch(r"MM_\w+=.*", word)]
                if words[0] in COMMANDS:
                    _understood(COMMANDS[words[0]], words[1:])
                elif words[0] == "make":
                    assert {word for word in words[1:] if "=" not in word} <= targets, line
                elif words[0] == "pip":
                    ours = {word.partition("[")[0] for word in words if re.match(r"mm-[a-z]", word)}
                    assert ours <= set(DISTRIBUTIONS), line
                else:
                    assert words[0] in ("cd", "pytest", "source"), f"{page.name}: what is {words[0]}?"


def _understood(command: click.Command, arguments: list[str]) -> None:
    """Click reads the arguments; nothing is run. An unknown option or subcommand raises UsageError."""
    context = command.make_context(command.name, list(arguments))
    if isinstance(command, click.Group):
        _, chosen, rest = command.resolve_command(context, arguments)
        assert chosen is not None
        chosen.make_context(chosen.name, rest, parent=context)


# --- names --------------------------------------------------------------------------------------------------------


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


@every_page
def test_named_operators_modules_and_files_exist(page: Path) -> None:
    others = {"mm.Network", *plugins.GROUPS, *(f"mm.{name}" for name in mm.__all__), "mm.network"}
    wrong = []
    for span in spans(page):
        if re.fullmatch(r"mm\.[A-Za-z_]\w*", span) and span not in dialect("mm") and span not in others:
            wrong.append(f"no operator or name {span}")
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]*", span) and not (ROOT / span).exists():
            wrong.append(f"no file or folder {span}")
        if re.fullmatch(r"[\w./-]+\.(py|h|cpp|md)", span) and not any(name.endswith("/" + span) for name in files()):
            wrong.append(f"no file {span}")
        if re.fullmatch(r"mm_\w+(\.\w+)+", span) and not _imports(span):
            wrong.append(f"no module or name {span}")
    assert not wrong, "\n".join(wrong)


@cache
def files() -> list[str]:
    """Every file of the repository's folders; a template counts as what it becomes."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))
    return [str(path).removesuffix(".template") for path in found]


def _imports(dotted: str) -> bool:
    code = "import sys, pkgutil; pkgutil.resolve_name(sys.argv[1])"
    return subprocess.run([sys.executable, "-c", code, dotted], capture_output=True, check=False).returncode == 0


def test_every_page_is_listed_in_the_index() -> None:
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", (DOCS / "README.md").read_text()))
    assert listed == {page.name for page in DOCS.glob("*.md")} - {"README.md"}


def test_environment_variables_are_documented_and_none_is_invented() -> None:
    sources = [*ROOT.glob("mm_core/**/*.py"), *ROOT.glob("plugins/*/*/mm_*/**/*.py"), *ROOT.glob("tests/zoo/*.py")]
    quoted = {name for path in sources for name in re.findall(r"""["'](MM_[A-Z_]+)["']""", path.read_text())}
    spelled = {name for page in PAGES for name in re.findall(r"\bMM_[A-Z_]+\b", "\n".join(spans(page)))}
    headers = "\n".join(path.read_text() for path in ROOT.glob("plugins/backends/**/*.h"))
    names_in_c = set(re.findall(r"\bMM_[A-Z_]+\b", headers))
    assert spelled - names_in_c == quoted - names_in_c


def test_every_error_is_documented_and_none_is_invented() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(re.findall(r"^\| `(\w+)`", (DOCS / "errors.md").read_text(), re.MULTILINE)) == classes


def test_every_pass_and_phase_is_documented_and_none_is_invented() -> None:
    text = (DOCS / "passes.md").read_text()
    ours = {record.name for record in plugins.records("mm.passes") if record.distribution in DISTRIBUTIONS}
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == ours
    assert set(re.findall(r"^\| `([A-Z]+)` \|", text, re.MULTILINE)) == {phase.name for phase in Phase}


def test_every_standard_operator_is_documented_and_none_is_invented() -> None:
    families: dict[str, set[str]] = {}
    for name, definition in dialect("mm").items():
        home, _, family = type(definition).__module__.rpartition(".")
        if home == "mm_ops_standard":
            families.setdefault(family, set()).add(name.removeprefix("mm."))
    table = (DOCS / "operators.md").read_text().partition("## The standard operators")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, re.MULTILINE)
    assert {family: set(re.findall(r"`(\w+)`", names)) for family, names in rows} == families


def test_every_key_of_the_build_configuration_is_documented_and_none_is_invented() -> None:
    with pytest.raises(mm.BuildError) as caught:
        mm.BuilderConfig.from_json({"no such key": 1})
    section = (DOCS / "build.md").read_text().partition("## Configuration as JSON")[2].partition("\n## ")[0]
    documented = {name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in spans_of(row)}
    assert documented == set(caught.value.available.split(", "))


def spans_of(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_what_works_is_what_is_installed() -> None:
    """README's table of packages names every distribution of this repository."""
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"`(mm-[a-z-]+)`", readme)) == set(DISTRIBUTIONS)
