"""Boxes in images: anchors with suppression inside the graph, two stages with regions cut out, a set of queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.compose
import onnx.parser

from tests.zoo.gallery.exhibit import FILE, Exhibit, Inputs, exported, write
from tests.zoo.gallery.modules import only
from tests.zoo.text import spread_weights
from tests.zoo.vision import calibrate_batch_norms, pixels

if TYPE_CHECKING:
    import torch

CLASSES, SIZE, ROWS = 3, 64, 8
OPSET = 17
SUPPRESSION = f"""
    <ir_version: 8, opset_import: ["" : {OPSET}]>
    suppression (float[batch, anchors, 4] corners, float[batch, {CLASSES}, anchors] confidences)
            => (float[found, 4] kept_boxes, float[found] kept_scores, int64[found, 3] kept) {{
        most = Constant <value_ints = [6]> ()
        overlap = Constant <value_floats = [0.5]> ()
        least = Constant <value_floats = [0.6]> ()
        selected = NonMaxSuppression (corners, confidences, most, overlap, least)
        place_columns = Constant <value_ints = [0, 2]> ()
        places = Gather <axis = 1> (selected, place_columns)
        kept_boxes = GatherND (corners, places)
        kept_scores = GatherND (confidences, selected)
        kept = Identity (selected)
    }}
"""
REGIONS = f"""
    <ir_version: 8, opset_import: ["" : {OPSET}]>
    regions (float[batch, 16, {ROWS}, {ROWS}] plane, float[found, 4] areas, int64[found, 3] sources)
            => (float[found, 16, 4, 4] patches) {{
        first = Constant <value = int64 {{0}}> ()
        images = Gather <axis = 1> (sources, first)
        patches = RoiAlign <output_height = 4, output_width = 4, spatial_scale = 0.125>
            (plane, areas, images)
    }}
"""


def exhibits() -> Iterator[Exhibit]:
    yield Exhibit("one_stage-script-17", make_one_stage, runs, ("NonMaxSuppression", "GatherND"))
    yield Exhibit("two_stages-script-17", make_two_stages, runs, ("NonMaxSuppression", "RoiAlign"))
    sizes = [(2, 64), (1, 64), (3, 64)]
    yield exported("threshold", threshold, images, sizes, {"pixel_values": ("batch",)}, "dynamo", 20, ("NonZero",))
    yield exported("threshold", threshold, images, sizes, {"pixel_values": ("batch",)}, "script", 13, ("NonZero",))
    yield exported("best_boxes", best_boxes, images, sizes, {"pixel_values": ("batch",)}, "dynamo", 18, ("TopK",))
    yield exported("detr", detr, images, [(1, 64), (2, 64)], {"pixel_values": ("batch",)}, "script", 17)
    yield exported("yolos", yolos, images, sizes, {"pixel_values": ("batch",)}, "dynamo", 20)


def images(generator: np.random.Generator, batch: int, size: int) -> Inputs:
    return pixels(generator, batch, size)


def runs() -> list[Inputs]:
    """Two sizes of a batch, and an image in which nothing is found."""
    found = [pixels(np.random.default_rng(index), batch, SIZE) for index, batch in enumerate((2, 1, 3))]
    return [*found, {"pixel_values": np.full((1, 3, SIZE, SIZE), -100, np.float32)}]


def heads() -> type[torch.nn.Module]:
    """The class of a detector with anchors on a grid: image -> boxes [batch, anchors, 4], scores, features."""
    import torch
    from torch import nn

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for inputs, outputs in ((3, 8), (8, 12), (12, 16)):
                convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
                layers += [convolution, nn.BatchNorm2d(outputs), nn.SiLU()]
            self.features = nn.Sequential(*layers)
            self.boxes, self.scores = nn.Conv2d(16, 2 * 4, 1), nn.Conv2d(16, 2 * CLASSES, 1)
            rows = torch.arange(ROWS).float()
            grid = torch.stack(torch.meshgrid(rows, rows, indexing="xy")).flatten(1).repeat(1, 2)
            self.register_buffer("grid", grid.unsqueeze(0))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            features = self.features(image)
            raw = self.boxes(features).unflatten(1, (4, 2)).flatten(2)
            centres = (raw[:, :2].sigmoid() * 2 - 0.5 + self.grid) * 8
            sizes = (raw[:, 2:].sigmoid() * 2) ** 2 * 8
            boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1).transpose(1, 2)
            # Nothing is found where nothing is bright.
            bright = torch.nn.functional.avg_pool2d(image, 8).amax(1).flatten(1).repeat(1, 2) > -10
            scores = self.scores(features).unflatten(1, (CLASSES, 2)).flatten(2).sigmoid()
            return boxes, scores * bright.unsqueeze(1), features

    return Heads


def detector() -> torch.nn.Module:
    model = calibrate_batch_norms(heads()(), SIZE)
    model.scores.weight.data.mul_(2)
    return only(model)


def export_detector(folder: Path) -> onnx.ModelProto:
    """The detector's file; its results are output_0 (boxes), output_1 (scores), output_2 (features)."""
    import torch

    torch.manual_seed(0)
    path = folder / "detector.onnx"
    write(detector(), runs()[0], {"pixel_values": ("batch",)}, path, "script", OPSET)
    model = onnx.load(path)
    path.unlink()
    model.ir_version = 8
    return model


