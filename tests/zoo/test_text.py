"""The text form of real networks, as parsed and as optimised: reading it back is the identity; others read it too."""

from __future__ import annotations

import pytest

import mm_core as mm
from mm_core.passes import default_pipeline
from tests import zoo
from tests.mlir_reader import accept
from tests.zoo import handmade


def check(network: mm.Network) -> None:
    """As parsed, and after all passes."""
    for _ in range(2):
        text = str(network)
        again = mm.Network.from_text(text, network.weights())
        again.verify()
        assert str(again) == text
        accept(text)
        default_pipeline().run(network)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", zoo.names())
def test_zoo(name: str, dynamic: bool) -> None:
    check(mm.parse(zoo.build(name, small=True, dynamic=dynamic).path))


@pytest.mark.parametrize("case", handmade.cases(), ids=lambda case: case.name)
def test_handmade(case: handmade.Case) -> None:
    check(mm.parse(case.model()))
