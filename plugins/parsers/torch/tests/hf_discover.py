"""Architectures that no list names: a small configuration and inputs for any model type of Hugging Face.

Fields of the configuration's class are made small by what they are called, nested configurations too. Where such a
model cannot be made or run by PyTorch, fewer fields are changed. Inputs are those of the first kind that forward takes.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree
from hf_catalog import CATALOG, Entry, Inputs

_MOST_PARAMETERS = 30_000_000
_COUNTS = {
    r"(num|n)(_\w+)?_layers?|\w*(encoder|decoder)_layers|depth|num_\w+_blocks|n_layers?": 2,
    r"\w*vocab_size\w*": 99,
    r"(num|n)_(local_|routed_|shared_)?experts|moe_num_experts|num_experts": 4,
    r"num_experts_per_tok(en)?|moe_k|top_k": 2,
    r"n_groups?|topk_groups?": 1,
    r"num_queries|num_object_queries|num_query_tokens|num_latents|num_detection_tokens": 8,
    r"(n_|max_)\w*positions?\w*|max_\w*length|context_length": 64,
    r"image_size|img_size|input_size": 32,
}
_WIDTHS = {
    r"hidden_size|d_model|n_embd|embed_dim|dim|width|embedding_size|\w*hidden_dim|\w*projection_dim|d_latents": 32,
    r"\w*intermediate_size\w*|\w*ffn_dim|d_ff|n_inner|mlp_dim|feedforward_dim|moe_\w*size": 48,
    r"num_attention_heads|n_heads?|num_heads|\w*(encoder|decoder)_attention_heads|\w*num_self_attention_heads": 4,
    r"num_key_value_heads|num_kv_heads|n_kv_heads?": 2,
    r"head_dim|d_kv|qk_nope_head_dim|qk_rope_head_dim|v_head_dim|attention_head_dim": 8,
    r"(q|kv)_lora_rank": 16,
    r"patch_size": 8,
    r"word_embed_proj_dim": 32,
}
_BACKBONE = {
    "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1],
    "out_features": ["stage2", "stage3", "stage4"],
}  # fmt: skip
_TOKENS = {r"\w*pad_token_id": 0, r"\w*(bos|cls|start)_token_id": 1, r"\w*(eos|sep|end)_token_id": 2}
_UNGROUPED = {**_COUNTS, **_WIDTHS, r"num_key_value_heads|num_kv_heads|n_kv_heads?": 4}
_STEPS: tuple[Mapping[str, int], ...] = ({**_COUNTS, **_WIDTHS}, _UNGROUPED, _COUNTS, dict(list(_COUNTS.items())[:2]))

FOUND = tuple(Path(__file__).with_name("hf_found.txt").read_text().split())
"""Model types that were drawn and equal eager: discover(name) makes them again."""
REFUSED_BY_EXPORT = {
    "encodec": "its forward asks whether all of a mask is set",
    "longformer": "its forward asks whether any token has global attention",
    "fsmt": "its forward asks whether any token is padding",
    "mimi_encoder": "its padding follows from lengths in a tensor",
    "pocket_tts_audio_tokenizer_encoder": "its padding follows from lengths in a tensor",
    "switch_transformers": "PyTorch cannot put stand-ins in place of its weights",
    "udop": "its forward reads elements of a tensor that has none while it is traced",
    "t5gemma2": "it gives a cache of a class that transformers does not register",
}
"""Model types that torch.export itself cannot capture."""
FIXED_BY_EXPORT = ("layoutlmv3", "pixtral", "reformer", "rt_detr_v2")
"""Model types that torch.export captures for one batch alone; with that they equal eager."""
OTHERWISE = {
    "aimv2": "its eager forward leaves the causal mask out, the exported program has it",
    "hgnet_v2": "normalized images of 2x2 pixels: eager in float32 is off by more than the limit itself",
    "vit_mae": "it draws random numbers",
    "vits": "it draws random numbers",
}
"""Model types whose results cannot be compared."""


class Unmakeable(Exception):
    """No small model of the type that PyTorch itself runs."""


def unlisted(seed: int) -> list[str]:
    """All model types that neither the catalog nor the lists here name, in an order drawn by `seed`."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    listed = {getattr(transformers, entry.model).config_class.model_type for entry in CATALOG}
    listed |= {*FOUND, *REFUSED_BY_EXPORT, *FIXED_BY_EXPORT, *OTHERWISE}
    types = [name for name in MODEL_MAPPING_NAMES if name not in listed]
    random.Random(seed).shuffle(types)
    return types


