"""Shapes, bounds, pads, counts and scales that only running tells: the CPU runs all of it itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import assert_close

RNG = np.random.default_rng(17)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)
IMAGE = RNG.standard_normal((1, 2, 4, 5)).astype(np.float32)
LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def ints(*numbers: int, dtype: Any = np.int64) -> Any:
    return np.array(numbers, dtype)


def floats(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("reshape", [X, ints(4, 6)], {}),
    ("reshape", [X, ints(3, -1)], {}),
    ("reshape", [X, ints(-1)], {}),
    ("reshape", [X[:, :0], ints(0, 7)], {}),
    ("reshape", [np.array(3, np.int8), ints(1, -1)], {}),
    ("expand", [X[:, :1], ints(2, 3, 1)], {}),
    ("expand", [X, ints(5, 1, 1, 1)], {}),
    ("expand", [X[0], ints(4)], {}),
    ("expand", [X[:, :1], ints(1, 0, 1, dtype=np.int32)], {}),
    ("constant_of_shape", [ints(2, 0, 3)], {}),
    ("tile", [X, ints(2, 1, 3)], {}),
    ("tile", [X, ints(1, 0, 2)], {}),
    ("slice", [X, ints(1, -3), ints(MOST, -1), ints(2, -2)], {}),
    ("slice", [X, ints(MOST, LEAST), ints(LEAST, MOST), ints(0, 2), ints(-1, 3)], {}),
    ("slice", [X, ints(2, dtype=np.int32), ints(-100, dtype=np.int32), ints(1, dtype=np.int32)], {}),
    ("slice", [X, ints(0, 0), ints(9, 9)], {}),
    ("slice", [X, ints(3), ints(-4), ints(2), ints(LEAST + 1)], {}),
    ("split", [X, ints(1, 3, 0)], {"axis": 2, "parts": 3}),
    ("split", [X, ints(2, 1, dtype=np.int32)], {"axis": 1, "parts": 2}),
    *(("pad", [X, ints(1, 0, 2, 0, 2, 1), *value], {"mode": mode}) for mode, value in (
        ("constant", []), ("constant", [np.array(3, np.float32)]), ("edge", []), ("reflect", []), ("wrap", []),
    )),
    *(("pad", [X, ints(1, 0, -1, -1, 1, 2)], {"mode": mode}) for mode in ("constant", "edge", "reflect", "wrap")),
    ("pad", [X, ints(-1, 1)], {"axes": (2,)}),
    ("topk", [X, ints(2)], {"axis": 1}),
    ("topk", [X, ints(0)], {"axis": -1, "largest": False}),
    ("topk", [X.astype(ml_dtypes.bfloat16), ints(4)], {}),
    ("col2im", [RNG.standard_normal((2, 12, 6)).astype(np.float32), ints(4, 3), ints(2, 2)], {}),
    (
        "col2im", [RNG.standard_normal((1, 6, 4)).astype(np.float32), ints(5, 6), ints(2, 3)],
        {"strides": (2, 3), "pads": (1, 0, 0, 1), "dilations": (2, 1)},
    ),
    ("dft", [X[..., None], ints(5)[0]], {"axis": 2}),
    ("dft", [X[..., None], ints(3)[0]], {"axis": 2, "onesided": True}),
    ("dft", [np.stack([X, -X], -1), ints(6)], {"axis": 1, "inverse": True}),
    ("dft", [np.stack([X, X * 2], -1), ints(5)[0]], {"axis": 2, "inverse": True, "onesided": True}),
    ("stft", [X.reshape(1, 24, 1), ints(3)[0], None, ints(8)[0]], {}),
    ("stft", [X.reshape(1, 24, 1), ints(5)[0], np.hanning(6).astype(np.float32)], {"onesided": False}),
    ("mel_weight_matrix", [ints(8)[0], ints(64)[0], ints(8192)[0], floats(0)[0], floats(4096)[0]], {}),
    ("mel_weight_matrix", [ints(5)[0], ints(33)[0], ints(8000)[0], floats(20)[0], floats(3000)[0]], {}),
    ("resize", [IMAGE, ints(1, 2, 7, 3)], {}),
    ("resize", [IMAGE, ints(7, 3)], {"axes": (2, 3), "mode": "linear"}),
    ("resize", [IMAGE, ints(7, 3)], {"axes": (3, 2), "mode": "cubic", "exclude_outside": True}),
    ("resize", [IMAGE, ints(3, 2)], {"axes": (2, 3), "mode": "linear", "antialias": True}),
    ("resize", [IMAGE, ints(9, 6)], {"axes": (2, 3), "mode": "cubic", "keep_aspect_ratio_policy": "not_larger"}),
    ("resize", [IMAGE, ints(9, 6)], {"axes": (2, 3), "keep_aspect_ratio_policy": "not_smaller"}),
    ("resize", [IMAGE, None, None, floats(1, 1, 1.6, 0.6)], {"mode": "linear"}),
    ("resize", [IMAGE, None, None, floats(0.7, 0.5)], {"axes": (2, 3), "mode": "cubic", "antialias": True}),
    ("resize", [(IMAGE * 50).astype(np.int8), None, None, floats(2.5)], {"axes": (3,), "mode": "cubic"}),
    *(
        ("resize", [IMAGE, ints(7, 3)], {"axes": (2, 3), "mode": "linear", "coordinate_transformation_mode": places})
        for places in ("half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
    ),
    (
        "resize", [IMAGE, ints(3, 4), floats(0.4, -0.2, 0.6, 1.3)],
        {
            "axes": (2, 3), "mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize",
            "extrapolation_value": 9.0,
        },
    ),
]  # fmt: skip
RANK_IS_LENGTH = {"reshape", "expand", "constant_of_shape", "col2im"}
"""Operators where the length of an operand is a rank, which is never symbolic."""


def padded(op: str, inputs: list[Any]) -> list[Any]:
    """All operands, None for those absent."""
    return [*inputs, *[None] * (len(lookup(f"mm.{op}").operands) - len(inputs))]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_the_cpu_runs_shapes_that_are_data(
    run_cpu: Any, reference: Any, op: str, inputs: list[Any], attributes: dict[str, Any], symbolic: bool
) -> None:
    if symbolic and op in RANK_IS_LENGTH:
        pytest.skip("the length of a shape is a rank, which is never symbolic")
    wanted = reference(f"mm.{op}", *padded(op, inputs), **attributes)
    found = run_cpu(op, *inputs, symbolic=symbolic, **attributes)
    for mine, theirs in zip(found, wanted if isinstance(wanted, tuple) else [wanted], strict=True):
        assert_close(mine, theirs, op)


BOUND = st.one_of(st.integers(-6, 6), st.sampled_from([LEAST, LEAST + 1, MOST - 1, MOST]))
STEP = st.one_of(st.integers(-4, 4), st.sampled_from([LEAST + 1, MOST])).filter(bool)


@pytest.fixture(scope="module")
def slicer() -> Callable[..., Any]:
    """A model that slices [3, 4] by bounds, axes and steps given when it runs."""
    network = mm.Network("slicer")
    x = network.add_input("x", mm.float32, (3, 4))
    operands = [network.add_input(name, mm.int64, (2,)) for name in ("starts", "ends", "axes", "steps")]
    network.mark_output(network.slice(x, *operands), "y")
    context = (
        mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network).create_engine().create_context()
    )

    def run(*values: Any) -> Any:
        return context.run(dict(zip(("x", "starts", "ends", "axes", "steps"), values)))["y"]

    return run


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(BOUND, BOUND), st.tuples(BOUND, BOUND), st.sampled_from([(0, 1), (1, 0), (-1, 0), (-2, -1)]),
    st.tuples(STEP, STEP),
)  # fmt: skip
def test_slices_by_any_bounds_are_python_s(slicer: Any, starts: Any, ends: Any, axes: Any, steps: Any) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    window: list[Any] = [None, None]
    for axis, *bounds in zip(axes, starts, ends, steps):
        window[axis] = slice(*bounds)
    assert np.array_equal(slicer(x, *map(np.array, (starts, ends, axes, steps))), x[tuple(window)])


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("reshape", [X, ints(5, -1)], {}, "does not hold"),
        ("reshape", [X, ints(-2, -12)], {}, "a size is -"),
        ("reshape", [X, ints(4, 5)], {}, "does not hold"),
        ("expand", [X[:, :1], ints(5, 2, 1)], {}, "the sizes 2 and d[0-9]+ = 5 do not broadcast"),
        ("expand", [X, ints(2, 7, 4)], {}, "the sizes 3 and d[0-9]+ = 7 do not broadcast"),
        ("expand", [X, ints(2, 3, -4)], {}, "a size is -4"),
        ("split", [X, ints(1, 1)], {"axis": 1, "parts": 2}, "does not hold"),
        ("split", [X, ints(-1, 4)], {"axis": 1, "parts": 2}, "a size is -1"),
        ("pad", [X, ints(-3, -2)], {"axes": (2,)}, "a size is -1"),
        ("pad", [X, ints(-5, 2)], {"axes": (2,), "mode": "wrap"}, "a size is -1"),
        ("topk", [X, ints(4)], {"axis": 1}, "does not hold"),
        ("topk", [X, ints(-1)], {"axis": 1}, "a size is -1"),
        ("tile", [X, ints(1, -1, 1)], {}, "a size is -1"),
        ("slice", [X, ints(0), ints(1), ints(3)], {}, "outside|out of"),
        ("resize", [IMAGE, ints(-1, 4)], {"axes": (2, 3)}, "a size is -1"),
    ],
)
def test_what_fits_no_size_is_an_error_of_the_request(
    run_cpu: Any, op: str, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    with pytest.raises(mm.InputError, match=message):
        run_cpu(op, *inputs, **attributes)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_axes_are_cropped_before_they_are_padded(reference: Any, mode: str) -> None:
    pads = np.array([0, -1, 2, 1, 2, -1])
    network = mm.Network("pads")
    network.mark_output(network.pad(network.add_input("x", mm.float32, X.shape), pads, mode=mode), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    found = model.create_engine().create_context().run({"x": X})["y"]
    assert np.array_equal(found, reference("mm.pad", X, pads, None, mode=mode))
