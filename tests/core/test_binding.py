"""What a request may pass: arrays of any layout, DLPack objects, numbers; and what it may not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import InputError

CONTENT = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7


def identity(dtype: object = mm.float32, shape: tuple[object, ...] = (2, 3, 4)):
    """A context of a network that gives back what it takes, by way of one native step where there is one."""
    net = mm.Network("identity")
    net.mark_output(net.transpose(net.add_input("x", dtype, shape), permutation=range(len(shape))), "y")
    net.mark_output(net.reshape(net.arguments[0], np.array([-1])), "flat")
    return mm.Builder().build(net).create_engine().create_context()


@pytest.fixture(scope="module")
def floats():
    return identity()


def unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def shifted(array: np.ndarray) -> np.ndarray:
    """Aligned for its elements but for no vector."""
    raw = np.zeros(array.size + 1, array.dtype)
    view = raw[1:].reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "plain": CONTENT,
    "fortran": np.asfortranarray(CONTENT),
    "strided": np.repeat(CONTENT, 2, axis=2)[:, :, ::2],
    "reversed": CONTENT[::-1].copy()[::-1],
    "unaligned": unaligned(CONTENT),
    "shifted": shifted(CONTENT),
    "big-endian": CONTENT.astype(">f4"),
    "read-only": np.frombuffer(CONTENT.tobytes(), np.float32).reshape(CONTENT.shape),
    "list": CONTENT.tolist(),
    "integers": CONTENT.astype(int).tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(floats, layout: str) -> None:
    got = floats.run({"x": LAYOUTS[layout]})
    np.testing.assert_array_equal(got["y"], CONTENT)
    assert got["y"].dtype == np.float32
    np.testing.assert_array_equal(got["flat"], CONTENT.reshape(-1))


def test_a_scalar_keeps_its_rank_in_every_layout() -> None:
    ready = identity(mm.float64, ())
    for value in (1.5, np.float64(1.5), np.array(1.5), np.array(1.5, ">f8"), unaligned(np.array(1.5))):
        assert ready.run({"x": value})["y"].shape == ()
        assert ready.run({"x": value})["y"] == 1.5


@pytest.mark.parametrize("dtype", [dtype for dtype in mm.types.DTYPES if dtype.kind != "string"], ids=str)
def test_every_element_type_passes(dtype: mm.DType) -> None:
    values = np.array([0, 1, 1, 0]).astype(dtype.numpy)
    got = identity(dtype, (4,)).run({"x": values})
    assert got["y"].dtype == dtype.numpy
    assert got["y"].tobytes() == values.tobytes()


def test_strings_of_every_kind() -> None:
    net = mm.Network("strings")
    net.mark_output(net.add_input("x", "string", (2,)), "y")
    ready = mm.Builder().build(net).create_engine().create_context()
    for value in (["a", "äß"], np.array(["a", "äß"]), np.array(["a", "äß"], object)):
        got = ready.run({"x": value})["y"]
        assert got.dtype == object
        assert got.tolist() == ["a", "äß"]


def test_dlpack_objects(floats) -> None:
    torch = pytest.importorskip("torch")
    for tensor in (torch.tensor(CONTENT), torch.tensor(CONTENT.T.copy()).permute(2, 1, 0)):
        np.testing.assert_array_equal(floats.run({"x": tensor})["y"], CONTENT)
    flags = torch.tensor([True, False])
    np.testing.assert_array_equal(identity(mm.bool_, (2,)).run({"x": flags})["y"], [True, False])
    with pytest.raises(InputError, match="input 'x': the DLPack object cannot be read"):
        floats.run({"x": torch.tensor(CONTENT, requires_grad=True)})
    with pytest.raises(InputError, match="float64, expected float32"):
        floats.run({"x": torch.tensor(CONTENT).double()})


BAD = {
    "missing": ({}, "missing: x.*available: x: tensor<2x3x4xf32>"),
    "unknown": ({"x": CONTENT, "z": CONTENT}, "unknown: z"),
    "misspelt": ({"X": CONTENT}, "missing: x; unknown: X"),
    "not a mapping": ([CONTENT], "inputs are a list.*pass {name: array}"),
    "dtype": ({"x": CONTENT.astype(np.float64)}, r"input 'x'.*float64, expected float32.*astype\('float32'\)"),
    "integers": ({"x": CONTENT.astype(np.int32)}, "int32, expected float32"),
    "small float": ({"x": CONTENT.astype(ml_dtypes.bfloat16)}, "bfloat16, expected float32"),
    "rank": ({"x": CONTENT[0]}, r"shape is \[3, 4\], expected \[2, 3, 4\]"),
    "size": ({"x": CONTENT[:, :2]}, r"shape is \[2, 2, 4\], expected \[2, 3, 4\]"),
    "none": ({"x": None}, "input 'x'.*None"),
    "text": ({"x": "hello"}, "input 'x'"),
    "ragged": ({"x": [[1.0, 2.0], [3.0]]}, "input 'x'"),
    "object": ({"x": object()}, "input 'x'"),
    "dictionary": ({"x": {"a": 1}}, "input 'x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_explained(floats, case: str) -> None:
    inputs, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        floats.run(inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int8", [300, 0]), ("uint8", [-1, 0]), ("int64", [0.5, 0.0]), ("bool", [2, 0]), ("int4", [9, 0]),
     ("int64", [2**70, 0])],
)  # fmt: skip
def test_numbers_that_the_element_type_cannot_hold(dtype: str, value: list[float]) -> None:
    with pytest.raises(InputError, match="input 'x'"):
        identity(dtype, (2,)).run({"x": value})


def test_sequences_and_optionals() -> None:
    net = mm.Network("containers")
    tensor = mm.TensorType(mm.float32, (mm.types.symbol("N"),))
    net.mark_output(net.sequence_length(net.add_typed_input("s", mm.SequenceType(tensor))), "length")
    net.mark_output(net.optional_has_element(net.add_typed_input("o", mm.OptionalType(tensor))), "present")
    ready = mm.Builder().build(net).create_engine().create_context()
    item = np.zeros(2, np.float32)
    assert ready.run({"s": [item, [1.0, 2.0]], "o": None}) == {"length": 2, "present": False}
    assert ready.run({"s": (), "o": item}) == {"length": 0, "present": True}
    with pytest.raises(InputError, match="input 's': a list is expected, got ndarray"):
        ready.run({"s": item, "o": None})
    with pytest.raises(InputError, match=r"input 's'.*float64, expected float32"):
        ready.run({"s": [item.astype(np.float64)], "o": None})
