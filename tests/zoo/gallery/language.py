"""Tokens in: decoders that keep keys and values, encoder and decoder, relative positions, images beside text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.gallery.exhibit import Exhibit, Inputs, exported
from tests.zoo.gallery.modules import only
from tests.zoo.text import decoder_tokens, encoder_tokens, spread_weights
from tests.zoo.vision import pixels

if TYPE_CHECKING:
    import torch

VOCABULARY, LAYERS, HEADS, HEAD_SIZE = 1000, 2, 4, 16
TOKENS = ("batch", "length")
PAST = {f"past_{kind}_{layer}": ("batch", None, "past") for layer in range(LAYERS) for kind in ("key", "value")}
SIZES = [(2, 7), (1, 1), (3, 12)]


def exhibits() -> Iterator[Exhibit]:
    cached = {"input_ids": TOKENS, "attention_mask": ("batch", "total"), **PAST}
    yield exported("gpt2_cache", gpt2_cache, prompt_and_past, SIZES, cached, "dynamo", 20)
    yield exported("llama_cache", llama_cache, prompt_and_past, SIZES, cached, "dynamo", 21)
    both = {"input_ids": TOKENS, "decoder_input_ids": ("batch", "target")}
    yield exported("t5", t5, source_and_target, SIZES, both, "dynamo", 18)
    masked = {"input_ids": TOKENS, "attention_mask": TOKENS}
    yield exported("deberta", deberta, sentence, [(2, 16), (1, 9)], masked, "script", 17)
    yield exported("roberta", roberta, sentence, SIZES, masked, "dynamo", 22)
    yield exported("clip", clip, captioned, [(2, 16), (3, 16)], {"pixel_values": ("images",)}, "dynamo", 21)


def prompt_and_past(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    """Some tokens, and keys and values of as many and two more before them."""
    past = length + 2
    mask = np.ones((batch, past + length), np.int64)
    mask[0, :2] = 0
    shape = (batch, HEADS, past, HEAD_SIZE)
    return {
        **decoder_tokens(generator, batch, length, VOCABULARY),
        "attention_mask": mask,
        **{name: generator.standard_normal(shape).astype(np.float32) for name in PAST},
    }


def sentence(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    tokens = encoder_tokens(generator, batch, length, VOCABULARY)
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


def source_and_target(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    ids = generator.integers(1, VOCABULARY, (batch, 2 * length + 3))
    return {"input_ids": ids[:, : length + 3], "decoder_input_ids": ids[:, length + 3 :]}


def captioned(generator: np.random.Generator, batch: int, length: int) -> Inputs:
    ids = generator.integers(1, VOCABULARY - 1, (2, length))
    ids[:, -3] = VOCABULARY - 1  # the end of the text, whose state is taken for all of it
    return {"input_ids": ids, **pixels(generator, batch, 32), "attention_mask": np.ones_like(ids)}


def with_cache(model: torch.nn.Module) -> torch.nn.Module:
    """(ids, mask, key 0, value 0, key 1, ...) -> (logits, the same keys and values with new ones at the end)."""
    import torch
    from transformers import DynamicCache

    class WithCache(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor) -> tuple[torch.Tensor, ...]:
            cache = DynamicCache(list(zip(past[::2], past[1::2])))
            result = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
            kept = [(layer.keys, layer.values) for layer in result.past_key_values.layers]
            return (result.logits, *(tensor for pair in kept for tensor in pair))

    return only(WithCache())


def gpt2_cache() -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_embd=HEADS * HEAD_SIZE, n_layer=LAYERS, n_head=HEADS, vocab_size=VOCABULARY, n_positions=64, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return with_cache(spread_weights(GPT2LMHeadModel(config)))


def llama_cache() -> torch.nn.Module:
    """Rotary positions, RMS norm, gated feed-forward."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=2 * HEADS * HEAD_SIZE, intermediate_size=128, num_hidden_layers=LAYERS, head_dim=HEAD_SIZE,
        num_attention_heads=2 * HEADS, num_key_value_heads=HEADS, vocab_size=VOCABULARY, max_position_embeddings=64,
    )  # fmt: skip
    return with_cache(spread_weights(LlamaForCausalLM(config)))


def t5() -> torch.nn.Module:
    """Encoder and decoder with relative position buckets; logits of the target."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, decoder_start_token_id=0,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    model = spread_weights(T5ForConditionalGeneration(config))
    return only(model, "logits", takes=("input_ids", "decoder_input_ids"), use_cache=False)


def deberta() -> torch.nn.Module:
    """Disentangled attention: content to position and position to content, gathered by distance."""
    from transformers import DebertaV2Config, DebertaV2Model

    config = DebertaV2Config(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], max_position_embeddings=64,
        norm_rel_ebd="layer_norm", share_att_key=True, position_biased_input=False,
    )  # fmt: skip
    model = spread_weights(DebertaV2Model(config))
    return only(model, "last_hidden_state", takes=("input_ids", "attention_mask"))


def roberta() -> torch.nn.Module:
    """Positions are counted over the tokens that are not padding; a label for each token."""
    from transformers import RobertaConfig, RobertaForTokenClassification

    config = RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, num_labels=9, pad_token_id=0,
    )  # fmt: skip
    model = spread_weights(RobertaForTokenClassification(config))
    return only(model, "logits", takes=("input_ids", "attention_mask"))


def clip() -> torch.nn.Module:
    """How well each text fits each image: two towers, normalised and multiplied."""
    from transformers import CLIPConfig, CLIPModel

    tower = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**tower, "vocab_size": VOCABULARY, "max_position_embeddings": 32, "eos_token_id": VOCABULARY - 1},
        vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=32,
    )  # fmt: skip
    return only(
        spread_weights(CLIPModel(config)), "logits_per_image", "text_embeds", "image_embeds",
        takes=("input_ids", "pixel_values", "attention_mask"),
    )  # fmt: skip
