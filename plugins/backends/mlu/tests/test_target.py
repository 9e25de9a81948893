"""Targets as data: what is known, how a build names one, and which clusters of a device it uses."""

from __future__ import annotations

import pytest
from mm_backend_mlu.target import find_card, known_architectures, known_cards, parse_architecture

from mm_core.errors import BuildError, DeviceError


def test_architectures_and_cards() -> None:
    assert known_architectures() == ("mtp_372", "mtp_592")
    assert known_cards() == ("MLU370-S4", "MLU370-X4", "MLU370-X8", "MLU590")
    assert [find_card(name).clusters for name in known_cards()[:3]] == [6, 8, 4]
    for name in known_cards():
        card = find_card(name)
        assert card.arch in known_architectures()
        assert card.cores == 4 * card.clusters
        assert card.nram_bytes % card.nram_alignment == 0


@pytest.mark.parametrize(
    ("card", "operands", "peak"),
    [
        ("MLU370-S4", ("half", "half"), 73.7e12),
        ("MLU370-X4", ("float", "float"), 24.6e12),
        ("MLU370-X4", ("int8", "int8"), 262e12),
        ("MLU370-X8", ("float", "float"), 32e12 / 2),  # of the card's two chips
    ],
)
def test_published_peaks(card: str, operands: tuple[str, str], peak: float) -> None:
    target = find_card(card)
    computed = target.cores * target.clock_hz * target.tensor_operations_per_cycle[operands]
    assert computed == pytest.approx(peak, rel=5e-3)


def test_unknown_architecture_lists_the_known() -> None:
    with pytest.raises(BuildError, match="'mtp_999' is not an MLU architecture; available: mtp_372, mtp_592"):
        parse_architecture("mtp_999")


@pytest.mark.parametrize("bitmap", ["", "x", "0", "-2", "2,,4", "2.5", "²"])
def test_bad_bitmap(bitmap: str) -> None:
    with pytest.raises(BuildError, match=r"mlu_arch: .* is not a list of cluster counts; write it like mtp_372:2,6,8"):
        parse_architecture(f"mtp_372:{bitmap}")


def test_unknown_card_lists_the_known() -> None:
    with pytest.raises(DeviceError, match="MLU370-S4, MLU370-X4, MLU370-X8, MLU590"):
        find_card("MLU100")


@pytest.mark.parametrize(
    ("text", "available", "used"),
    [
        ("mtp_372", 5, 5), ("mtp_372:6", 6, 6), ("mtp_372:6", 8, 6), ("mtp_372:2,6,8", 7, 6),
        (" mtp_372:8, 2,6 ", 8, 8), ("mtp_592:2,2", 4, 2),
    ],
)  # fmt: skip
def test_clusters(text: str, available: int, used: int) -> None:
    assert parse_architecture(text).clusters_on(available) == used


def test_built_for_more_clusters_than_there_are() -> None:
    with pytest.raises(DeviceError, match="built for 6 or 8 clusters and the device has 4; build it with mlu_arch=mtp"):
        parse_architecture("mtp_372:8,6").clusters_on(4)
