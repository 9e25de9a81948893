"""Each operator by itself equals TensorFlow: at the edges of its range, by attributes, for known and unknown sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras_running import assert_close, outputs
from mm_parser_tensorflow.importers import TABLE
from tensorflow.compiler.tf2xla.python import xla

import mm_core as mm

RNG = np.random.default_rng(6)
raw = tf.raw_ops
EDGES = np.float32([-np.inf, -1e6, -2.5, -1.5, -1, -0.5, -1e-6, 0, 1e-6, 0.5, 1, 1.5, 2.5, 1e6, np.inf, np.nan])
SMALL = np.float32([[-0.9, -0.5, -0.1, 0.0], [0.2, 0.4, 0.6, 0.9]])
INTS = np.array([[-7, -2, -1, 3], [0, 1, 2, 7]], np.int32)
DIVISORS = np.array([[2, -3, 5, -2], [3, 1, -7, 4]], np.int32)
BITS = np.array([[0, 1, 5, 200], [255, 17, 33, 64]], np.uint8)


def real(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE, MATRIX, ROWS, CUBE = real(2, 7, 6, 4), real(3, 4), real(5, 3), real(2, 3, 4)
Case = tuple[Callable[..., Any], tuple[Any, ...]]


def case(function: Callable[..., Any], *arrays: Any) -> Case:
    return function, arrays


UNARY = [
    "Abs",
    "Acosh",
    "Asin",
    "Asinh",
    "Acos",
    "Atan",
    "Atanh",
    "Ceil",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Erfc",
    "Exp",
    "Expm1",
    "Floor",
    "Inv",
    "IsFinite",
    "IsInf",
    "IsNan",
    "Log",
    "Log1p",
    "Neg",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Rint",
    "Round",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "Tan",
    "Tanh",
    "LeakyRelu",
    "ZerosLike",
    "OnesLike",
]
OF_X = {"Ceil", "Floor", "Rint"}
NAMED = {"Elu": "features", "LeakyRelu": "features", "Relu": "features", "Relu6": "features", "Selu": "features",
         "Softplus": "features", "Softsign": "features"}  # fmt: skip
BINARY = [
    "Add",
    "AddV2",
    "Atan2",
    "Div",
    "DivNoNan",
    "Equal",
    "FloorDiv",
    "FloorMod",
    "Greater",
    "GreaterEqual",
    "Less",
    "LessEqual",
    "Maximum",
    "Minimum",
    "MulNoNan",
    "Mul",
    "NotEqual",
    "Pow",
    "RealDiv",
    "SquaredDifference",
    "Sub",
    "Xdivy",
    "Xlogy",
    "Xlog1py",
]
INTEGER = [
    "FloorDiv",
    "FloorMod",
    "Maximum",
    "Minimum",
    "Mul",
    "SquaredDifference",
    "Sub",
    "TruncateDiv",
    "TruncateMod",
]
FOLDS = ["Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm"]


def binary(name: str, a: Any, b: Any) -> Any:
    if name == "Atan2":
        return raw.Atan2(y=a, x=b)
    return getattr(raw, name)(x=a, y=b)


def pairs() -> tuple[Any, Any]:
    values = np.float32([-3.5, -2, -1, -0.5, 0.5, 1, 2, 3.5])
    a, b = np.meshgrid(values, values)
    return a.ravel().astype(np.float32), b.ravel().astype(np.float32)


CASES: dict[str, Case] = {
    **{name: case(lambda x, name=name: getattr(raw, name)(**{NAMED.get(name, "x"): x}), EDGES) for name in UNARY},
    **{name: case(lambda a, b, name=name: binary(name, a, b), *pairs()) for name in BINARY},
    **{f"{name}_integer": case(lambda a, b, name=name: binary(name, a, b), INTS, DIVISORS) for name in INTEGER},
    **{
        f"{name}_{keep}": case(
            lambda x, name=name, keep=keep: getattr(raw, name)(input=x, axis=[0, -1], keep_dims=keep), CUBE
        )
        for name in FOLDS
        for keep in (False, True)
    },
    **{
        name: case(lambda a, b, name=name: getattr(raw, name)(x=a, y=b), BITS, BITS[::-1].copy())
        for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
    },
    "LeftShift": case(lambda a: raw.LeftShift(x=a, y=tf.constant(2, tf.uint8)), BITS),
    "RightShift": case(lambda a: raw.RightShift(x=a, y=tf.constant(3, tf.uint8)), BITS),
    "Invert": case(lambda x: raw.Invert(x=x), INTS),
    "All_Any": case(lambda x: (tf.reduce_all(x > 0, 1), tf.reduce_any(x > 0, [0, 1], True)), MATRIX),
    "Logical": case(
        lambda x, y: ((x > 0) & (y > 0), (x > 0) | ~(y > 0), tf.math.logical_xor(x > 0, y > 0)),
        MATRIX,
        MATRIX.T.reshape(3, 4).copy(),
    ),
    "Select": case(lambda c, x, y: raw.Select(condition=c[:, 0] > 0, x=x, y=y), MATRIX, MATRIX, -MATRIX),
    "SelectV2": case(lambda c, x: tf.where(c > 0, x, 7.0), MATRIX, MATRIX),
    "ClipByValue": case(lambda x: tf.clip_by_value(x, -0.5, 0.7), MATRIX),
    "AddN": case(lambda x, y: tf.add_n([x, y, x]), MATRIX, MATRIX),
    "Cast": case(lambda x: (tf.cast(x * 3, tf.int32), tf.cast(x, tf.float16), tf.cast(x, tf.bool)), MATRIX),
    "Bitcast": case(lambda x: tf.bitcast(x, tf.int32), MATRIX),
    "ApproximateEqual": case(lambda x: raw.ApproximateEqual(x=x, y=x + 1e-6, tolerance=1e-5), MATRIX),
    # Shapes.
    "Shape": case(lambda x: (tf.shape(x), tf.size(x), tf.rank(x), *tf.shape_n([x, x])), CUBE),
    "Reshape": case(lambda x: tf.reshape(x, [tf.shape(x)[1], -1]), CUBE),
    "ExpandDims_Squeeze": case(lambda x: (tf.expand_dims(x, 1), tf.squeeze(tf.expand_dims(x, -1), [-1])), CUBE),
    "BroadcastTo": case(lambda x: tf.broadcast_to(x, [2, *x.shape]), MATRIX),
    "BroadcastArgs": case(lambda x: raw.BroadcastArgs(s0=tf.shape(x), s1=tf.constant([5, 1, 1])), MATRIX),
    "Fill": case(lambda x: tf.fill(tf.shape(x), 3.5), MATRIX),
    "Range": case(lambda x: tf.range(tf.shape(x)[0], 9, 2), MATRIX),
    "Range_float": case(
        lambda x: (tf.range(tf.cast(tf.shape(x)[0], tf.float32), -2.0, -1.0), tf.range(0.5, 2.0, 0.25)), MATRIX
    ),
    "LinSpace": case(lambda x: tf.linspace(x[0, 0], x[1, 1], 5), MATRIX),
    "Transpose": case(lambda x: tf.transpose(x, [2, 0, 1]), CUBE),
    "InvertPermutation": case(lambda x: tf.math.invert_permutation(x), np.array([2, 0, 1], np.int32)),
    # Parts and joins.
    "Concat": case(lambda x, y: (tf.concat([x, y], -1), raw.Concat(concat_dim=0, values=[x, y])), MATRIX, MATRIX),
    "Pack_Unpack": case(lambda x: (tf.stack([x, x], 1), *tf.unstack(x, axis=1)), MATRIX),
    "Split": case(lambda x: (*tf.split(x, 2, 1), *tf.split(x, [1, -1], 1)), MATRIX),
    "Slice": case(lambda x: tf.slice(x, [0, 1], [-1, 2]), MATRIX),
    "Slice_data": case(lambda x, i: tf.slice(x, [i, 0], [1, -1]), MATRIX, np.int32(1)),
    "StridedSlice": case(
        lambda x: (x[:, ::-1], x[1], x[..., -1], x[:, tf.newaxis, 1:3], x[-1, ..., 0:1], x[::2, -2:, 1]), CUBE
    ),
    "StridedSlice_data": case(lambda x, i: (x[i], x[:i], x[i:, i], x[-1 - i]), CUBE, np.int32(1)),
    "Pad": case(lambda x: (tf.pad(x, [[1, 0], [0, 2]]), tf.pad(x, [[0, 1], [1, 1]], constant_values=2.0)), MATRIX),
    "MirrorPad": case(
        lambda x: (tf.pad(x, [[1, 2], [2, 1]], "REFLECT"), tf.pad(x, [[1, 2], [0, 3]], "SYMMETRIC")), MATRIX
    ),
    "Tile": case(lambda x: tf.tile(x, [2, 3]), MATRIX),
    "ReverseV2": case(lambda x: tf.reverse(x, [0, -1]), CUBE),
    "ReverseSequence": case(lambda x: tf.reverse_sequence(x, [2, 1, 4], seq_axis=1, batch_axis=0), MATRIX),
    "Roll": case(lambda x: tf.roll(x, [1, -2], [0, 1]), MATRIX),
    "DepthToSpace": case(lambda x: tf.nn.depth_to_space(x, 2), IMAGE),
    "SpaceToDepth": case(lambda x: tf.nn.space_to_depth(x, 3), real(2, 6, 9, 2)),
    "SpaceToBatchND": case(lambda x: tf.space_to_batch(x, [2, 3], [[1, 0], [2, 1]]), IMAGE),
    "BatchToSpaceND": case(lambda x: tf.batch_to_space(x, [2, 3], [[1, 0], [0, 2]]), real(12, 3, 2, 2)),
    # Places.
    "Gather": case(
        lambda x, i: (tf.gather(x, i), tf.gather(x, i, axis=1)), MATRIX, np.array([[0, 2], [1, 1]], np.int32)
    ),
    "Gather_batch": case(
        lambda x, i: (tf.gather(x, i, batch_dims=1), tf.gather(x, i, axis=2, batch_dims=1)),
        CUBE,
        np.array([[0, 2], [1, 1]]),
    ),
    "GatherNd": case(lambda x, i: tf.gather_nd(x, i), CUBE, np.array([[0, 2], [1, 1]])),
    "OneHot": case(lambda i: (tf.one_hot(i, 4), tf.one_hot(i, 3, axis=0, on_value=5, off_value=-1)), INTS),
    "ScatterNd": case(lambda u: tf.scatter_nd([[1], [3], [1]], u, [5, 4]), MATRIX),
    "TensorScatter": case(
        lambda x, u: [
            f(x, [[1], [0]], u)
            for f in (
                tf.tensor_scatter_nd_update,
                tf.tensor_scatter_nd_add,
                tf.tensor_scatter_nd_sub,
                tf.tensor_scatter_nd_max,
                tf.tensor_scatter_nd_min,
            )
        ],
        MATRIX,
        MATRIX[:2],
    ),
    "Where": case(lambda x: tf.where(x > 0), MATRIX),
    "Unique": case(lambda x: tuple(tf.unique(x)), np.array([3, 1, 3, 7, 1], np.int32)),
    "Bounds": case(
        lambda x: (tf.searchsorted([-1.0, 0.0, 0.5, 2.0], x), tf.searchsorted([-1.0, 0.0, 0.5, 2.0], x, side="right")),
        real(6),
    ),
    "Bucketize": case(lambda x: raw.Bucketize(input=x, boundaries=[-1.0, 0.0, 0.5]), MATRIX),
    "Bincount": case(
        lambda i: (
            raw.DenseBincount(input=i, size=8, weights=tf.zeros([0])),
            raw.DenseBincount(input=i, size=8, weights=tf.zeros([0]), binary_output=True),
        ),
        np.abs(INTS),
    ),
    "DynamicUpdateSlice": case(
        lambda x, u, i: [
            found
            for j in (tf.constant(-3), i, i + 7)
            for found in (xla.dynamic_update_slice(x, u, [i, j, 1]), xla.dynamic_slice(x, [i, j, 0], [1, 2, 4]))
        ],
        CUBE,
        real(1, 2, 3),
        np.int32(1),
    ),
    "TopKV2": case(lambda x: tuple(tf.math.top_k(x, 3)), MATRIX),
    "ArgMax_ArgMin": case(lambda x: (tf.argmax(x, 1), tf.argmin(x, 0, tf.int32)), CUBE),
    "Cumsum": case(lambda x: (tf.cumsum(x, 1), tf.cumsum(x, -1, True, True), tf.math.cumprod(x, 0)), CUBE),
    "Segments": case(
        lambda x: [
            f(x, [2, 0, -1, 2, 0], 4)
            for f in (
                tf.math.unsorted_segment_sum,
                tf.math.unsorted_segment_max,
                tf.math.unsorted_segment_min,
                tf.math.unsorted_segment_prod,
            )
        ],
        ROWS,
    ),
    "SegmentSum": case(lambda x: tf.math.segment_sum(x, [0, 0, 2, 3, 3]), ROWS),
    # Products.
    "MatMul": case(lambda x: (tf.matmul(x, x, transpose_b=True), tf.matmul(x, x, transpose_a=True)), MATRIX),
    "BatchMatMul": case(lambda x: (tf.matmul(x, x, transpose_b=True), tf.matmul(x, x[:1], adjoint_a=True)), CUBE),
    "Einsum": case(
        lambda x: [
            tf.einsum(equation, x, y)
            for equation, y in (
                ("abc,adc->abd", x),
                ("aec,abc->abe", x),
                ("abc,adc->dab", x),
                ("abc,abd->acd", x),
                ("abc,cd->abd", tf.ones([4, 2])),
                ("abc,cde->abde", tf.reshape(tf.range(40.0), [4, 2, 5])),
                ("abc,bcd->ad", tf.reshape(tf.range(60.0), [3, 4, 5])),
                ("abc,dbc->da", tf.reshape(tf.range(60.0), [5, 3, 4])),
                ("...c,cd->...d", tf.ones([4, 2])),
                ("abc,abc->ab", x),
                ("abc,d->abcd", tf.range(3.0)),
                ("abc,abc->", x),
            )
        ],
        CUBE,
    ),
    "L2Loss": case(lambda x: tf.nn.l2_loss(x), MATRIX),
    "Cross": case(lambda x: tf.linalg.cross(x, x[::-1]), ROWS),
    # Matrices.
    "MatrixBandPart": case(lambda x: (tf.linalg.band_part(x, 1, 0), tf.linalg.band_part(x, -1, 1)), CUBE),
    "MatrixBandPart_data": case(
        lambda x, i: (tf.linalg.band_part(x, i, 0), tf.linalg.band_part(x, -i, i)), CUBE, np.int32(1)
    ),
    "MatrixDiag": case(
        lambda x: (tf.linalg.diag(x), tf.linalg.diag_part(tf.linalg.diag(x)), raw.MatrixDiag(diagonal=x)), MATRIX
    ),
    "MatrixDiagPart": case(lambda x: (tf.linalg.diag_part(x), tf.linalg.set_diag(x[:, :3, :3], x[:, 0, :3])), CUBE),
    "MatrixInverse": case(
        lambda x: (tf.linalg.inv(x), tf.linalg.det(x)), real(2, 3, 3) + 3 * np.eye(3, dtype=np.float32)
    ),
    # Images.
    "FusedBatchNorm": case(
        lambda x: tf.compat.v1.nn.fused_batch_norm(
            x, tf.ones(4) * 2, tf.ones(4), tf.ones(4), tf.ones(4) * 3, is_training=False
        )[0],
        IMAGE,
    ),
    "LRN": case(lambda x: tf.nn.lrn(x, 1, 0.5, 0.3, 0.7), IMAGE),
    "BiasAdd": case(
        lambda x: (tf.nn.bias_add(x, [1.0, 2.0, 3.0, 4.0]), tf.nn.bias_add(x, tf.range(7.0), "NCHW")), IMAGE
    ),
    "MaxPoolWithArgmax": case(lambda x: tuple(tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")), IMAGE),
    "Conv2D_explicit": case(
        lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 4, 2]) / 9, 2, [[0, 0], [1, 2], [0, 1], [0, 0]]), IMAGE
    ),
    "Conv2DBackpropInput": case(
        lambda x: (
            tf.nn.conv2d_transpose(x, tf.ones([3, 2, 5, 4]), [2, 14, 12, 5], 2),
            tf.nn.conv2d_transpose(x, tf.ones([3, 2, 5, 4]), [2, 16, 12, 5], 2, "VALID"),
        ),
        IMAGE,
    ),
    "ResizeBilinear": case(
        lambda x: [tf.compat.v1.image.resize_bilinear(x, [5, 9], align_corners=a) for a in (False, True)], IMAGE
    ),
    "ResizeNearest": case(
        lambda x: [
            tf.compat.v1.image.resize_nearest_neighbor(x, [5, 9], align_corners=a, half_pixel_centers=h)
            for a, h in ((False, False), (True, False), (False, True))
        ],
        IMAGE,
    ),
    "ResizeBicubic": case(
        lambda x: [
            raw.ResizeBicubic(images=x, size=[5, 9], align_corners=a, half_pixel_centers=h)
            for a, h in ((False, False), (True, False), (False, True))
        ],
        IMAGE,
    ),
    "ScaleAndTranslate": case(
        lambda x: [
            tf.image.resize(x, [4, 9], method, antialias=True)
            for method in ("bilinear", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
        ],
        IMAGE,
    ),
    "CropAndResize": case(
        lambda x: [
            tf.image.crop_and_resize(x, [[0.1, 0.2, 0.9, 1.1], [0.5, 0.5, 0.2, 0.0]], [1, 0], [3, 4], m, 0.25)
            for m in ("bilinear", "nearest")
        ],
        IMAGE,
    ),
    "AdjustContrast": case(lambda x: tf.image.adjust_contrast(x, 1.7), IMAGE),
    "Colours": case(
        lambda x: (tf.image.rgb_to_hsv(x), tf.image.hsv_to_rgb(x)), RNG.uniform(size=(3, 4, 3)).astype(np.float32)
    ),
    "NonMaxSuppression": case(
        lambda b, s: tf.image.non_max_suppression(b, s, 3, 0.4, 0.1),
        np.float32([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [5, 5, 6, 6]]),
        np.float32([0.5, 0.9, 0.3, 0.05]),
    ),
    # Quantization and spectra.
    "FakeQuantArgs": case(
        lambda x: (
            tf.quantization.fake_quant_with_min_max_args(x * 5),
            tf.quantization.fake_quant_with_min_max_args(x, -1, 2.5, 4, True),
        ),
        IMAGE,
    ),
    "FakeQuantVars": case(
        lambda x: (
            tf.quantization.fake_quant_with_min_max_vars(x, -0.7, 1.3),
            tf.quantization.fake_quant_with_min_max_vars_per_channel(x, [-1.0, -2, -0.1, 0.0], [1.0, 0.5, 2, 0.0]),
            tf.quantization.fake_quant_with_min_max_vars(x, -0.7, 1.3, num_bits=10),
            tf.quantization.fake_quant_with_min_max_vars(x, 0.0, 0.0),
            tf.quantization.fake_quant_with_min_max_vars(x, tf.reduce_min(x), tf.reduce_max(x), narrow_range=True),
            tf.quantization.fake_quant_with_min_max_vars(tf.round(x * 8) / 8 + 1 / 16, -15.875, 16.0),  # Ties.
        ),
        IMAGE,
    ),
    "QuantizeAndDequantize": case(
        lambda x: (
            tf.quantization.quantize_and_dequantize_v2(x, -1.0, 0.9, range_given=True),
            tf.quantization.quantize_and_dequantize_v2(
                x, 0.0, 0.9, range_given=True, signed_input=False, round_mode="HALF_UP"
            ),
            tf.quantization.quantize_and_dequantize_v2(x, -1.0, 2.5, range_given=True, narrow_range=True, num_bits=6),
            tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0),
            tf.quantization.quantize_and_dequantize_v2(x, [0.0] * 4, [0.0] * 4, axis=3, narrow_range=True),
            raw.QuantizeAndDequantizeV3(input=x, input_min=-1.0, input_max=0.4, num_bits=5),
        ),
        IMAGE,
    ),
    "Spectra": case(
        lambda x: (tf.abs(tf.signal.rfft(x)), tf.math.imag(tf.signal.rfft(x, [6])), tf.signal.irfft(tf.signal.rfft(x))),
        real(3, 8),
    ),
    "Spectra_2D": case(
        lambda x: (
            tf.math.real(tf.signal.fft2d(tf.complex(x, 2 * x))),
            tf.math.imag(tf.signal.ifft3d(tf.signal.fft2d(tf.complex(x, tf.zeros_like(x))))),
        ),
        real(3, 4, 6),
    ),
    "Softmax": case(lambda x: (tf.nn.softmax(x), tf.nn.log_softmax(x)), CUBE),
    "CaseOfLists": case(
        lambda x: (
            raw.TensorListStack(
                input_handle=raw.TensorListPushBack(
                    input_handle=raw.TensorListFromTensor(tensor=x, element_shape=[4]), tensor=x[0]
                ),
                element_shape=[4],
                element_dtype=tf.float32,
            ),
            raw.TensorListLength(input_handle=raw.TensorListFromTensor(tensor=x, element_shape=[4])),
        ),
        MATRIX,
    ),
}
STATIC = {
    "BroadcastTo", "Pack_Unpack", "LinSpace", "ResizeBicubic", "ScaleAndTranslate", "MaxPoolWithArgmax", "Roll",
    "Conv2DBackpropInput", "MatrixDiagPart", "MirrorPad", "BiasAdd", "Spectra", "Segments", "CaseOfLists", "Colours",
    "SpaceToDepth", "DepthToSpace", "Slice_data", "BatchMatMul", "Split",
}  # fmt: skip
"""Cases that only hold for known sizes, in TensorFlow or here."""
TOLERANCE = {"MatrixInverse": 1e-4}


def check(name: str, specs: list[Any]) -> None:
    function, arrays = CASES[name]
    concrete = tf.function(function).get_concrete_function(*specs)
    network = mm.parse(concrete)
    named = {spec.name: item for spec, item in zip(network.inputs, arrays, strict=True)}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        ours = list(outputs(network, named).values())
    theirs = tf.nest.flatten(concrete(*map(tf.constant, arrays)))
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other, TOLERANCE.get(name, 1e-5))


@pytest.mark.parametrize("name", CASES)
def test_known_sizes(name: str) -> None:
    check(name, [tf.TensorSpec(np.shape(item), item.dtype) for item in CASES[name][1]])


@pytest.mark.parametrize("name", [name for name in CASES if name not in STATIC and name not in (*UNARY, *BINARY)])
def test_an_unknown_first_size(name: str) -> None:
    arrays = CASES[name][1]
    check(name, [tf.TensorSpec((None, *item.shape[1:]) if np.ndim(item) else (), item.dtype) for item in arrays])


def test_every_importer_is_of_an_operator_that_tensorflow_has() -> None:
    known = {name for name in dir(raw) if name[0].isupper()}
    internal = {"BiasAddV1", "HostConst", "FusedBatchNorm", "PlaceholderV2", "XlaDynamicSlice", "XlaDynamicUpdateSlice"}
    assert set(TABLE) - known - internal == set()