def make_one_stage(folder: Path) -> None:
    onnx.save(with_suppression(export_detector(folder)), folder / FILE)


def with_suppression(model: onnx.ModelProto) -> onnx.ModelProto:
    links = [("output_0", "corners"), ("output_1", "confidences")]
    return onnx.compose.merge_models(model, onnx.parser.parse_model(SUPPRESSION), io_map=links)


def make_two_stages(folder: Path) -> None:
    """The boxes that are kept are cut out of the features and classified again."""
    import torch
    from torch import nn

    first = with_suppression(export_detector(folder))
    regions = onnx.parser.parse_model(REGIONS)
    links = [("output_2", "plane"), ("kept_boxes", "areas"), ("kept", "sources")]
    both = onnx.compose.merge_models(first, regions, io_map=links, outputs=["kept_boxes", "kept", "patches"])
    second = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))
    path = folder / "second.onnx"
    example = {"cut": np.zeros((5, 16, 4, 4), np.float32)}
    torch.manual_seed(1)
    write(only(second), example, {"cut": ("found",)}, path, "script", OPSET)
    head = onnx.load(path)
    path.unlink()
    head.ir_version = 8
    head = onnx.compose.add_prefix(head, "second_")
    onnx.save(onnx.compose.merge_models(both, head, io_map=[("patches", "second_cut")]), folder / FILE)


def threshold() -> torch.nn.Module:
    """Boxes whose score is high enough, however many there are: a mask as an index."""
    import torch

    model = detector()

    class Threshold(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            boxes, scores, _ = self.model(image)
            best, labels = scores.max(dim=1)
            kept = best > 0.6
            return boxes[kept], best[kept], labels[kept]

    return only(Threshold())


def best_boxes() -> torch.nn.Module:
    """The ten best boxes of each image, in the manner of CenterNet."""
    import torch

    model = detector()

    class Best(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            boxes, scores, _ = self.model(image)
            best, places = scores.flatten(1).topk(10)
            anchors = places % boxes.shape[1]
            return best, places // boxes.shape[1], boxes.gather(1, anchors.unsqueeze(-1).expand(-1, -1, 4))

    return only(Best())


def detr() -> torch.nn.Module:
    """A convolutional network, a transformer over its pixels, and queries that become boxes."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        depths=[1, 1], hidden_sizes=[16, 32], embedding_size=8, layer_type="basic", out_features=["stage2"]
    )
    config = DetrConfig(
        backbone_config=backbone, d_model=32, num_queries=6, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        num_labels=CLASSES,
    )  # fmt: skip
    return only(spread_weights(DetrForObjectDetection(config)), "logits", "pred_boxes")


def yolos() -> torch.nn.Module:
    """A vision transformer with tokens for what it may find."""
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        image_size=[SIZE, SIZE], patch_size=16, hidden_size=48, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=96, num_detection_tokens=5, num_labels=CLASSES,
    )  # fmt: skip
    return only(spread_weights(YolosForObjectDetection(config)), "logits", "pred_boxes")
