"""The cache of what compilers made: whole entries or none, and a folder that cannot be written is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.compiler import ObjectCache


def test_damaged_entry_counts_as_missing(tmp_path: Path) -> None:
    cache = ObjectCache("objects", tmp_path)
    cache.put("key", b"code")
    assert cache.get("key") == b"code"
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert cache.get("key") is None
    assert cache.get("other") is None


def test_kinds_are_apart_and_the_environment_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path / "chosen"))
    ObjectCache("one").put("key", b"code")
    assert ObjectCache("one", tmp_path / "chosen").get("key") == b"code"
    assert ObjectCache("two").get("key") is None


def test_folder_that_cannot_be_written_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "objects").write_text("a file where the folder should be")
    cache = ObjectCache("objects", tmp_path)
    cache.put("one", b"code")
    cache.put("two", b"code")
    assert cache.get("one") is None
    assert [record.getMessage().startswith("objects are not cached") for record in caplog.records] == [True]
