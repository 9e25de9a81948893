"""The list of models and `build`, which makes or finds the ONNX file of one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo import cache, export, language, speech, text, vision, vision_families, vision_modules

if TYPE_CHECKING:
    import torch

MakeInputs = Callable[[np.random.Generator, int], dict[str, np.ndarray]]


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file and inputs that suit it."""

    name: str
    path: Path
    inputs: dict[str, np.ndarray]


@dataclass(frozen=True)
class Entry:
    """One architecture: how to make its module and its inputs, full size and small."""

    module: Callable[[bool], torch.nn.Module]
    inputs: MakeInputs
    small_inputs: MakeInputs
    dynamic: tuple[str, ...]  # names of the leading dimensions that the dynamic variant leaves open
    exporters: tuple[str, ...] = export.EXPORTERS


def images(size: int) -> tuple[MakeInputs, MakeInputs]:
    """Square images of `size`, and of 64 for the small variant."""
    return partial(vision.pixels, size=size), partial(vision.pixels, size=64)


SOURCES = (vision.__file__, text.__file__, export.__file__)  # what models in other files build upon, too
IMAGES = images(224)
SENTENCES = (
    partial(text.encoder_tokens, length=128, vocabulary=30522),
    partial(text.encoder_tokens, length=32, vocabulary=1000),
)
PROMPTS = (
    partial(text.decoder_tokens, length=64, vocabulary=50257),
    partial(text.decoder_tokens, length=16, vocabulary=1000),
)
CATALOG = {
    "resnet50": Entry(vision.resnet50, *IMAGES, ("batch",)),
    "mobilenet_v2": Entry(vision.mobilenet_v2, *IMAGES, ("batch",)),
    "vit_b16": Entry(vision.vit_b16, *IMAGES, ("batch",)),
    "bert_base": Entry(text.bert_base, *SENTENCES, ("batch", "sequence")),
    "minilm_l6": Entry(text.minilm_l6, *SENTENCES, ("batch", "sequence")),
    # The older exporter has no aten::diff.
    "gpt2": Entry(text.gpt2, *PROMPTS, ("batch", "sequence"), exporters=("dynamo",)),
    "efficientnet_b0": Entry(vision_families.efficientnet_b0, *IMAGES, ("batch",), exporters=("dynamo",)),
    "regnet_y": Entry(vision_families.regnet_y, *IMAGES, ("batch",), exporters=("dynamo",)),
    "convnext_tiny": Entry(vision_families.convnext_tiny, *IMAGES, ("batch",), exporters=("dynamo",)),
    "swin_tiny": Entry(vision_families.swin_tiny, *IMAGES, ("batch",), exporters=("dynamo",)),
    "segformer_b0": Entry(vision_families.segformer_b0, *IMAGES, ("batch",), exporters=("dynamo",)),
    "mobilevit_small": Entry(vision_families.mobilevit_small, *images(256), ("batch",), exporters=("dynamo",)),
    "vgg16": Entry(vision_modules.vgg16, *IMAGES, ("batch",), exporters=("dynamo",)),
    "densenet121": Entry(vision_modules.densenet121, *IMAGES, ("batch",)),
    "shufflenet_v2": Entry(vision_modules.shufflenet_v2, *IMAGES, ("batch",), exporters=("dynamo",)),
    "unet": Entry(vision_modules.unet, *IMAGES, ("batch",)),
    "yolo": Entry(vision_modules.yolo, *images(320), ("batch",), exporters=("dynamo",)),
    "deberta_v3_xsmall": Entry(
        language.deberta_v3_xsmall,
        partial(language.sentence, length=128, vocabulary=128100),
        partial(language.sentence, length=32, vocabulary=1000),
        ("batch", "sequence"),
        exporters=("dynamo",),
    ),
    "t5_small": Entry(
        language.t5_small,
        partial(language.translation, length=128, output=32, vocabulary=32128),
        partial(language.translation, length=32, output=8, vocabulary=1000),
        ("batch",),
        exporters=("dynamo",),
    ),
    "smollm_135m": Entry(
        language.smollm_135m,
        partial(text.decoder_tokens, length=128, vocabulary=49152),
        partial(text.decoder_tokens, length=16, vocabulary=1000),
        ("batch", "sequence"),
        exporters=("dynamo",),
    ),
    "smollm_135m_step": Entry(
        language.smollm_135m_step,
        partial(language.step, vocabulary=49152, cache=(30, 3, 256, 64)),
        partial(language.step, vocabulary=1000, cache=(2, 2, 16, 8)),
        ("batch",),
        exporters=("dynamo",),
    ),
    "clip_text": Entry(
        language.clip_text,
        partial(text.decoder_tokens, length=77, vocabulary=49408),
        partial(text.decoder_tokens, length=16, vocabulary=1000),
        ("batch", "sequence"),
        exporters=("dynamo",),
    ),
    "whisper_base_encoder": Entry(
        speech.whisper_base_encoder,
        partial(speech.spectrogram, frames=3000, bands=80, channels_first=True),
        partial(speech.spectrogram, frames=64, bands=80, channels_first=True),
        ("batch",),
        exporters=("dynamo",),
    ),
    "wav2vec2_base": Entry(
        speech.wav2vec2_base,
        partial(speech.waveform, samples=32000),
        partial(speech.waveform, samples=4000),
        ("batch",),
        exporters=("dynamo",),
    ),
    "lstm_tagger": Entry(
        speech.lstm_tagger,
        partial(speech.spectrogram, frames=100, bands=80, channels_first=False),
        partial(speech.spectrogram, frames=12, bands=80, channels_first=False),
        ("batch",),
        exporters=("dynamo",),
    ),
}


