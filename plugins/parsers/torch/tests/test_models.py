"""Architectures of Hugging Face equal eager on the CPU backend, with the batch fixed and open."""

from __future__ import annotations

import os

import pytest
from hf_catalog import CATALOG, Entry
from hf_check import difference

pytest.importorskip("transformers")
QUICK = ("bert", "gpt2_cache", "llama", "t5", "swin", "mobilenet_v2", "wav2vec2", "fnet", "mixtral", "clip")
REFUSED_BY_EXPORT = {"vilt": "its forward chooses shapes by the contents of a tensor"}
"""Models that torch.export itself cannot capture; torch.compile runs them."""
WHOLE = os.environ.get("MM_TORCH_MODELS") == "all"
CHOSEN = [e for e in CATALOG if e.name not in REFUSED_BY_EXPORT and (WHOLE or e.name in QUICK)]


@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])
@pytest.mark.parametrize("entry", CHOSEN, ids=lambda entry: entry.name)
def test_model_equals_eager(entry: Entry, dynamic: bool) -> None:
    assert difference(entry, dynamic) < 1e-4


def test_the_catalog_has_forty_architectures() -> None:
    assert len({entry.name for entry in CATALOG} - set(REFUSED_BY_EXPORT)) >= 40
