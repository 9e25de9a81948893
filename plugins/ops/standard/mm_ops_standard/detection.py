"""What detectors do with their boxes: choose among them, and pool what is inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.eager import Eager, counted, element_type, sizes
from mm_ops_standard.precision import in_float32, wide

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


class MaxRoiPool(OpDef):
    """The maxima over the cells of regions of x [N, C, H, W] (arXiv 1504.08083; ONNX MaxRoiPool).

    `rois` is [R, 5]: the image's number and the first and last column and row (x1, y1, x2, y2), which are multiplied by
    `spatial_scale` and rounded. Neighbouring cells share the elements on their border; an empty cell gives zero.
    """

    name = "mm.max_roi_pool"
    operands = (Operand("x"), Operand("rois"))
    dtypes = {"T": FLOATS}
    attributes = (Attribute("pooled_shape", (int,)), Attribute("spatial_scale", float, 1.0))

    def infer(self, types: Any, values: KnownValues, *, pooled_shape: tuple[int, ...], spatial_scale: float) -> Any:
        x, rois = types[0].shape, types[1].shape
        require_rank(self.name, "x", x, 4)
        require_rank(self.name, "rois", rois, 2)
        same(rois[1], 5, f"{self.name}: numbers that a region has, and 5")
        fits = len(pooled_shape) == 2 and min(pooled_shape) >= 1
        require(fits, f"{self.name}: pooled_shape {list(pooled_shape)} must be two positive sizes")
        return (rois[0], x[1], *pooled_shape)

    def reference(self, x: Array, rois: Array, **attributes: Any) -> Array:
        return self._pool(Eager(), wide(x), wide(rois), **attributes).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, rois: Any, **attributes: Any) -> Any:
        return in_float32(graph, lambda x, rois: self._pool(graph, x, rois, **attributes), x, rois)

    def _pool(self, g: Any, x: Any, rois: Any, *, pooled_shape: tuple[int, ...], spatial_scale: float) -> Any:
        """One axis after the other: what lies outside a cell becomes minus infinity before the maximum is taken."""
        image = g.cast(g.slice(rois, [0], [1], [1]), to="int64")
        values = g.gather(x, g.squeeze(image, axes=(1,)), axis=0)
        for axis, cells in enumerate(pooled_shape):
            # Halves are rounded up, as C's round does for what lies inside the image.
            first, last = (
                g.floor(g.add(g.mul(g.slice(rois, [column], [column + 1], [1]), spatial_scale), 0.5))
                for column in (2 - axis, 4 - axis)
            )
            share = g.div(g.maximum(g.add(g.sub(last, first), 1.0), 1.0), float(cells))
            begins, ends = (np.arange(offset, cells + offset, dtype=element_type(g, x)) for offset in (0, 1))
            begin = g.add(g.floor(g.mul(share, begins)), first)
            end = g.add(g.ceil(g.mul(share, ends)), first)
            elements = g.cast(counted(g, sizes(g, x)[2 + axis]), to=element_type(g, x))
            begin, end = (g.unsqueeze(border, axes=(2,)) for border in (begin, end))
            inside = g.logical_and(g.less_or_equal(begin, elements), g.less(elements, end))
            # values are [R, C, H, W], then [R, C, cells, W]
            inside = g.unsqueeze(inside, axes=(1, 4) if axis == 0 else (1, 2))
            spread = g.unsqueeze(values, axes=(2,) if axis == 0 else (3,))
            values = g.reduce_max(g.select(inside, spread, -np.inf), axes=(3 + axis,), keepdims=False)
        return g.select(g.is_inf(values, detect_positive=False), 0.0, values)


OPS: tuple[type[OpDef], ...] = (NonMaxSuppression, MaxRoiPool)
