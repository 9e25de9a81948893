"""The pages on commands and plugins say what the code says."""

from __future__ import annotations

import inspect
import re
from typing import get_args

import pytest

from mm_core.cli.build import command as mm_build
from mm_core.cli.plugins import command as mm_plugins
from mm_core.cli.run import command as mm_run
from mm_core.cli.scaffold import KINDS
from mm_core.plugins import GROUPS
from mm_core.plugins.doctor import Verdict
from mm_core.plugins.hookspecs import HookSpecifications
from tests.core.layering import ROOT

COMMANDS = (ROOT / "docs" / "commands.md").read_text()
PLUGINS = (ROOT / "docs" / "plugins.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("command", [mm_build, mm_run], ids=lambda command: command.name)
def test_every_option_is_documented_and_none_is_invented(command) -> None:
    text = section(command.name)
    declared = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    everywhere = {"--help", "--version", "--verbose"}
    documented = set(re.findall(r"--\w+", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    assert declared - everywhere <= documented
    others = {option for other in (mm_build, mm_run) for parameter in other.params for option in parameter.opts}
    assert documented <= others | everywhere


def test_defaults_of_mm_run_are_the_documented_ones() -> None:
    defaults = {parameter.name: parameter.default for parameter in mm_run.params}
    for name in ("warmup", "duration", "iterations", "infer_depth"):
        assert re.search(rf"`--{name} \w+` \| {defaults[name]:g} \|", section("mm_run"))


def test_every_subcommand_kind_and_group_is_documented() -> None:
    for name in mm_plugins.commands:
        assert f"mm_plugins {name}" in COMMANDS
    for kind in KINDS:
        assert f"`{kind}`" in PLUGINS
    for group in GROUPS:
        assert f"`{group}`" in PLUGINS


def test_every_hook_is_documented_with_its_arguments() -> None:
    specified = {
        name: [argument for argument in inspect.signature(method).parameters if argument != "self"]
        for name, method in vars(HookSpecifications).items()
        if name.startswith("mm_")
    }
    rows = re.findall(r"^\| `(mm_\w+)` \| ([^|]*) \|", PLUGINS, re.MULTILINE)
    assert {name: re.findall(r"\w+", arguments) for name, arguments in rows} == specified


def test_every_verdict_is_documented() -> None:
    for verdict in get_args(Verdict):
        assert f"`{verdict}`" in PLUGINS
