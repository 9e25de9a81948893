"""Fourier transforms and what speech models build on them. Complex numbers are pairs along the last axis."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from mm_core.ir import known_value
from mm_core.ops import FLOATS, INDEX, Arity, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import Dim, DType, floordiv
from mm_ops_standard.checks import require
from mm_ops_standard.precision import in_float32
from mm_ops_standard.shapes import Size, axis_of, reshape, shape_operand, sizes_of


def _scalar_value(values: Any, index: int) -> Dim | None:
    """The known value of a scalar operand."""
    known = values[index]
    return None if known is None else known.flat[0]


def _size_operand(graph: Any, operand: Any) -> Size:
    """A scalar operand as a size."""
    known = known_value(operand)
    if known is not None and isinstance(known.flat[0], int):
        return known.flat[0]
    return graph.cast(graph.reshape(operand, [1]), to="int64")


def _scalar(graph: Any, size: Size) -> Any:
    """A size as an int64 scalar."""
    return graph.constant(size) if isinstance(size, int) else reshape(graph, size, [])


def _count(graph: Any, size: Size) -> Any:
    """0, 1, ... up to a size, as int64."""
    return graph.range(graph.constant(0), _scalar(graph, size), graph.constant(1))


class Dft(OpDef):
    """The discrete Fourier transform of x [..., n, ..., 1 or 2] along `axis`, to [..., k, ..., 2].

    x is cut or filled with zeros to `length`. `onesided` gives the first length // 2 + 1 values of a real x's
    transform; `inverse` is divided by the length.
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
        require(not (onesided and inverse), f"{self.name}: an inverse transform is not onesided")
        require(not onesided or shape[-1] != 2, f"{self.name}: onesided is for real signals")
        length = shape[axis] if types[1] is None else _scalar_value(values, 1)
        shape[axis], shape[-1] = floordiv(length, 2) + 1 if onesided and length is not None else length, 2
        return tuple(shape)

    def _axis(self, axis: int, rank: int) -> int:
        axis = axis_of(self.name, axis, rank)
        require(axis != rank - 1, f"{self.name}: the last axis holds real and imaginary parts")
        return axis

    def reference(self, x: Any, length: Any = None, *, axis: int, inverse: bool, onesided: bool) -> Any:
        axis = self._axis(axis, x.ndim)
        count = x.shape[axis] if length is None else int(np.asarray(length).item())
        real = x[..., 0].astype(np.float64)
        if onesided:
            result = np.fft.rfft(real, count, axis)
        else:
            signal = real + 1j * x[..., 1].astype(np.float64) if x.shape[-1] == 2 else real
            result = (np.fft.ifft if inverse else np.fft.fft)(signal, count, axis)
        return np.stack([result.real, result.imag], -1).astype(x.dtype)

    def decompose(self, graph: Any, x: Any, length: Any = None, **attributes: Any) -> Any:
        """Two matrix products, with the cosines and sines of a circle cut in `length` parts."""
        if not isinstance(x.type.shape[-1], int):
            return None
        return in_float32(graph, lambda x: self._transform(graph, x, length, **attributes), x)

    def _transform(self, graph: Any, x: Any, length: Any, *, axis: int, inverse: bool, onesided: bool) -> Any:
        rank, dtype = len(x.type.shape), x.type.dtype
        axis = self._axis(axis, rank)
        order = [*(i for i in range(rank) if i not in (axis, rank - 1)), rank - 1, axis]
        back = np.argsort(order).tolist()
        x = graph.transpose(x, permutation=order)
        size = sizes_of(graph, x)[-1]
        if length is not None:
            size = _size_operand(graph, length)
            x = _fit(graph, x, size)
        points = _count(graph, size)
        bins = points
        if onesided:
            bins = _count(graph, size // 2 + 1 if isinstance(size, int) else graph.add(graph.div(size, [2]), [1]))
        # The number of the point on the circle stays exact in integers, however long the signal is.
        turns = graph.mod(graph.mul(graph.unsqueeze(points, axes=(1,)), bins), _scalar(graph, size))
        whole = graph.cast(_scalar(graph, size), to=dtype)
        angles = graph.div(graph.mul(graph.cast(turns, to=dtype), 2 * pi), whole)
        cosine, sine = graph.cos(angles), graph.sin(angles)
        real = graph.slice(x, [0], [1], [rank - 2])
        parts = [graph.matmul(real, cosine), graph.matmul(real, sine if inverse else graph.neg(sine))]
        if x.type.shape[-2] == 2:
            imaginary = graph.slice(x, [1], [2], [rank - 2])
            turned = graph.matmul(imaginary, graph.neg(sine) if inverse else sine)
            parts = [graph.add(parts[0], turned), graph.add(parts[1], graph.matmul(imaginary, cosine))]
        result = graph.concat(*parts, axis=rank - 2)
        result = graph.div(result, whole) if inverse else result
        return graph.transpose(result, permutation=back)


def _fit(graph: Any, x: Any, size: Size) -> Any:
    """The last axis cut, or filled with zeros, to a size."""
    axis = len(x.type.shape) - 1
    end = graph.constant([size]) if isinstance(size, int) else size
    x = graph.slice(x, [0], end, [axis])
    missing = graph.sub(end, graph.shape(x, start=axis, end=axis + 1))
    return graph.pad(x, graph.concat(graph.constant([0]), missing, axis=0), axes=(axis,))


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
        known = length is not None and step is not None
        frames = floordiv(signal[1] - length, step) + 1 if known else None
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
        length = sizes_of(graph, window)[0] if frame_length is None else _size_operand(graph, frame_length)
        step, total = _size_operand(graph, frame_step), sizes_of(graph, signal)[1]
        if all(isinstance(size, int) for size in (length, step, total)):
            frames = (total - length) // step + 1
        else:
            room = graph.sub(shape_operand(graph, [total]), shape_operand(graph, [length]))
            frames = graph.add(graph.div(room, shape_operand(graph, [step])), [1])
        starts = graph.mul(_count(graph, frames), _scalar(graph, step))
        places = graph.add(graph.unsqueeze(starts, axes=(1,)), _count(graph, length))
        cut = graph.gather(signal, places, axis=1)
        if window is not None:
            cut = graph.mul(cut, graph.unsqueeze(window, axes=(1,)))
        return graph.dft(cut, axis=-2, onesided=onesided)


class MelWeightMatrix(OpDef):
    """The matrix [dft_length // 2 + 1, num_mel_bins] that takes a spectrum to mel bins: overlapping triangles."""

    name = "mm.mel_weight_matrix"
    tier = Tier.HOST
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

    def reference(
        self,
        num_mel_bins: Any,
        dft_length: Any,
        sample_rate: Any,
        lower_edge_hertz: Any,
        upper_edge_hertz: Any,
        *,
        dtype: DType,
    ) -> Any:
        bins, length, rate = (int(np.asarray(item).item()) for item in (num_mel_bins, dft_length, sample_rate))
        edges = [2595 * np.log10(1 + float(edge) / 700) for edge in (lower_edge_hertz, upper_edge_hertz)]
        # As ONNX defines it: bins + 2 points, the last of which is short of the upper edge.
        mel = edges[0] + np.arange(bins + 2) * (edges[1] - edges[0]) / (bins + 2)
        points = ((length + 1) * (700 * (10 ** (mel / 2595) - 1)) // rate).astype(np.int64)
        lower, center, upper = points[:-2], points[1:-1], points[2:]
        place = np.arange(length // 2 + 1)[:, None]
        rising = np.where(center == lower, place == center, (place - lower) / np.maximum(center - lower, 1))
        falling = (upper - place) / np.maximum(upper - center, 1)
        weights = np.where(place <= center, rising * (place >= lower), falling * (place < upper))
        return weights.astype(dtype.numpy)


OPS: tuple[type[OpDef], ...] = (Dft, Stft, MelWeightMatrix)
