"""Architectures of Hugging Face in small configurations with random weights, and inputs for them.

An entry is one line: model class, configuration, inputs. Configurations state only what makes the model small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Inputs = Callable[[int], dict[str, torch.Tensor]]
_VOCABULARY = 99


@dataclass(frozen=True)
class Entry:
    """One architecture. `inputs(batch)` makes its inputs; `cache`: whether it keeps keys and values."""

    name: str
    model: str
    config: dict[str, Any]
    inputs: Inputs
    cache: bool = False

    def build(self) -> torch.nn.Module:
        """The module in evaluation mode, the same weights at every call."""
        import transformers

        torch.manual_seed(0)
        cls = getattr(transformers, self.model)
        config = cls.config_class(**self.config)
        config.use_cache = self.cache
        model = cls(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1 and parameter.numel():
                    # Convolutions stand before activations that halve the variance.
                    gain = 1.5 if parameter.ndim > 2 else 0.5
                    parameter.normal_(std=gain * parameter[0].numel() ** -0.5)
            norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
            for norm in norms:
                norm.momentum = None
            if norms:
                model.train()(**self.inputs(4))  # Statistics of this batch alone, so that activations do not fade away.
        return model.eval()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def _ids(batch: int, length: int = 12) -> torch.Tensor:
    return torch.randint(3, _VOCABULARY, (batch, length), generator=_generator())


def _mask(batch: int, length: int = 12) -> torch.Tensor:
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, length - 2 :] = 0
    return mask


def tokens(batch: int) -> dict[str, torch.Tensor]:
    return {"input_ids": _ids(batch), "attention_mask": _mask(batch)}


def prompt(batch: int) -> dict[str, torch.Tensor]:
    return {"input_ids": _ids(batch)}


def pair(batch: int) -> dict[str, torch.Tensor]:
    return {**tokens(batch), "decoder_input_ids": _ids(batch, 7)}


def _images(size: int, channels: int = 3) -> Callable[[int], torch.Tensor]:
    return lambda batch: torch.randn(batch, channels, size, size, generator=_generator())


def pixels(size: int) -> Inputs:
    return lambda batch: {"pixel_values": _images(size)(batch)}


def sound(batch: int) -> dict[str, torch.Tensor]:
    return {"input_values": torch.randn(batch, 1600, generator=_generator())}


def spectrum(batch: int) -> dict[str, torch.Tensor]:
    features = torch.randn(batch, 16, 60, generator=_generator())
    return {"input_features": features, "decoder_input_ids": _ids(batch, 5)}


def caption(size: int) -> Inputs:
    return lambda batch: {**tokens(batch), "pixel_values": _images(size)(batch)}


_ENCODER = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 99,
    "max_position_embeddings": 64,
}  # fmt: skip
_DECODER = {**_ENCODER, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": 99, "max_position_embeddings": 64, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 99}
_VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
_SPEECH = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 32,
    "conv_dim": (16, 16, 16), "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 2), "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4, "num_feat_extract_layers": 3,
}  # fmt: skip
_TOWERS = {
    "text_config": {**_ENCODER, "projection_dim": 16, "eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0},
    "vision_config": {**_VIT, "projection_dim": 16}, "projection_dim": 16,
}  # fmt: skip

# ruff: noqa: E501
CATALOG: tuple[Entry, ...] = (
    # text encoders
    Entry("bert", "BertModel", _ENCODER, tokens),
    Entry("bert_mlm", "BertForMaskedLM", _ENCODER, tokens),
    Entry("bert_classify", "BertForSequenceClassification", _ENCODER, tokens),
    Entry("roberta", "RobertaModel", _ENCODER, tokens),
    Entry("xlm_roberta", "XLMRobertaModel", _ENCODER, tokens),
    Entry("distilbert", "DistilBertModel", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 99}, tokens),
    Entry("albert", "AlbertModel", {**_ENCODER, "embedding_size": 16}, tokens),
    Entry("electra", "ElectraModel", {**_ENCODER, "embedding_size": 16}, tokens),
    Entry("mpnet", "MPNetModel", _ENCODER, tokens),
    Entry("deberta", "DebertaModel", {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, tokens),
    Entry("deberta_v2", "DebertaV2Model", {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, tokens),
    Entry("convbert", "ConvBertModel", {**_ENCODER, "embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3}, tokens),
    Entry("mobilebert", "MobileBertModel", {**_ENCODER, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16}, tokens),
    Entry("squeezebert", "SqueezeBertModel", {**_ENCODER, "embedding_size": 32}, tokens),
    Entry("fnet", "FNetModel", _ENCODER, prompt),
    Entry("modernbert", "ModernBertModel", {**_ENCODER, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}, tokens),
    Entry("funnel", "FunnelModel", {"vocab_size": 99, "block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48}, tokens),
    Entry("xlnet", "XLNetModel", {"vocab_size": 99, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}, tokens),
    Entry("bigbird", "BigBirdModel", {**_ENCODER, "attention_type": "original_full"}, tokens),
    Entry("roformer", "RoFormerModel", _ENCODER, tokens),
    # decoders
    Entry("gpt2", "GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}, tokens),
    Entry("gpt2_cache", "GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}, prompt, cache=True),
    Entry("gpt_neo", "GPTNeoForCausalLM", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "vocab_size": 99, "max_position_embeddings": 64, "attention_types": [[["global", "local"], 1]], "window_size": 4}, tokens),
    Entry("gpt_neox", "GPTNeoXForCausalLM", _ENCODER, tokens),
    Entry("gptj", "GPTJForCausalLM", {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64, "rotary_dim": 4}, tokens),
    Entry("opt", "OPTForCausalLM", {**_ENCODER, "ffn_dim": 48, "word_embed_proj_dim": 32}, tokens),
    Entry("bloom", "BloomForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99}, tokens),
    Entry("llama", "LlamaForCausalLM", _DECODER, tokens),
    Entry("llama_cache", "LlamaForCausalLM", _DECODER, prompt, cache=True),
    Entry("mistral", "MistralForCausalLM", {**_DECODER, "sliding_window": 6}, tokens),
    Entry("qwen2", "Qwen2ForCausalLM", _DECODER, tokens),
    Entry("qwen3", "Qwen3ForCausalLM", {**_DECODER, "head_dim": 8}, tokens),
    Entry("gemma", "GemmaForCausalLM", {**_DECODER, "head_dim": 8}, tokens),
    Entry("gemma2", "Gemma2ForCausalLM", {**_DECODER, "head_dim": 8, "sliding_window": 6}, tokens),
    Entry("phi", "PhiForCausalLM", _DECODER, tokens),
    Entry("phi3", "Phi3ForCausalLM", _DECODER, tokens),
    Entry("falcon", "FalconForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99, "max_position_embeddings": 64}, tokens),
    Entry("stablelm", "StableLmForCausalLM", _DECODER, tokens),
    Entry("starcoder2", "Starcoder2ForCausalLM", _DECODER, tokens),
    Entry("olmo", "OlmoForCausalLM", _DECODER, tokens),
    Entry("granite", "GraniteForCausalLM", _DECODER, tokens),
    Entry("cohere", "CohereForCausalLM", _DECODER, tokens),
    Entry("mixtral", "MixtralForCausalLM", {**_DECODER, "num_local_experts": 4, "num_experts_per_tok": 2}, tokens),
    Entry("mamba", "MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 99}, prompt),
    Entry("mpt", "MptForCausalLM", {"d_model": 32, "n_heads": 4, "n_layers": 2, "vocab_size": 99, "max_seq_len": 64}, tokens),
    Entry("mamba2", "Mamba2ForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 99, "num_heads": 8, "head_dim": 8, "n_groups": 1, "expand": 2, "chunk_size": 4}, prompt),
    # encoder-decoders
    Entry("t5", "T5ForConditionalGeneration", {**_T5, "decoder_start_token_id": 0}, pair),
    Entry("mt5", "MT5ForConditionalGeneration", {**_T5, "decoder_start_token_id": 0}, pair),
    Entry("bart", "BartForConditionalGeneration", _BART, pair),
    Entry("mbart", "MBartForConditionalGeneration", _BART, pair),
    Entry("pegasus", "PegasusForConditionalGeneration", _BART, pair),
    Entry("marian", "MarianMTModel", _BART, pair),
    Entry("blenderbot", "BlenderbotForConditionalGeneration", _BART, pair),
    # vision
    Entry("vit", "ViTForImageClassification", _VIT, pixels(32)),
    Entry("deit", "DeiTForImageClassification", _VIT, pixels(32)),
    Entry("beit", "BeitForImageClassification", _VIT, pixels(32)),
    Entry("dinov2", "Dinov2Model", _VIT, pixels(32)),
    Entry("swin", "SwinForImageClassification", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4}, pixels(32)),
    Entry("swinv2", "Swinv2Model", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4}, pixels(32)),
    Entry("convnext", "ConvNextForImageClassification", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, pixels(64)),
    Entry("convnextv2", "ConvNextV2Model", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, pixels(64)),
    Entry("resnet", "ResNetForImageClassification", {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, pixels(64)),
    Entry("regnet", "RegNetModel", {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "groups_width": 8}, pixels(64)),
    Entry("mobilenet_v1", "MobileNetV1Model", {"depth_multiplier": 0.25, "tf_padding": False}, pixels(64)),
    Entry("mobilenet_v2", "MobileNetV2Model", {"depth_multiplier": 0.25}, pixels(64)),
    Entry("mobilevit", "MobileViTModel", {"image_size": 64, "hidden_sizes": [16, 16, 24], "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32]}, pixels(64)),
    Entry("segformer", "SegformerForSemanticSegmentation", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4], "decoder_hidden_size": 16}, pixels(64)),
    Entry("levit", "LevitModel", {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1], "key_dim": [8, 8, 8]}, pixels(64)),
    Entry("poolformer", "PoolFormerModel", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, pixels(64)),
    Entry("pvt", "PvtModel", {"image_size": 64, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4]}, pixels(64)),
    Entry("yolos", "YolosForObjectDetection", {**_VIT, "image_size": [32, 32], "num_detection_tokens": 4}, pixels(32)),
    # speech
    Entry("wav2vec2", "Wav2Vec2ForCTC", _SPEECH, sound),
    Entry("hubert", "HubertModel", _SPEECH, sound),
    Entry("wavlm", "WavLMModel", _SPEECH, sound),
    Entry("whisper", "WhisperForConditionalGeneration", {**_BART, "num_mel_bins": 16, "max_source_positions": 30, "max_target_positions": 20, "suppress_tokens": [], "begin_suppress_tokens": []}, spectrum),
    Entry("ast", "ASTModel", {**_VIT, "max_length": 32, "num_mel_bins": 16, "frequency_stride": 8, "time_stride": 8}, lambda batch: {"input_values": torch.randn(batch, 32, 16, generator=_generator())}),
    # text and images
    Entry("clip", "CLIPModel", _TOWERS, caption(32)),
    Entry("siglip", "SiglipModel", _TOWERS, caption(32)),
    Entry("vilt", "ViltModel", {**_ENCODER, "image_size": 32, "patch_size": 8, "max_image_length": -1}, caption(32)),
)  # fmt: skip
