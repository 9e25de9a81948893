"""torch.compile(backend="mm"): text that transformers' `generate` writes, with caches that grow and that stay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compiling import compiled, fresh, latest
from mm_parser_torch.backend import reports

__all__ = ["fresh"]

transformers = pytest.importorskip("transformers")
SIZES = {"vocab_size": 97, "num_hidden_layers": 2, "num_attention_heads": 4, "bos_token_id": 1, "eos_token_id": 2}


def llama() -> Any:
    configuration = transformers.LlamaConfig(
        **SIZES, hidden_size=32, intermediate_size=64, num_key_value_heads=2, max_position_embeddings=64
    )
    return transformers.LlamaForCausalLM(configuration)


def t5() -> Any:
    sizes = {"vocab_size": 97, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes, decoder_start_token_id=0))


@pytest.mark.parametrize(
    ("make", "further"),
    [
        pytest.param(llama, {}, id="growing cache"),
        pytest.param(llama, {"cache_implementation": "static"}, id="static cache"),
        pytest.param(t5, {}, id="encoder and decoder", marks=pytest.mark.long),
    ],
)
def test_the_same_text(make: Any, further: dict[str, Any]) -> None:
    model = make().eval()
    tokens = torch.randint(3, 90, (1, 5))
    settings = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "pad_token_id": 0, **further}
    expected = model.generate(tokens, **settings)
    model.forward = compiled(model.forward)
    assert torch.equal(model.generate(tokens, **settings), expected)
    graphs = len(reports())
    newest = latest()
    with torch.compiler.set_stance("fail_on_recompile"):
        assert torch.equal(model.generate(tokens, **settings), expected)
    assert latest() is newest
    assert len(reports()) == graphs
    assert (newest.parts, newest.left, newest.builds) == (1, [], 1)
