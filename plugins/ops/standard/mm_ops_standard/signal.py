"""Fourier transforms and what speech models build on them. Complex numbers are pairs along the last axis."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from mm_core.ops import FLOATS, INDEX, Arity, Attribute, OpDef, Operand, Result
from mm_core.types import Dim, DType, floordiv
from mm_core.types.dtypes import float64
from mm_ops_standard.checks import require
from mm_ops_standard.eager import Eager, counted, number
from mm_ops_standard.places import places
from mm_ops_standard.shapes import (
    Size,
    axis_of,
    minus,
    over,
    plus,
    read_sizes,
    scalar,
    shape_operand,
    sizes_of,
    times,
)


def _scalar_value(values: Any, index: int) -> Dim | None:
    """The known value of a scalar operand."""
    known = values[index]
    return None if known is None else known.flat[0]


class Dft(OpDef):
    """The discrete Fourier transform of x [..., n, ..., 1 or 2] along `axis`, to [..., k, ..., 2].

    x is cut or filled with zeros to `length`. `onesided` gives the first length // 2 + 1 values of a real x's
    transform; `inverse` is divided by the length. The inverse of these values is real: [..., k, ..., 1], where
    `length` is that of the result, by default the even one.
    """

    name = "mm.dft"
    operands = (Operand("x"), Operand("length", INDEX, Arity.OPTIONAL))
    dtypes = {"T": FLOATS}
    attributes = (
        Attribute("axis", int, -2),
        Attribute("inverse", bool, False),
        Attribute("onesided", bool, False),
    )

    def infer(self, types: Any, values: Any, *, axis: int, inverse: bool, onesided: bool) -> Any:
        shape = list(types[0].shape)
        axis = self._axis(axis, len(shape))
        require(shape[-1] in (1, 2) or not isinstance(shape[-1], int), f"{self.name}: the last size must be 1 or 2")
        require(inverse or not onesided or shape[-1] != 2, f"{self.name}: onesided is for real signals")
        length = self._length(shape[axis], inverse, onesided) if types[1] is None else _scalar_value(values, 1)
        shape[-1] = 1 if inverse and onesided else 2
        shape[axis] = floordiv(length, 2) + 1 if onesided and not inverse and length is not None else length
        return tuple(shape)

    def _length(self, size: Any, inverse: bool, onesided: bool) -> Any:
        """The length of a transform that none is stated for."""
        return 2 * (size - 1) if inverse and onesided else size

    def _axis(self, axis: int, rank: int) -> int:
        axis = axis_of(self.name, axis, rank)
        require(axis != rank - 1, f"{self.name}: the last axis holds real and imaginary parts")
        return axis

    def reference(self, x: Any, length: Any = None, *, axis: int, inverse: bool, onesided: bool) -> Any:
        axis = self._axis(axis, x.ndim)
        default = self._length(x.shape[axis], inverse, onesided)
        count = default if length is None else int(np.asarray(length).item())
        parts = x if x.dtype == np.float64 else x.astype(np.float32)
        signal = parts[..., 0] + (1j * parts[..., 1] if x.shape[-1] == 2 else 0)
        if inverse and onesided:
            return np.fft.irfft(signal, count, axis)[..., None].astype(x.dtype)
        if onesided:
            result = np.fft.rfft(signal.real, count, axis)
        else:
            result = (np.fft.ifft if inverse else np.fft.fft)(signal, count, axis)
        return np.stack([result.real, result.imag], -1).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, length: Any = None, *, axis: int, inverse: bool, onesided: bool) -> Any:
        """Matrix products with the cosines and sines of a circle cut in `length` parts, in float64."""
        rank, dtype = len(x.type.shape), x.type.dtype
        axis = self._axis(axis, rank)
        order = [*(i for i in range(rank) if i not in (axis, rank - 1)), rank - 1, axis]
        x = graph.cast(graph.transpose(x, permutation=order), to=float64)
        count = sizes_of(graph, x)[-1]
        if length is not None:
            size = read_sizes(graph, length, 1)[0]
        else:
            size = times(graph, plus(graph, count, -1), 2) if inverse and onesided else count
        half = plus(graph, over(graph, size, 2), 1)
        taken, made = half if inverse and onesided else size, half if onesided and not inverse else size
        if taken is not count:
            x = _fit(graph, x, rank - 1, taken)
        cosine, sine = self._circle(graph, taken, made, size, inverse, onesided)
        x = x if x.type.shape[-2] == 2 else _fit(graph, x, rank - 2, 2)
        real, imaginary = (graph.slice(x, [part], [part + 1], [rank - 2]) for part in (0, 1))
        parts = [graph.sub(graph.matmul(real, cosine), graph.matmul(imaginary, sine))]
        if not (inverse and onesided):
            parts.append(graph.add(graph.matmul(imaginary, cosine), graph.matmul(real, sine)))
        result = graph.cast(graph.concat(*parts, axis=rank - 2), to=dtype)
        return graph.transpose(result, permutation=np.argsort(order).tolist())

    def _circle(
        self, graph: Any, taken: Size, made: Size, size: Size, inverse: bool, onesided: bool
    ) -> tuple[Any, Any]:
        """Cosines and sines [taken, made] that the elements are multiplied with, in float64."""
        # The number of the point on the circle stays exact in integers, however long the signal is.
        rows, whole = places(graph, taken, 1), scalar(graph, size)
        turns = graph.cast(graph.mod(graph.mul(rows, places(graph, made)), whole), to=float64)
        angles = graph.div(graph.mul(turns, 2 * pi if inverse else -2 * pi), graph.cast(whole, to=float64))
        waves = graph.cos(angles), graph.sin(angles)
        if not inverse:
            return waves
        share = graph.div(1.0, graph.cast(whole, to=float64))
        if onesided:
            # Values stand for their mirror image too, but for the first and, of an even length, the last.
            alone = graph.logical_or(graph.equal(rows, 0), graph.equal(graph.mul(rows, 2), whole))
            share = graph.select(alone, share, graph.mul(share, 2.0))
        return graph.mul(waves[0], share), graph.mul(waves[1], share)


def _fit(graph: Any, x: Any, axis: int, size: Size) -> Any:
    """An axis cut, or filled with zeros, to a size."""
    x = graph.slice(x, [0], shape_operand(graph, [size]), [axis])
    missing = minus(graph, size, sizes_of(graph, x)[axis])
    return graph.pad(x, shape_operand(graph, [0, missing]), axes=(axis,))


class Stft(OpDef):
    """Fourier transforms of frames of a signal [N, length, 1 or 2], to [N, frames, bins, 2].

    Frames begin every `frame_step` samples, have `frame_length` (default: the window's) and are multiplied by the
    window.
    """

    name = "mm.stft"
    operands = (
        Operand("signal"),
        Operand("frame_step", INDEX),
        Operand("window", "T", Arity.OPTIONAL),
        Operand("frame_length", INDEX, Arity.OPTIONAL),
    )
    dtypes = {"T": FLOATS}
    attributes = (Attribute("onesided", bool, True),)

    def infer(self, types: Any, values: Any, *, onesided: bool) -> Any:
        signal, window = types[0].shape, types[2]
        require(len(signal) == 3, f"{self.name} takes a signal [N, length, 1 or 2], got {types[0]}")
        require(window is not None or types[3] is not None, f"{self.name} needs a window or a frame_length")
        require(not onesided or signal[2] != 2, f"{self.name}: onesided is for real signals")
        length = window.shape[0] if types[3] is None else _scalar_value(values, 3)
        step = _scalar_value(values, 1)
        require(not isinstance(step, int) or step > 0, f"{self.name}: frame_step is {step}")
        frames = None if length is None or step is None else floordiv(signal[1] - length, step) + 1
        bins = floordiv(length, 2) + 1 if onesided and length is not None else length
        return signal[0], frames, bins, 2

    def reference(
        self, signal: Any, frame_step: Any, window: Any = None, frame_length: Any = None, *, onesided: bool
    ) -> Any:
        length = len(window) if frame_length is None else int(np.asarray(frame_length).item())
        step = int(np.asarray(frame_step).item())
        starts = np.arange((signal.shape[1] - length) // step + 1) * step
        frames = signal[:, starts[:, None] + np.arange(length)].astype(np.float64)
        frames = frames if window is None else frames * window.astype(np.float64)[:, None]
        return Dft().reference(frames, axis=-2, inverse=False, onesided=onesided).astype(signal.dtype)

    def decompose(
        self, graph: Any, signal: Any, frame_step: Any, window: Any = None, frame_length: Any = None, *, onesided: bool
    ) -> Any:
        length = sizes_of(graph, window)[0] if frame_length is None else read_sizes(graph, frame_length, 1)[0]
        step, total = read_sizes(graph, frame_step, 1)[0], sizes_of(graph, signal)[1]
        frames = plus(graph, over(graph, minus(graph, total, length), step), 1)
        starts = graph.mul(places(graph, frames, 1), scalar(graph, step))
        cut = graph.gather(signal, graph.add(starts, places(graph, length)), axis=1)
        if window is not None:
            cut = graph.mul(cut, graph.unsqueeze(window, axes=(1,)))
        return graph.dft(cut, axis=-2, onesided=onesided)


class MelWeightMatrix(OpDef):
    """The matrix [dft_length // 2 + 1, num_mel_bins] that takes a spectrum to mel bins: overlapping triangles."""

    name = "mm.mel_weight_matrix"
    operands = (
        Operand("num_mel_bins", INDEX),
        Operand("dft_length", INDEX),
        Operand("sample_rate", INDEX),
        Operand("lower_edge_hertz"),
        Operand("upper_edge_hertz"),
    )
    results = (Result("y", "@dtype"),)
    dtypes = {"T": FLOATS}
    attributes = (Attribute("dtype", DType, "float32"),)

    def infer(self, types: Any, values: Any, *, dtype: DType) -> Any:
        length = _scalar_value(values, 1)
        return None if length is None else floordiv(length, 2) + 1, _scalar_value(values, 0)

    def reference(self, *operands: Any, dtype: DType) -> Any:
        bins, length = (int(np.asarray(item).item()) for item in operands[:2])
        scalars = (np.asarray(item).reshape(()) for item in operands[2:])
        return _mel_matrix(Eager(), bins, length, *scalars).astype(dtype.numpy)

    def decompose(self, graph: Any, *operands: Any, dtype: DType) -> Any:
        bins, length = (read_sizes(graph, item, 1)[0] for item in operands[:2])
        scalars = (graph.reshape(item, []) for item in operands[2:])
        return graph.cast(_mel_matrix(graph, bins, length, *scalars), to=dtype)


def _mel_matrix(g: Any, bins: Size, length: Size, rate: Any, low: Any, high: Any) -> Any:
    """In float64. As ONNX defines it: bins + 2 points, the last of which is short of the upper edge."""
    rate, low, high = (g.cast(item, to=float64) for item in (rate, low, high))
    low, high = (g.mul(g.log(g.add(g.div(edge, 700.0), 1.0)), 2595 / np.log(10)) for edge in (low, high))
    count = plus(g, bins, 2)
    mel = g.add(g.mul(_real(g, counted(g, count)), g.div(g.sub(high, low), number(g, count, float64))), low)
    hertz = g.mul(g.sub(g.pow(np.array(10.0), g.div(mel, 2595.0)), 1.0), 700.0)
    points = g.floor(g.div(g.mul(hertz, number(g, plus(g, length, 1), float64)), rate))
    lower, center, upper = (g.slice(points, [first], shape_operand(g, [plus(g, bins, first)])) for first in range(3))
    place = g.unsqueeze(_real(g, counted(g, plus(g, over(g, length, 2), 1))), axes=(1,))
    rising = g.div(g.sub(place, lower), g.maximum(g.sub(center, lower), 1.0))
    rising = g.select(g.equal(center, lower), _real(g, g.equal(place, center)), rising)
    rising = g.mul(rising, _real(g, g.less_or_equal(lower, place)))
    falling = g.div(g.sub(upper, place), g.maximum(g.sub(upper, center), 1.0))
    falling = g.mul(falling, _real(g, g.less(place, upper)))
    return g.select(g.less_or_equal(place, center), rising, falling)


def _real(g: Any, x: Any) -> Any:
    return g.cast(x, to=float64)


OPS: tuple[type[OpDef], ...] = (Dft, Stft, MelWeightMatrix)