def discover(model_type: str) -> Entry:
    """An entry for a model type. Unmakeable, with the last reason, where PyTorch runs no small model of it."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    model = MODEL_MAPPING_NAMES[model_type]
    model = model if isinstance(model, str) else model[0]
    reasons: list[str] = []
    for step in _STEPS:
        config = _small(CONFIG_MAPPING[model_type], step)
        try:
            return _accepted(Entry(model_type, model, config, lambda batch: {}))
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {str(error).strip()[:600]}")
    raise Unmakeable(f"{model_type}: {' | '.join(reasons)}")


def _small(config: Any, step: Mapping[str, int]) -> dict[str, Any]:
    """Values for the fields of a configuration's class that `step` makes small, by patterns of their names."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        default = field.default
        if field.name == "prediction_length":
            found[field.name] = 8
        elif field.name == "backbone_config":
            found |= {"backbone_config": _BACKBONE, "use_timm_backbone": False, "backbone": None}
        elif isinstance(default, int) and not isinstance(default, bool):
            value = _match(step, field.name)
            if value is None and default >= 99:
                value = _match(_TOKENS, field.name)
            if value is not None and default > value:
                found[field.name] = value
        elif isinstance(default, (list, tuple)) and field.name in ("depths", "image_size"):
            found[field.name] = type(default)([_match(step, field.name) or default[0]] * len(default))
    return found | {name: _part(spec, step) for name, spec in config.sub_configs_defaults.items() if name not in found}


def _match(patterns: Mapping[str, int], name: str) -> int | None:
    return next((value for pattern, value in patterns.items() if re.fullmatch(pattern, name)), None)


def _part(spec: Any, step: Mapping[str, int]) -> dict[str, Any]:
    """A small configuration for a part of a composite one."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if spec.model_type is None:
        return _small(spec.config_class, step)
    return {"model_type": spec.model_type, **_small(CONFIG_MAPPING[spec.model_type], step)}


def _accepted(entry: Entry) -> Entry:
    """The entry with the first inputs that the model runs on, with a result of floats."""
    import transformers

    warnings.simplefilter("ignore")
    cls: Any = getattr(transformers, entry.model)
    with torch.device("meta"):
        outline = cls(cls.config_class(**entry.config))
    count = sum(parameter.numel() for parameter in outline.parameters())
    if count > _MOST_PARAMETERS:
        raise Unmakeable(f"{count / 1e6:.0f} million parameters")
    reasons: list[str] = []
    for inputs in _candidates(outline):
        filled = dataclasses.replace(entry, inputs=inputs)
        try:
            with torch.no_grad():
                results = pytree.tree_leaves(filled.build()(**inputs(2)))
        except Exception as error:
            reasons.append(f"{', '.join(inputs(1))}: {type(error).__name__}: {str(error).strip()[:200]}")
            continue
        if any(isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in results):
            return filled
    raise Unmakeable(" / ".join(reasons) or "no inputs are known for it")


def _candidates(module: Any) -> Iterator[Inputs]:
    """Inputs by the arguments of forward and the sizes in the configuration, the plainest first."""
    names = list(inspect.signature(module.forward).parameters)
    config = module.config

    def field(*wanted: str, default: Any) -> Any:
        for part in (config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", ()))):
            for name in wanted:
                if isinstance(found := getattr(part, name, None), (int, list, tuple)) and found:
                    return found
        return default

    def draw(*shape: int) -> Inputs:
        def tensor(batch: int) -> Any:
            return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))

        return tensor  # type: ignore[return-value]

    def ids(length: int) -> Any:
        most = min(int(field("vocab_size", default=99)), 99)
        return lambda batch: torch.randint(3, most, (batch, length), generator=torch.Generator().manual_seed(1))

    size = field("image_size", "img_size", "input_size", default=64)
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    channels = int(field("num_channels", "in_channels", "in_chans", default=3))
    mels = int(field("num_mel_bins", "feature_size", "n_mels", "input_feat_per_channel", default=80))
    text: dict[str, Any] = {"input_ids": ids(12)}
    if "attention_mask" in names:
        text["attention_mask"] = lambda batch: torch.ones(batch, 12, dtype=torch.int64)
    if "decoder_input_ids" in names:
        text["decoder_input_ids"] = ids(7)
    image = {"pixel_values": draw(channels, height, width)}
    frames = int(field("num_frames", "frames_per_clip", default=2))
    video = {name: draw(frames, channels, height, width) for name in ("pixel_values", "pixel_values_videos")}
    tables: list[dict[str, Any]] = []
    if "bbox" in names:
        boxes = {"bbox": lambda batch: torch.tensor([1, 2, 30, 40]).expand(batch, 12, 4).contiguous()}
        tables += [{**text, **boxes}, {**text, **boxes, **image}]
    if "pixel_values" in names and "input_ids" in names:
        tables += [{**text, **image}]
    tables += [text, {"input_ids": ids(12)}, image]
    tables += [{name: video[name]} for name in video]
    for sound in ({"input_values": draw(3200)}, {"input_values": draw(1, 3200)}):
        tables += [{**sound, "decoder_input_ids": ids(5)}, sound]
    for shape in ((mels, 3000), (mels, 60), (60, mels), (60, 2 * mels)):
        features = {"input_features": draw(*shape)}
        tables += [{**features, "decoder_input_ids": ids(5)}, features]
    series = int(field("context_length", "seq_length", default=32)), int(field("num_input_channels", default=1))
    tables += [{"past_values": draw(*series)}, {"past_values": draw(series[0])}]
    for table in tables:
        if set(table) <= set(names):
            yield lambda batch, table=table: {name: make(batch) for name, make in table.items()}
