"""`mm.parse`: which parser is asked, which answers, what the errors say. Plugins are installed for the test only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mm_core as mm
from mm_core import plugins
from mm_core.plugins import metadata, registry

NETWORK = mm.Network("half")
_x = NETWORK.add_input("x", mm.float32, ("N", 3))
NETWORK.mark_output(NETWORK.mul(_x, 0.5), "y")

PARSERS = '''
import os
from pathlib import Path
import mm_core as mm
from mm_core.parsing import Parser

class Lines(Parser):
    """Reads sizes: files *.lines."""

    name = "lines"

    def accepts(self, source):
        return isinstance(source, (str, os.PathLike)) and Path(source).suffix in (".lines", ".both")

    def parse(self, source, *, input_shapes=None, example_inputs=None, **options):
        network = mm.Network(f"{input_shapes} {example_inputs} {options}")
        network.mark_output(network.relu(network.add_input("x", "float32", [len(Path(source).read_text())])), "y")
        return network

class Other(Lines):
    """Reads anything odd."""

    name = "other"

    def accepts(self, source):
        return isinstance(source, dict) or (isinstance(source, (str, os.PathLike)) and str(source).endswith(".both"))

NOT_A_PARSER = 3
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution with four parser plugins, of which two are broken."""
    site = tmp_path / "site"
    info = site / "mm_parser_lines-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-parser-lines\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[mm.parsers]\nlines = lines_parser:Lines\nother = lines_parser:Other\n"
        "broken = lines_parser:Missing\nwrong = lines_parser:NOT_A_PARSER\n"
    )
    (site / "lines_parser.py").write_text(PARSERS)
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield tmp_path
    sys.modules.pop("lines_parser", None)
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    """What the registry remembers about installed plugins."""
    for module in (metadata, registry):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def test_mlir_text_needs_no_plugin(tmp_path: Path) -> None:
    path = tmp_path / "half.mlir"
    path.write_text(str(NETWORK))
    assert str(mm.parse(path)) == str(mm.parse(str(path), parser="mlir")) == str(NETWORK)


def test_mlir_text_takes_no_shapes(tmp_path: Path) -> None:
    path = tmp_path / "half.mlir"
    path.write_text(str(NETWORK))
    with pytest.raises(mm.ParseError, match=r"half\.mlir: MLIR text takes no input_shapes"):
        mm.parse(path, input_shapes={"x": [1, 3]})
    with pytest.raises(mm.ParseError, match="takes no strict"):
        mm.parse(path, strict=True)


def test_damaged_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "half.mlir"
    for content in (b"\xff\xfe", b"", b"module {", str(NETWORK).encode()[:-9]):
        path.write_bytes(content)
        with pytest.raises(mm.MMError):
            mm.parse(path)


def test_missing_files_are_told_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(mm.ParseError, match=r"absent\.onnx: there is no such file"):
        mm.parse(tmp_path / "absent.onnx")


def test_a_parser_is_found_by_asking(installed: Path) -> None:
    path = installed / "three.lines"
    path.write_text("abc")
    network = mm.parse(path, input_shapes={"x": [3]}, example_inputs=7, fast=True)
    assert network.name == "{'x': [3]} 7 {'fast': True}"
    assert network.inputs[0].shape == (3,)


def test_no_parser_lists_what_each_reads(installed: Path) -> None:
    path = installed / "model.strange"
    path.write_text("?")
    with pytest.raises(mm.ParseError) as caught:
        mm.parse(path)
    message = str(caught.value)
    assert "model.strange: no parser takes this source" in message
    assert "lines: Reads sizes: files *.lines." in message
    assert "mlir: Reads mm's own MLIR text" in message
    assert "broken: " in message
    assert "failed to import" in message
    with pytest.raises(mm.ParseError, match="a list: no parser takes this source"):
        mm.parse([1, 2])


def test_two_parsers_that_take_a_source(installed: Path) -> None:
    path = installed / "model.both"
    path.write_text("ab")
    with pytest.raises(mm.ParseError, match=r"several parsers take this source; available: lines, other"):
        mm.parse(path)
    assert mm.parse(path, parser="other").inputs[0].shape == (2,)


def test_parsers_asked_for_by_name(installed: Path) -> None:
    path = installed / "model.lines"
    path.write_text("")
    with pytest.raises(mm.PluginMissingError, match=r"'tensorflo'.*available: .*lines, mlir"):
        mm.parse(path, parser="tensorflo")
    with pytest.raises(mm.PluginLoadError, match="failed to import"):
        mm.parse(path, parser="broken")
    with pytest.raises(mm.PluginLoadError, match="'wrong' offers 3"):
        mm.parse(path, parser="wrong")


def test_the_records_name_their_owner(installed: Path) -> None:
    owners = {record.name: record.distribution for record in plugins.records("mm.parsers")}
    assert owners["lines"] == "mm-parser-lines"
