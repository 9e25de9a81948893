"""What front ends share: tables of importers, and errors and reports that tell everything at once."""

from __future__ import annotations

import pytest

from mm_core.errors import UnsupportedOpError
from mm_core.parsing import CompileReport, Family, Left, Table, Unsupported


class Shouted(Family):
    """A family whose operators are named in capitals."""

    def full_name(self, name: str) -> str:
        return name.upper()


def test_a_table_finds_importers_by_full_name() -> None:
    family, other = Family(), Shouted()
    first, second = (lambda: 1), (lambda: 2)
    assert family.op("relu", "relu6")(first) is first
    other.op("tanh")(second)
    table = Table([family, other])
    assert list(table) == ["relu", "relu6", "TANH"]
    assert table.find("relu6") is first
    assert table.find("TANH") is second
    assert table.find("tanh") is None


def test_an_operator_has_one_importer() -> None:
    family, other = Family(), Family()
    family.op("relu")(print)
    with pytest.raises(AssertionError, match="relu has two importers"):
        family.op("relu")(print)
    other.op("relu")(print)
    with pytest.raises(AssertionError, match="two families"):
        Table([family, other])


def test_everything_unsupported_is_one_error() -> None:
    unsupported = Unsupported("write an importer")
    assert (bool(unsupported), unsupported.first()) == (False, "")
    unsupported.raise_all()
    unsupported.add(UnsupportedOpError("Odd", where="net/a"))
    for place in ("net/a", "net/b", "net/c", "net/d", "net/e"):
        unsupported.add(UnsupportedOpError("Strange", where=place, available="Plain"))
    assert (bool(unsupported), unsupported.first()) == (True, "Odd")
    with pytest.raises(UnsupportedOpError) as caught:
        unsupported.raise_all()
    assert caught.value.what == (
        "2 operators are not supported: Strange (available: Plain): 5x in net/a, net/b, net/c and 2 more; "
        "Odd: 1x in net/a"
    )
    assert caught.value.remedy == "write an importer"
    unsupported.add(UnsupportedOpError("Odd", remedy="convert it"))
    with pytest.raises(UnsupportedOpError, match="Odd: 2x in net/a") as caught:
        unsupported.raise_all()
    assert caught.value.remedy == "convert it"


def test_a_report_counts_what_stays() -> None:
    report = CompileReport(parts=2, engine_nodes=5)
    report.left = [Left("net/odd", "Odd", "Odd"), Left("net/a", "Draw", "a stream"), Left("net/b", "Draw", "a stream")]
    report.refused["too large"] += 3
    assert str(report).splitlines() == [
        "5 nodes in 2 parts run in mm, 3 stay in the framework",
        "  2x Draw: a stream in net/a, net/b",
        "  1x Odd in net/odd",
        "  3 requests ran in the framework: too large",
    ]
    assert str(report.left[1]) == "net/a (Draw): a stream"