def names() -> tuple[str, ...]:
    """Every architecture of the zoo."""
    return tuple(CATALOG)


def module(name: str, small: bool = False, attention: str = "sdpa") -> torch.nn.Module:
    """The torch module of an architecture, in evaluation mode; the same weights at every call.

    attention: "sdpa" (PyTorch's fused operator) or "eager" (matmul, softmax, matmul spelt out).
    """
    import torch

    torch.manual_seed(0)
    model = CATALOG[name].module(small)
    if any(type(part).__name__.endswith("Attention") for part in model.modules()):
        model.set_attn_implementation(attention)
    return model


def inputs(name: str, batch: int = 1, small: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of an architecture by name; the same arrays for the same seed."""
    entry = CATALOG[name]
    make = entry.small_inputs if small else entry.inputs
    return make(np.random.default_rng(seed), batch)


def build(
    name: str,
    batch: int = 1,
    small: bool = False,
    dynamic: bool = False,
    exporter: str = "dynamo",
    opset: int | None = None,
    attention: str = "sdpa",
    optimize: bool = True,
) -> ModelFile:
    """The ONNX file of an architecture (made once, then cached) and inputs for it.

    small: two narrow layers instead of the full size, for quick tests.
    dynamic: leave the batch (and, for language models, the sequence length) open.
    exporter: "dynamo" (opset 20 unless given) or "script", the older TorchScript one (opset 17 unless given;
        before 17 layer norm is exported in its expanded form, before 20 GELU too).
    attention: see `module`.
    optimize: False keeps what exporters fold by themselves, batch normalisation above all.
    """
    if name not in CATALOG:
        raise ValueError(f"no model {name!r} in the zoo; there are {', '.join(CATALOG)}")
    entry = CATALOG[name]
    if exporter not in entry.exporters:
        raise ValueError(f"{name} exports with {' or '.join(entry.exporters)}, not with {exporter!r}")
    opset = opset or (20 if exporter == "dynamo" else 17)
    sources = dict.fromkeys((*SOURCES, inspect.getfile(entry.module)))
    digest = cache.fingerprint(sources, entry.dynamic if dynamic else (), opset, optimize)
    parts = [
        name,
        "small" if small else "full",
        "dynamic" if dynamic else f"b{batch}",
        exporter,
        str(opset),
        attention,
        digest,
    ]

    def make(target: Path) -> None:
        # An example batch of 1 would make the exporter treat the dimension as the constant 1.
        example = inputs(name, max(batch, 2) if dynamic else batch, small)
        open_axes = dict(enumerate(entry.dynamic))
        axes = dict.fromkeys(example, open_axes) if dynamic else {}
        source = module(name, small, attention)
        export.to_onnx(source, example, axes, target / "model.onnx", exporter, opset, optimize)

    path = cache.obtain("-".join(parts), make) / "model.onnx"
    return ModelFile(name, path, inputs(name, batch, small))
