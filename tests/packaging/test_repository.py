"""What is committed names no machine."""

from __future__ import annotations

import re

import pytest

from tests.packaging.distributions import ROOT, repository_files

# Folders that exist on one machine only.
MACHINE_PATH = re.compile(r"(?<![\w.~/$}-])/(?:home|root|work|tmp|Users|workspace|opt|mnt)/[\w.-]+")
REGISTRY = re.compile(r"\b(?:index-url|extra-index-url|trusted-host|file://\w*/)", re.IGNORECASE)


def found(text: str) -> list[str]:
    return [match.group() for pattern in (MACHINE_PATH, REGISTRY) for match in pattern.finditer(text)]


@pytest.mark.parametrize("text", ["cd /ho" + "me/me/mm", '"/wor' + 'k/main"', "pip install --index" + "-url http://x"])
def test_machine_names_are_recognised(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize("text", ["a/home/b", "https://site/tmp/x", "./work/x", "${ROOT}/tmp/x"])
def test_relative_paths_and_addresses_are_not(text: str) -> None:
    assert not found(text)


def test_no_file_names_a_machine() -> None:
    wrong = []
    for path in repository_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [f"{path}: {name}" for name in found(text) if path.name != "test_repository.py"]
    assert not wrong, "\n".join(wrong)
