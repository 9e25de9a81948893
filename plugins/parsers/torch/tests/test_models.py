"""Architectures of Hugging Face equal eager on the CPU backend, with the batch fixed and open.

    MM_TORCH_MODELS=all python -m pytest plugins/parsers/torch/tests/test_models.py            the catalog
    MM_TORCH_MODELS=found python -m pytest plugins/parsers/torch/tests/test_models.py          and those found by chance
    MM_TORCH_MODELS=unlisted:7:20 python -m pytest plugins/parsers/torch/tests/test_models.py  20 others

The last draws model types with the seed 7; those of which PyTorch runs no small model, or which torch.export refuses,
are skipped with the reason.
"""

from __future__ import annotations

import os

import pytest
from hf_catalog import CATALOG, Entry
from hf_check import LIMIT, difference
from hf_discover import FIXED_BY_EXPORT, FOUND, Unmakeable, discover, unlisted

from mm_core.errors import ParseError

pytest.importorskip("transformers")
QUICK = ("bert", "gpt2_cache", "llama", "t5", "swin", "mobilenet_v2", "wav2vec2", "fnet", "mixtral", "clip")
REFUSED_BY_EXPORT = {"vilt": "its forward chooses shapes by the contents of a tensor"}
"""Models that torch.export itself cannot capture; torch.compile runs them."""
WANTED, _, DRAWN = os.environ.get("MM_TORCH_MODELS", "").partition(":")
LISTED = [e for e in CATALOG if e.name not in REFUSED_BY_EXPORT]
CHOSEN = LISTED if WANTED in ("all", "found") else [] if WANTED else [e for e in LISTED if e.name in QUICK]
FURTHER = [(name, dynamic) for name in FOUND for dynamic in (False, True)] + [(name, False) for name in FIXED_BY_EXPORT]


def draw() -> list[str]:
    seed, _, count = DRAWN.partition(":")
    return unlisted(int(seed or 0))[: int(count or 20)]


both = pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])


@both
@pytest.mark.parametrize("entry", CHOSEN, ids=lambda entry: entry.name)
def test_model_equals_eager(entry: Entry, dynamic: bool) -> None:
    assert difference(entry, dynamic) < LIMIT


@pytest.mark.parametrize(("name", "dynamic"), FURTHER if WANTED == "found" else [("detr", True), ("gemma3", False)])
def test_found_architecture_equals_eager(name: str, dynamic: bool) -> None:
    assert difference(discover(name), dynamic) < LIMIT


@both
@pytest.mark.parametrize("name", draw() if WANTED == "unlisted" else [])
def test_unlisted_architecture_equals_eager(name: str, dynamic: bool) -> None:
    try:
        found = difference(discover(name), dynamic)
    except Unmakeable as error:
        pytest.skip(str(error))
    except ParseError as error:
        if "torch.export refuses" not in error.what:
            raise
        pytest.skip(str(error))
    assert found < LIMIT


def test_the_catalog_has_forty_architectures() -> None:
    assert len({entry.name for entry in CATALOG} - set(REFUSED_BY_EXPORT)) >= 40
    assert len(set(FOUND)) >= 90
