"""What detectors do with their boxes: choose among them, and pool what is inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array, TensorType
from mm_core.types.dtypes import bool_
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.eager import Eager, counted, element_type, sizes
from mm_ops_standard.places import places
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import shape_operand, sizes_of

_INT32, _INT64 = BY_NAME["int32"], BY_NAME["int64"]


class _Suppression(OpDef):
    """What the choice of boxes takes, and what it checks.

    `boxes` [N, B, 4] are two corners (y1, x1, y2, x2), or centre and size (x, y, w, h) with `center_point_box`;
    `scores` is [N, C, B]. The other operands have one element each.
    """

    dtypes = {"T": FLOATS, "I": frozenset({_INT64})}
    attributes = (Attribute("center_point_box", bool, False),)

    def check(self, boxes: Any, scores: Any, limits: Any) -> None:
        require_rank(self.name, "boxes", boxes.shape, 3)
        require_rank(self.name, "scores", scores.shape, 3)
        same(boxes.shape[0], scores.shape[0], f"{self.name}: images of boxes and of scores")
        same(boxes.shape[1], scores.shape[2], f"{self.name}: boxes and scores")
        same(boxes.shape[2], 4, f"{self.name}: numbers that a box has, and 4")
        for limit in limits:
            if limit is not None:
                same(limit.element_count(), 1, f"{self.name}: numbers in a limit, and 1")


class NonMaxSuppression(_Suppression):
    """The boxes that remain when, by falling score, each takes away those that overlap it (ONNX NonMaxSuppression).

    The result has a row (image, class, box) for each. What remains is said at `mm.greedy_nms`; the defaults of
    `max_boxes` and `iou_threshold` are 0.
    """

    name = "mm.non_max_suppression"
    operands = (
        Operand("boxes"),
        Operand("scores"),
        Operand("max_boxes", "I", Arity.OPTIONAL),
        Operand("iou_threshold", "T", Arity.OPTIONAL),
        Operand("score_threshold", "T", Arity.OPTIONAL),
    )
    results = (Result("y", _INT64),)

    def infer(self, types: Any, values: KnownValues, *, center_point_box: bool) -> Any:
        self.check(types[0], types[1], types[2:])
        return (None, 3)

    def reference(
        self, boxes: Array, scores: Array, most: Any = None, limit: Any = None, least: Any = None, **attributes: Any
    ) -> Array:
        kept = GreedyNms().reference(
            boxes,
            scores,
            np.zeros(1, np.int64) if most is None else most,
            np.zeros(1, boxes.dtype) if limit is None else limit,
            least,
            **attributes,
        )
        places = np.argwhere(kept >= 0)
        return np.concatenate([places[:, :2], kept[kept >= 0][:, None]], axis=1)

    def decompose(
        self, graph: Any, boxes: Any, scores: Any, most: Any, limit: Any, least: Any, **attributes: Any
    ) -> Any:
        most = graph.constant(0) if most is None else most
        limit = graph.constant(0, boxes.type.dtype) if limit is None else limit
        kept = graph.greedy_nms(boxes, scores, most, limit, least, **attributes)
        places = graph.transpose(graph.nonzero(graph.less_or_equal(0, kept)), permutation=(1, 0))
        numbers = graph.unsqueeze(graph.gather_nd(kept, places), axes=(1,))
        return graph.concat(graph.slice(places, [0], [2], [1]), numbers, axis=1)


class GreedyNms(_Suppression):
    """For each image and class the numbers of the boxes that remain, by falling score, then -1: [N, C, B].

    Boxes take part whose score is above `score_threshold` (without one: every number); of equal scores the lower
    number goes first. Each box that remains takes away those whose overlap with it, intersection over union, is above
    `iou_threshold`, and at most `max_boxes` remain.
    """

    name = "mm.greedy_nms"
    operands = (
        Operand("boxes"),
        Operand("scores"),
        Operand("max_boxes", "I"),
        Operand("iou_threshold", "T"),
        Operand("score_threshold", "T", Arity.OPTIONAL),
    )
    results = (Result("kept", _INT64),)

    def infer(self, types: Any, values: KnownValues, *, center_point_box: bool) -> Any:
        self.check(types[0], types[1], types[2:])
        return types[1].shape

    def reference(
        self, boxes: Array, scores: Array, most: Array, limit: Array, least: Array | None, *, center_point_box: bool
    ) -> Array:
        scores, limit = wide(scores), wide(limit).item()
        corners = [part[:, :, 0] for part in _corners(Eager(), wide(boxes), center_point_box)]
        going = ~np.isnan(scores) if least is None else scores > wide(least).item()
        kept = np.full(scores.shape, -1, np.int64)
        for image, number in np.ndindex(scores.shape[:2]):
            order = np.argsort(-scores[image, number], kind="stable")
            candidates = order[going[image, number, order]]
            sides = [part[image] for part in corners]
            for place in range(min(most.item(), scores.shape[2])):
                if not candidates.size:
                    break
                best, candidates = candidates[0], candidates[1:]
                kept[image, number, place] = best
                overlaps = _overlap(Eager(), [side[best] for side in sides], [side[candidates] for side in sides])
                candidates = candidates[overlaps <= limit]
        return kept

    def decompose(
        self, graph: Any, boxes: Any, scores: Any, most: Any, limit: Any, least: Any, *, center_point_box: bool
    ) -> Any:
        """A loop in which every image and class keeps its best box that is left, until none is or `most` are kept.

        Boxes are sorted before: the best one is the first that is left.
        """
        if boxes.type.dtype.bits < 32:
            widened = (None if value is None else graph.cast(value, to="float32") for value in (limit, least))
            boxes, scores = (graph.cast(value, to="float32") for value in (boxes, scores))
            return graph.greedy_nms(boxes, scores, most, *widened, center_point_box=center_point_box)
        shape, count = graph.shape(scores), sizes_of(graph, scores)[2]
        kept = graph.expand(graph.constant(-1), shape)
        if count == 0:
            return kept
        _, order = graph.topk(scores, shape_operand(graph, [count]), axis=2)
        left = (
            graph.logical_not(graph.is_nan(scores)) if least is None else graph.less(graph.reshape(least, []), scores)
        )
        left = graph.gather_elements(left, order, axis=2)
        rows = (graph.transpose(side, permutation=(0, 2, 1)) for side in _corners(graph, boxes, center_point_box))
        sides = [graph.gather_elements(graph.expand(row, shape), order, axis=2) for row in rows]
        most = graph.minimum(graph.reshape(most, []), graph.reshape(count, []))
        values = [left, kept, places(graph, count), graph.reshape(limit, []), order, *sides]
        body = Graph(within=graph.graph)
        iteration, _, *inner = (
            body.add_argument(type_)
            for type_ in (TensorType(_INT64, ()), TensorType(bool_, ()), *(value.type for value in values))
        )
        body.set_outputs(_keep_best(body, iteration, *inner))
        return graph.loop(most, None, *values, carried=2, regions=(body,))[1]


def _keep_best(g: Any, iteration: Any, left: Any, kept: Any, numbers: Any, limit: Any, order: Any, *sides: Any) -> Any:
    """One iteration: whether another is needed, which boxes are left after it, and which were kept."""
    best = g.argmax(g.cast(left, to=_INT32), axis=2)

    def of_best(value: Any) -> Any:
        return g.gather_elements(value, best, axis=2)

    kept = g.select(g.equal(numbers, iteration), g.select(of_best(left), of_best(order), -1), kept)
    apart = g.less_or_equal(_overlap(g, [of_best(side) for side in sides], sides), limit)
    left = g.logical_and(left, g.logical_and(apart, g.logical_not(g.equal(numbers, best))))
    some = g.less(0, g.reduce_sum(g.cast(left, to=_INT64), keepdims=False))
    return some, left, kept


def _corners(g: Any, boxes: Any, center_point_box: bool) -> list[Any]:
    """Boxes [N, B, 4] as low y, low x, high y, high x (or all x first), [N, B, 1] each."""
    a, b, c, d = (g.slice(boxes, [place], [place + 1], [2]) for place in range(4))
    if center_point_box:
        width, height = g.mul(c, 0.5), g.mul(d, 0.5)
        a, b, c, d = g.sub(a, width), g.sub(b, height), g.add(a, width), g.add(b, height)
    return [g.minimum(a, c), g.minimum(b, d), g.maximum(a, c), g.maximum(b, d)]


def _overlap(g: Any, box: Any, others: Any) -> Any:
    """Intersection over union of boxes in corners; 0 where the union is empty."""

    def area(y1: Any, x1: Any, y2: Any, x2: Any) -> Any:
        return g.mul(g.maximum(g.sub(y2, y1), 0.0), g.maximum(g.sub(x2, x1), 0.0))

    low = [g.maximum(mine, other) for mine, other in zip(box[:2], others[:2])]
    high = [g.minimum(mine, other) for mine, other in zip(box[2:], others[2:])]
    common = area(*low, *high)
    union = g.sub(g.add(area(*box), area(*others)), common)
    return g.select(g.less(0.0, union), g.div(common, union), 0.0)


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

    def reference(self, x: Array, rois: Array, **attributes: Any) -> Any:
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


OPS: tuple[type[OpDef], ...] = (NonMaxSuppression, GreedyNms, MaxRoiPool)
