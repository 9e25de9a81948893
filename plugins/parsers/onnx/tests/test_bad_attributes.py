"""Attributes and constant operands that no tensor fits: an error that names the node, the operator and the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import single

import mm_core as mm

HUGE = 2**62


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


IMAGE = {"x": ones(1, 4, 6, 6)}
CONV = {**IMAGE, "w": ones(4, 4, 3, 3)}
BYTES = {name: array.astype(np.uint8) for name, array in CONV.items()}
UNPOOL = {**IMAGE, "i": np.zeros((1, 4, 6, 6), np.int64)}
NORM = {**IMAGE, "s": ones(4), "b": ones(4)}
ROI = {**IMAGE, "r": ones(1, 4), "b": ints(0)}
DEFORM = {**CONV, "o": np.zeros((1, 18, 4, 4), np.float32)}
HEADS = {name: ones(1, 4, 6) for name in "qkv"}
CELL = {"x": ones(2, 1, 3), "w": ones(1, 8, 3), "r": ones(1, 8, 2)}
COLUMNS = {"x": ones(1, 4, 4), "!s": ints(4, 4), "!b": ints(2, 2)}
WINDOW = {"kernel_shape": [2, 2]}
FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Conv", CONV, {"strides": [0, 1]}, r"strides \[0, 1\] must be at least 1"),
    ("Conv", CONV, {"strides": [-1, 1]}, "strides .* at least 1"),
    ("Conv", CONV, {"strides": [1]}, "must have 2 entries"),
    ("Conv", CONV, {"dilations": [0, 1]}, "dilations .* at least 1"),
    ("Conv", CONV, {"dilations": [HUGE, 1]}, "the window reaches 9223372036854775809 elements"),
    ("Conv", CONV, {"group": 0}, "group must be at least 1"),
    ("Conv", CONV, {"group": -1}, "group must be at least 1"),
    ("Conv", CONV, {"group": 3}, "4 is not a multiple of 3"),
    ("Conv", CONV, {"kernel_shape": [0, 3]}, r"kernel_shape is \[0, 3\], the weights are"),
    ("Conv", CONV, {"pads": [-9, 0, 0, 0]}, "pads .* at least 0"),
    ("Conv", CONV, {"pads": [1, 1]}, "must have 4 entries"),
    ("Conv", CONV, {"pads": [HUGE, 0, HUGE, 0]}, "beyond any memory"),
    ("Conv", CONV, {"auto_pad": "EVEN"}, "'auto_pad' is 'EVEN'; available: NOTSET"),
    ("Conv", {**IMAGE, "w": ones(4, 4, 0, 3)}, {}, r"kernel \[0, 3\] must be at least 1"),
    ("ConvTranspose", CONV, {"strides": [0, 1]}, "strides .* at least 1"),
    ("ConvTranspose", CONV, {"strides": [HUGE, 1]}, "beyond any memory"),
    ("ConvTranspose", CONV, {"group": 0}, "group must be at least 1"),
    ("ConvTranspose", CONV, {"dilations": [0, 1]}, "dilations .* at least 1"),
    ("ConvTranspose", CONV, {"output_padding": [-9, 0]}, "output_padding"),
    ("ConvTranspose", CONV, {"output_shape": [-9, 0]}, "would have the shape|cut everything off"),
    ("ConvInteger", BYTES, {"strides": [0, 1]}, "strides .* at least 1"),
    ("ConvInteger", BYTES, {"group": 0}, "group must be at least 1"),
    ("DeformConv", DEFORM, {"group": 0}, "groups must be at least 1"),
    ("DeformConv", DEFORM, {"offset_group": 0}, "groups must be at least 1"),
    ("DeformConv", DEFORM, {"strides": [0, 1]}, "strides .* at least 1"),
    ("MaxPool", IMAGE, {"kernel_shape": [0, 2]}, r"kernel \[0, 2\] must be at least 1"),
    ("MaxPool", IMAGE, {"kernel_shape": [2]}, "must have 2 entries"),
    ("MaxPool", IMAGE, {"kernel_shape": [9, 9]}, "the window reaches 9 elements but an axis has 6"),
    ("MaxPool", IMAGE, {"kernel_shape": [HUGE, 2]}, "the window reaches"),
    ("MaxPool", IMAGE, {**WINDOW, "strides": [0, 1]}, "strides .* at least 1"),
    ("MaxPool", IMAGE, {**WINDOW, "dilations": [0, 1]}, "dilations .* at least 1"),
    ("MaxPool", IMAGE, {}, "needs the attribute 'kernel_shape'"),
    ("AveragePool", IMAGE, {"kernel_shape": [0, 2]}, "kernel .* at least 1"),
    ("AveragePool", IMAGE, {**WINDOW, "strides": [0, 0]}, "strides .* at least 1"),
    ("AveragePool", IMAGE, {"kernel_shape": [9, 9]}, "the window reaches 9 elements"),
    ("LpPool", IMAGE, {**WINDOW, "p": 0}, "p must be at least 1, not 0"),
    ("LpPool", IMAGE, {"kernel_shape": [2, 0]}, "kernel .* at least 1"),
    ("GlobalLpPool", IMAGE, {"p": 0}, "p must be at least 1, not 0"),
    ("MaxUnpool", UNPOOL, {"kernel_shape": [0, 2]}, "kernel .* at least 1"),
    ("MaxUnpool", UNPOOL, {**WINDOW, "strides": [0, 2]}, "strides .* at least 1"),
    ("LRN", IMAGE, {"size": 0}, "size must be at least 1"),
    ("SpaceToDepth", IMAGE, {"blocksize": 0}, "positive blocksize"),
    ("SpaceToDepth", IMAGE, {"blocksize": 4}, "an image of 6 by 6 has no blocks of 4"),
    ("DepthToSpace", IMAGE, {"blocksize": -2}, "positive blocksize"),
    ("DepthToSpace", IMAGE, {"blocksize": 3}, "4 channels do not divide by 3"),
    ("Split", IMAGE, {"num_outputs": 0}, "num_outputs is 0, the node has 1"),
    ("Split", IMAGE, {"num_outputs": 1, "axis": 9}, "axis 9 is outside a tensor of rank 4"),
    ("GroupNormalization", NORM, {"num_groups": 0}, "num_groups must be at least 1"),
    ("GroupNormalization", NORM, {"num_groups": 3}, "4 is not a multiple of 3"),
    ("LayerNormalization", {**IMAGE, "s": ones(6)}, {"axis": 9}, "axis 9 is outside"),
    ("BatchNormalization", {**NORM, "s": ones(3), "m": ones(4), "v": ones(4)}, {}, "differ: 3 and 4"),
    ("RoiAlign", ROI, {"output_height": 0}, "sizes must be positive"),
    ("RoiAlign", ROI, {"sampling_ratio": -1}, "ratio not negative"),
    ("MaxRoiPool", {**IMAGE, "r": ones(1, 5)}, {"pooled_shape": [0, 2]}, "two positive sizes"),
    ("Col2Im", {**COLUMNS, "!b": ints(0, 2)}, {}, r"kernel \[0, 2\] must be at least 1"),
    ("Col2Im", COLUMNS, {"strides": [0, 1]}, "strides .* at least 1"),
    ("Col2Im", COLUMNS, {"dilations": [0, 1]}, "dilations .* at least 1"),
    ("Transpose", IMAGE, {"perm": [0, 0, 1, 2]}, "name an axis twice"),
    ("Transpose", IMAGE, {"perm": [0, 1]}, "not one of 4 axes"),
    ("Concat", IMAGE, {"axis": 9}, "axis 9 is outside"),
    ("Concat", {**IMAGE, "y": ones(1, 4, 2, 6)}, {"axis": 0}, "sizes of axis 2 differ: 6 and 2"),
    ("Softmax", IMAGE, {"axis": 4}, "axis 4 is outside"),
    ("ArgMax", IMAGE, {"axis": -5}, "axis -5 is outside"),
    ("Flatten", IMAGE, {"axis": 9}, "axis 9 is outside"),
    ("Gather", {**IMAGE, "i": ints(0)}, {"axis": 4}, "axis 4 is outside"),
    ("OneHot", {"i": ints(0, 1), "d": np.array(3), "v": ones(3)}, {}, "values .* differ: 3 and 2"),
    ("Einsum", {"x": ones(2, 2), "y": ones(2, 2)}, {"equation": "abc,bc->a"}, "do not fit an operand of rank 2"),
    ("Resize", {**IMAGE, "": [], "!s": ones(4)}, {"mode": "quintic"}, "'mode' is 'quintic'|quintic"),
    ("GridSample", {**IMAGE, "g": ones(1, 2, 2, 3)}, {}, "differ: 3 and 2"),
    ("Cast", IMAGE, {"to": 99}, "its code is 99"),
    ("Cast", IMAGE, {}, "needs the attribute 'to'"),
    ("STFT", {"s": ones(1, 16, 1), "!f": np.array(0), "w": ones(4)}, {}, "frame_step is 0"),
    ("LSTM", CELL, {"hidden_size": 5}, "differ: 8 and 20"),
    ("LSTM", CELL, {"hidden_size": 2, "direction": "up"}, "'direction' is 'up'"),
    ("GRU", CELL, {"hidden_size": 2}, "differ: 8 and 6"),
    ("TopK", {**IMAGE, "!k": ints(7)}, {}, "k is 7, the axis has 6 elements"),
    ("Trilu", {"x": ones(3)}, {}, "takes matrices"),
    ("Det", {"x": ones(2, 3)}, {}, "differ: 2 and 3"),
    ("MatMul", {"x": ones(2, 3), "y": ones(2, 3)}, {}, "differ: 3 and 2"),
    ("QuantizeLinear", {**IMAGE, "s": ones(3)}, {"axis": 1}, "differ: 3 and 4"),
    ("QuantizeLinear", {**IMAGE, "s": ones(1, 4, 6, 2)}, {"axis": 3, "block_size": -3}, "must not be negative"),
    ("Attention", HEADS, {"q_num_heads": 0, "kv_num_heads": 0}, "needs the number of heads"),
    ("Attention", HEADS, {"q_num_heads": 4, "kv_num_heads": 4}, "do not split into 4 heads"),
    ("Unsqueeze", {**IMAGE, "!a": ints(0, 0)}, {}, "name an axis twice"),
    ("ReduceSum", {**IMAGE, "!a": ints(1, 1)}, {}, "name an axis twice"),
    ("Slice", {**IMAGE, "!s": ints(0), "!e": ints(1), "!a": ints(0), "!t": ints(0)}, {}, "a step is 0"),
    ("Range", {"!a": np.array(0), "!b": np.array(5), "!c": np.array(0)}, {}, "delta is 0"),
    ("Tile", {**IMAGE, "!r": ints(1, 1)}, {}, "2 repeats for a tensor of rank 4"),
    ("Expand", {**IMAGE, "!s": ints(5, 6)}, {}, "6 and 5 do not broadcast"),
    ("Pad", {**IMAGE, "!p": ints(1, 1)}, {}, "2 pads for 4 axes"),
    ("ConstantOfShape", {"!s": ints(2**40, 2**40)}, {}, "beyond any memory"),
    ("Reshape", {**IMAGE, "!s": ints(0, 0, 0, 0, 0)}, {}, "has no size to copy"),
    ("ScatterND", {**IMAGE, "i": np.zeros((1, 5), np.int64), "u": ones(1)}, {}, "differ: 5 and 4"),
    ("CumSum", {**IMAGE, "!a": np.array(9)}, {}, "axis 9 is outside"),
]
"""Operator, inputs (`!`: known while parsing), attributes, and what the message says."""


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "message"), FAULTS, ids=[f"{fault[0]}-{i}" for i, fault in enumerate(FAULTS)]
)
def test_nothing_fits(op_type: str, inputs: dict[str, Any], attributes: dict[str, Any], message: str) -> None:
    known = tuple(name[1:] for name in inputs if name.startswith("!"))
    given = {name.removeprefix("!"): array for name, array in inputs.items()}
    opset = 23 if op_type == "Attention" else 21
    proto = single(op_type, given, opset=opset, constants=known, **attributes)
    with pytest.raises(mm.MMError, match=rf"it \({op_type}\).*({message})"):
        mm.Builder(mm.BuilderConfig(backends=["reference"])).build(mm.parse(proto))
