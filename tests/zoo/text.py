"""Language models from Hugging Face configurations: BERT-base, MiniLM-L6 and GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def encoder_tokens(generator: np.random.Generator, batch: int, length: int, vocabulary: int) -> dict[str, np.ndarray]:
    """Padded sentences: int64 [batch, length] ids, mask (the last eighth is padding) and segments."""
    ids = generator.integers(1, vocabulary, (batch, length))
    mask = np.ones((batch, length), np.int64)
    mask[:, length - length // 8 :] = 0
    segments = np.zeros((batch, length), np.int64)
    segments[:, length // 2 :] = 1
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": segments}


def decoder_tokens(generator: np.random.Generator, batch: int, length: int, vocabulary: int) -> dict[str, np.ndarray]:
    """A prompt without padding: int64 [batch, length] ids."""
    return {"input_ids": generator.integers(0, vocabulary, (batch, length))}


def bert_base(small: bool) -> torch.nn.Module:
    """BERT-base encoder: 110 M parameters, 12 layers of width 768; last hidden state and pooled output."""
    from transformers import BertConfig, BertModel

    shape = (
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "vocab_size": 1000,
            "max_position_embeddings": 128,
        }
        if small
        else {}
    )
    return spread_weights(BertModel(BertConfig(**shape)))


def minilm_l6(small: bool) -> torch.nn.Module:
    """The encoder of all-MiniLM-L6: 22.7 M parameters, 6 layers of width 384."""
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12}
    if small:
        shape = {
            "hidden_size": 48,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 12,
            "vocab_size": 1000,
            "max_position_embeddings": 128,
        }
    return spread_weights(BertModel(BertConfig(**shape)))


def gpt2(small: bool) -> torch.nn.Module:
    """GPT-2: 124 M parameters, 12 layers of width 768; logits of every position, no key/value cache."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = (
        {
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "vocab_size": 1000,
            "n_positions": 128,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }
        if small
        else {}
    )
    return spread_weights(GPT2LMHeadModel(GPT2Config(use_cache=False, **shape)))


def spread_weights(model: torch.nn.Module) -> torch.nn.Module:
    """Replace the timid initial weights of a transformer by ones of trained size.

    Matrices get variance 1/fan_in, so that attention scores have about unit variance and softmax is not flat;
    biases and layer-norm parameters are perturbed, so that forgetting one shows in the output.
    """
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
            elif parameter.ndim == 1:
                torch.nn.init.uniform_(parameter, 0.7, 1.3)
        for module in model.modules():
            kind = type(module).__name__
            if kind in ("Linear", "Conv2d"):
                torch.nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            elif kind == "Conv1D":  # GPT-2's linear layer, stored [inputs, outputs]
                torch.nn.init.normal_(module.weight, std=module.weight.shape[0] ** -0.5)
    return model.eval()
