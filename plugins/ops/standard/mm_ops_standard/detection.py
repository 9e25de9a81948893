"""What detectors do with their boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array
from mm_ops_standard.checks import require_rank, same

_INT64 = BY_NAME["int64"]


class NonMaxSuppression(OpDef):
    """The boxes that remain when, by falling score, each takes away those that overlap it (ONNX NonMaxSuppression).

    `boxes` [N, B, 4] are two corners (y1, x1, y2, x2), or centre and size (x, y, w, h) with `center_point_box`;
    `scores` is [N, C, B]. Boxes at or below `score_threshold` do not take part; overlap is intersection over union
    above `iou_threshold` (default 0); of each class and image at most `max_boxes` (default 0) remain. The result has
    a row (image, class, box) for each.
    """

    name = "mm.non_max_suppression"
    tier = Tier.HOST
    operands = (
        Operand("boxes"),
        Operand("scores"),
        Operand("max_boxes", "I", Arity.OPTIONAL),
        Operand("iou_threshold", "T", Arity.OPTIONAL),
        Operand("score_threshold", "T", Arity.OPTIONAL),
    )
    results = (Result("y", _INT64),)
    dtypes = {"T": FLOATS, "I": frozenset({_INT64})}
    attributes = (Attribute("center_point_box", bool, False),)

    def infer(self, types: Any, values: KnownValues, *, center_point_box: bool) -> Any:
        boxes, scores = types[0].shape, types[1].shape
        require_rank(self.name, "boxes", boxes, 3)
        require_rank(self.name, "scores", scores, 3)
        same(boxes[0], scores[0], f"{self.name}: images of boxes and of scores")
        same(boxes[1], scores[2], f"{self.name}: boxes and scores")
        same(boxes[2], 4, f"{self.name}: numbers that a box has, and 4")
        return (None, 3)

    def reference(
        self,
        boxes: Array,
        scores: Array,
        max_boxes: Array | None = None,
        iou_threshold: Array | None = None,
        score_threshold: Array | None = None,
        *,
        center_point_box: bool,
    ) -> Array:
        most = 0 if max_boxes is None else int(max_boxes.reshape(-1)[0])
        limit = 0.0 if iou_threshold is None else float(iou_threshold.reshape(-1)[0])
        least = None if score_threshold is None else float(score_threshold.reshape(-1)[0])
        rows = []
        for image, (corners, classes) in enumerate(zip(_corners(boxes, center_point_box), scores)):
            for number, ranking in enumerate(classes):
                candidates = np.argsort(-ranking.astype(np.float64), kind="stable")
                if least is not None:
                    candidates = candidates[ranking[candidates] > least]
                rows += [(image, number, box) for box in _remaining(corners, candidates, limit, most)]
        return np.array(rows, np.int64).reshape(-1, 3)


def _corners(boxes: Array, center_point_box: bool) -> Array:
    """Boxes as (low, low, high, high) in double precision."""
    wide = boxes.astype(np.float64)
    first, second = wide[..., :2], wide[..., 2:]
    if center_point_box:
        first, second = first - second / 2, first + second / 2
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=-1)


def _remaining(corners: Array, candidates: Array, limit: float, most: int) -> list[int]:
    kept: list[int] = []
    while candidates.size and len(kept) < most:
        best, candidates = candidates[0], candidates[1:]
        kept.append(int(best))
        candidates = candidates[_overlap(corners[best], corners[candidates]) <= limit]
    return kept


def _overlap(box: Array, others: Array) -> Array:
    """Intersection over union of one box with each of the others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = np.prod(np.maximum(sides, 0), axis=-1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=-1) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


OPS: tuple[type[OpDef], ...] = (NonMaxSuppression,)
