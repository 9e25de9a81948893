"""Transformers and vision networks of KerasHub, small and with random weights, equal Keras from memory and from files.

KerasHub is no requirement, and what it requires itself is not needed: `pip install --no-deps keras-hub kagglehub
kagglesdk`. Without it nothing here runs. `pytest -m long` runs those that are not quick.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_running import assert_close, outputs

import mm_core as mm

hub = pytest.importorskip("keras_hub").models
TEXT = {"vocabulary_size": 50, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
GROUPED = {
    "vocabulary_size": 50, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2, "hidden_dim": 16,
    "intermediate_dim": 32,
}  # fmt: skip
GEMMA = {**GROUPED, "head_dim": 8}
VIT = {
    "image_shape": (32, 32, 3), "patch_size": (8, 8), "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32,
}  # fmt: skip
SMOL = {
    "vocabulary_size": 50, "hidden_dim": 16, "intermediate_dim": 32, "num_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "attention_bias": False, "attention_dropout": 0.0,
    "rope_layer_enabled_list": [True, False], "layer_types": ["full_attention"] * 2, "mlp_bias": False,
    "layer_norm_epsilon": 1e-6, "max_position_embeddings": 64, "rope_theta": 10000.0, "partial_rotary_factor": 1.0,
}  # fmt: skip
T5_GEMMA = {
    "vocabulary_size": 50, "sliding_window": 4, "attn_logit_softcapping": 50.0, "cross_attention_hidden_size": 16,
    **{
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("hidden_dim", 16), ("intermediate_dim", 32), ("num_layers", 2), ("num_attention_heads", 4),
            ("num_key_value_heads", 2), ("head_dim", 8), ("layer_types", ["sliding_attention", "full_attention"]),
        )
    },
}  # fmt: skip
HYBRID = {
    "vocabulary_size": 50, "num_layers": 2, "num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "hidden_dim": 16, "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
MIT = {
    "layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2], "layerwise_sr_ratios": [4, 2],
    "max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2],
    "image_shape": (32, 32, 3), "hidden_dims": [8, 16],
}  # fmt: skip
RESNET = {
    "input_conv_filters": [8], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 16],
    "stackwise_num_blocks": [1, 2], "stackwise_num_strides": [1, 2], "image_shape": (None, None, 3),
}  # fmt: skip


def clip() -> Any:
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.clip.clip_vision_encoder import CLIPVisionEncoder

    common = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    vision = CLIPVisionEncoder(patch_size=8, image_shape=(32, 32, 3), **common)
    text = CLIPTextEncoder(vocabulary_size=50, embedding_dim=16, max_sequence_length=7, **common)
    return hub.CLIPBackbone(vision, text, projection_dim=12)


def siglip() -> Any:
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    common = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    vision = SigLIPVisionEncoder(patch_size=8, image_shape=(32, 32, 3), **common)
    text = SigLIPTextEncoder(vocabulary_size=50, embedding_dim=16, max_sequence_length=7, **common)
    return hub.SigLIPBackbone(vision, text)


def segformer() -> Any:
    return hub.SegFormerBackbone(hub.MiTBackbone(**MIT), projection_filters=16)


def deeplab() -> Any:
    encoder = hub.ResNetBackbone(block_type="bottleneck_block", **{**RESNET, "image_shape": (32, 32, 3)})
    return hub.DeepLabV3Backbone(
        encoder, "P3", (2, 2), [2, 4], low_level_feature_key="P2", projection_filters=8, image_shape=(32, 32, 3)
    )


def retina() -> Any:
    encoder = hub.ResNetBackbone(
        block_type="bottleneck_block",
        **{**RESNET, "stackwise_num_filters": [64, 8, 8, 8], "stackwise_num_blocks": [1] * 4,
           "stackwise_num_strides": [1, 2, 2, 2], "image_shape": (64, 64, 3)},
    )  # fmt: skip
    return hub.RetinaNetBackbone(encoder, min_level=3, max_level=7, use_p5=False, image_shape=(64, 64, 3))


CASES: dict[str, Callable[[], Any]] = {
    "albert": lambda: hub.AlbertBackbone(**TEXT, embedding_dim=8),
    "bart": lambda: hub.BartBackbone(**TEXT),
    "bert": lambda: hub.BertBackbone(**TEXT),
    "bloom": lambda: hub.BloomBackbone(**TEXT),
    "clip": clip,
    "deberta_v3": lambda: hub.DebertaV3Backbone(**TEXT, max_sequence_length=16, bucket_size=4),
    "deeplab_v3": deeplab,
    "deit": lambda: hub.DeiTBackbone((32, 32, 3), 8, 2, 2, 16, 32),
    "densenet": lambda: hub.DenseNetBackbone([1, 2], image_shape=(None, None, 3), growth_rate=8),
    "dino_v2": lambda: hub.DINOV2Backbone(
        8, 2, 16, 2, 32, image_shape=(32, 32, 3), position_embedding_shape=(48, 48, 3), num_register_tokens=2
    ),
    "dino_v3": lambda: hub.DINOV3Backbone(8, 2, 16, 2, 32, image_shape=(32, 32, 3)),
    "distil_bert": lambda: hub.DistilBertBackbone(**TEXT),
    "electra": lambda: hub.ElectraBackbone(50, 2, 2, 16, 8, 32),
    "esm2": lambda: hub.ESM2Backbone(**TEXT),
    "f_net": lambda: hub.FNetBackbone(50, 2, 16, 32),
    "falcon": lambda: hub.FalconBackbone(50, 2, 2, 16, 32),
    "gemma": lambda: hub.GemmaBackbone(**GEMMA),
    "gemma2": lambda: hub.GemmaBackbone(
        **GEMMA, use_post_ffw_norm=True, use_post_attention_norm=True, attention_logit_soft_cap=50.0,
        final_logit_soft_cap=30.0, use_sliding_window_attention=True, sliding_window_size=4,
    ),
    "gemma3": lambda: hub.Gemma3Backbone(
        **GEMMA, image_size=16, use_sliding_window_attention=True, sliding_window_size=4
    ),
    "gpt2": lambda: hub.GPT2Backbone(**TEXT),
    "gpt_neo_x": lambda: hub.GPTNeoXBackbone(**TEXT),
    "gpt_oss": lambda: hub.GptOssBackbone(**GROUPED, num_experts=4, sliding_window=4),
    "hg_net_v2": lambda: hub.HGNetV2Backbone(
        depths=[1, 1], embedding_size=8, hidden_sizes=[16, 16], stem_channels=[3, 8, 8], hidden_act="relu",
        use_learnable_affine_block=True, stackwise_stage_filters=[(8, 8, 16, 1, 2, 3), (16, 8, 16, 1, 2, 3)],
        apply_downsample=[False, True], use_lightweight_conv_block=[False, True], image_shape=(32, 32, 3),
    ),
    "llama": lambda: hub.LlamaBackbone(**GROUPED),
    "llama3": lambda: hub.Llama3Backbone(
        **GROUPED, rope_frequency_adjustment_factor=8.0, rope_low_freq_factor=1.0, rope_high_freq_factor=4.0,
        rope_pretraining_sequence_length=32, tie_word_embeddings=True,
    ),
    "mi_t": lambda: hub.MiTBackbone(**MIT),
    "mistral": lambda: hub.MistralBackbone(**GROUPED, sliding_window=4),
    "mixtral": lambda: hub.MixtralBackbone(**GROUPED, num_experts=4),
    "opt": lambda: hub.OPTBackbone(**TEXT),
    "pali_gemma": lambda: hub.PaliGemmaBackbone(
        **GEMMA, image_size=16, vit_patch_size=8, vit_num_heads=2, vit_hidden_dim=8, vit_num_layers=1
    ),
    "phi3": lambda: hub.Phi3Backbone(**GROUPED),
    "qwen2": lambda: hub.QwenBackbone(**GROUPED, use_sliding_window_attention=True, sliding_window_size=4),
    "qwen3": lambda: hub.Qwen3Backbone(**GEMMA),
    "qwen3_moe": lambda: hub.Qwen3MoeBackbone(**GROUPED, moe_intermediate_dim=8, num_experts=4, top_k=2),
    "qwen3_5": lambda: hub.Qwen3_5Backbone(**HYBRID, intermediate_dim=32),
    "qwen_moe": lambda: hub.QwenMoeBackbone(
        **GROUPED, moe_intermediate_dim=8, shared_expert_intermediate_dim=8, num_experts=4, top_k=2
    ),
    "res_net": lambda: hub.ResNetBackbone(block_type="bottleneck_block", **RESNET),
    "res_net_vd": lambda: hub.ResNetBackbone(
        block_type="bottleneck_block_vd",
        **{**RESNET, "input_conv_filters": [8, 8, 8], "input_conv_kernel_sizes": [3, 3, 3]},
    ),
    "retina_net": retina,
    "roberta": lambda: hub.RobertaBackbone(**TEXT),
    "roformer_v2": lambda: hub.RoformerV2Backbone(**TEXT, head_size=8),
    "rwkv7": lambda: hub.RWKV7Backbone(16, 8, 2, 50, 32, gate_lora=8, mv_lora=4, aaa_lora=4, decay_lora=4),
    "seg_former": segformer,
    "sig_lip": siglip,
    "smol_lm3": lambda: hub.SmolLM3Backbone(**SMOL),
    "swin": lambda: hub.SwinTransformerBackbone((32, 32, 3), 8, (2, 2), (2, 2), 4),
    "t5": lambda: hub.T5Backbone(**TEXT),
    "t5_gemma": lambda: hub.T5GemmaBackbone(**T5_GEMMA),
    "vgg": lambda: hub.VGGBackbone([1, 2], [8, 16], image_shape=(32, 32, 3)),
    "vi_t": lambda: hub.ViTBackbone(**VIT),
    "vi_t_det": lambda: hub.ViTDetBackbone(
        16, 2, 32, 2, [1], image_shape=(64, 64, 3), patch_size=8, num_output_channels=8, window_size=3
    ),
    "whisper": lambda: hub.WhisperBackbone(
        **TEXT, num_mels=8, max_encoder_sequence_length=14, max_decoder_sequence_length=7
    ),
    "xception": lambda: hub.XceptionBackbone([[8, 16], [16, 16]], [True, False], image_shape=(32, 32, 3)),
    "xlm_roberta": lambda: hub.XLMRobertaBackbone(**TEXT),
    "xl_net": lambda: hub.XLNetBackbone(**TEXT),
}  # fmt: skip
QUICK = {"bert", "gemma2", "whisper"}
FIXED = {"qwen3_5", "rwkv7"}
"""Those that KerasHub itself cannot trace for any number of tokens."""
FREE = 7
"""What open sizes but the batch become: tokens, frames. Images have 32 rows and columns."""


def inputs_of(model: Any) -> dict[str, Any]:
    """Two rows of random tokens, masks whose second row ends early, and random images."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for tensor in tf.nest.flatten(model.input):
        open_size = 32 if "image" in tensor.name or tensor.shape[-1] == 3 else FREE
        shape = (2, *(open_size if size is None else size for size in tensor.shape[1:]))
        if "mask" in tensor.name:
            array = np.ones(shape)
            array[1, -3:] = 0
        elif "segment" in tensor.name:
            array = np.arange(shape[1])[None].repeat(2, 0) > 3
        elif "position" in tensor.name:
            array = np.arange(shape[1])[None].repeat(2, 0)
        else:
            array = rng.normal(size=shape) if tensor.dtype.startswith("float") else rng.integers(1, 50, shape)
        found[tensor.name] = array.astype(tensor.dtype)
    return found


