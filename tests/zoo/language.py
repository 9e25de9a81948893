"""Further language models from Hugging Face configurations: relative positions, decoders with a cache, two encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.text import spread_weights

if TYPE_CHECKING:
    import torch


def deberta_v3_xsmall(small: bool) -> torch.nn.Module:
    """DeBERTa-v3-xsmall: 71 M parameters, 12 layers of width 384; scores of relative positions are gathered."""
    from transformers import DebertaV2Config, DebertaV2Model

    shape = {"vocab_size": 128100, "hidden_size": 384, "intermediate_size": 1536}
    shape |= {"num_attention_heads": 6, "num_hidden_layers": 12}
    if small:
        shape = {
            "vocab_size": 1000,
            "hidden_size": 48,
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
        }
    config = DebertaV2Config(
        relative_attention=True,
        position_buckets=16 if small else 256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        max_position_embeddings=64 if small else 512,
        **shape,
    )
    return spread_weights(DebertaV2Model(config))


def t5_small(small: bool) -> torch.nn.Module:
    """T5-small: 60.5 M parameters, 6 layers of width 512 in the encoder and in the decoder; logits."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    shape = (
        {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4, "vocab_size": 1000} if small else {}
    )
    config = T5Config(use_cache=False, decoder_start_token_id=0, **shape)
    model = spread_weights(T5ForConditionalGeneration(config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".q.weight"):  # the architecture has no scale for scores: the weights have it
                parameter.mul_(config.d_kv**-0.5)
    return model


def smollm_135m(small: bool) -> torch.nn.Module:
    """SmolLM2-135M, a Llama: 30 layers of width 576, rotary positions, 9 query heads on 3, gated SiLU; logits."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    }
    if small:
        shape = {
            "hidden_size": 48,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "vocab_size": 1000,
        }
    return spread_weights(LlamaForCausalLM(LlamaConfig(use_cache=False, tie_word_embeddings=True, **shape)))


def smollm_135m_step(small: bool) -> torch.nn.Module:
    """One step of SmolLM2-135M: one token after a cache; logits, then every layer's longer keys and values."""
    import torch
    from transformers import DynamicCache

    class Step(torch.nn.Module):
        """Takes keys and values as [batch, layers, heads, length, head size]."""

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def set_attn_implementation(self, name: str) -> None:
            self.model.set_attn_implementation(name)

        def forward(
            self, input_ids: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, return_dict: bool = False
        ) -> tuple[torch.Tensor, ...]:
            cache = DynamicCache(list(zip(keys.unbind(1), values.unbind(1), strict=True)))
            logits = self.model(input_ids, past_key_values=cache, use_cache=True).logits
            longer = zip(*((layer.keys, layer.values) for layer in cache.layers), strict=True)
            return (logits, *(torch.stack(states, 1) for states in longer))

    return Step(smollm_135m(small)).eval()


def clip_text(small: bool) -> torch.nn.Module:
    """The text tower of CLIP ViT-B/32: 63 M parameters, 12 layers of width 512, quick GELU, causal."""
    from transformers import CLIPTextConfig, CLIPTextModel

    shape = (
        {
            "vocab_size": 1000,
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 32,
            "eos_token_id": 999,
        }
        if small
        else {}
    )
    return spread_weights(CLIPTextModel(CLIPTextConfig(**shape)))


def sentence(generator: np.random.Generator, batch: int, length: int, vocabulary: int) -> dict[str, np.ndarray]:
    """Padded sentences: int64 [batch, length] ids and mask (the last eighth is padding)."""
    ids = generator.integers(1, vocabulary, (batch, length))
    mask = np.ones((batch, length), np.int64)
    mask[:, length - length // 8 :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def translation(
    generator: np.random.Generator, batch: int, length: int, output: int, vocabulary: int
) -> dict[str, np.ndarray]:
    """A padded sentence and `output` tokens of its translation, int64 [batch, output]."""
    source = sentence(generator, batch, length, vocabulary)
    return source | {"decoder_input_ids": generator.integers(1, vocabulary, (batch, output))}


def step(
    generator: np.random.Generator, batch: int, vocabulary: int, cache: tuple[int, int, int, int]
) -> dict[str, np.ndarray]:
    """One token, int64 [batch, 1], and what came before: float32 [batch, layers, heads, length, head size] twice.

    cache: layers, heads, length and head size.
    """
    shape = (batch, *cache)
    return {
        "input_ids": generator.integers(0, vocabulary, (batch, 1)),
        "keys": generator.standard_normal(shape, np.float32),
        "values": generator.standard_normal(shape, np.float32),
    }