def prepared(model: Any) -> Any:
    """Biases, scales and statistics of its own, so that none of them can be left out."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        kind = variable.path.rpartition("/")[2]
        if kind in ("bias", "beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif kind in ("gamma", "scale", "moving_variance"):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
    return model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in CASES]
)
def test_backbones(name: str, tmp_path: Path) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = prepared(CASES[name]())
    arrays = inputs_of(model)
    structure = tf.nest.map_structure(lambda tensor: arrays[tensor.name], model.input)
    signature, options = None, {}
    if name in FIXED:
        signature = [tf.nest.map_structure(_fixed, model.input)]
        options = {"example_inputs": (structure,)}
    model.export(tmp_path / "saved", verbose=False, input_signature=signature)
    network = mm.parse(model, **options)
    given = dict(zip((spec.name for spec in network.inputs), tf.nest.flatten(structure), strict=True))
    check(network, given, model(structure, training=False))
    saved, network = tf.saved_model.load(str(tmp_path / "saved")), mm.parse(tmp_path / "saved")
    given = {spec.name: _named(arrays, spec.name) for spec in network.inputs}
    function = saved.signatures["serving_default"]
    check(network, given, function(**{name: tf.constant(array) for name, array in given.items()}))


def check(network: mm.Network, given: dict[str, Any], expected: Any) -> None:
    for mine, other in zip(outputs(network, given).values(), tf.nest.flatten(expected), strict=True):
        assert_close(mine, other, 1e-5)


def _fixed(tensor: Any) -> Any:
    return keras.InputSpec(tensor.dtype, (None, FREE), name=tensor.name)


def _named(arrays: dict[str, Any], name: str) -> Any:
    """The array of an input, whose name in a SavedModel may have a number behind it."""
    return next(array for own, array in arrays.items() if name == own or name.startswith(f"{own}_"))
