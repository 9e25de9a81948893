"""Element types and weights: names, storage, handles that never cost I/O before they are read."""

from __future__ import annotations

import pickle

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import InputError
from mm_core.types import BY_NAME, BY_TEXT, DTYPES, TensorData, as_dtype

# ---- element types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_type_is_found_by_everything_that_names_it(dtype: mm.DType) -> None:
    assert as_dtype(dtype) is dtype
    assert as_dtype(dtype.name) is dtype
    assert as_dtype(dtype.text) is dtype
    assert as_dtype(dtype.numpy) is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    if dtype.numpy.kind in "iuf" and dtype.itemsize > 1:
        assert as_dtype(dtype.numpy.newbyteorder(">")) is dtype


def test_names_are_unique_and_exported() -> None:
    assert len(BY_NAME) == len(BY_TEXT) == len(DTYPES)
    for dtype in DTYPES:
        assert getattr(mm, dtype.name if dtype.name != "bool" else "bool_") is dtype


@pytest.mark.parametrize(
    "bad",
    ["float31", None, 7, object(), "datetime64", np.dtype("M8[s]"), [1], b"f32"],
    ids=lambda bad: type(bad).__name__,  # repr would name an address, another one in each worker
)
def test_what_is_no_element_type(bad: object) -> None:
    with pytest.raises(InputError, match=r"is not an element type.*float32"):
        as_dtype(bad)


def test_python_types() -> None:
    assert as_dtype(bool) is mm.bool_
    assert as_dtype(int) is mm.int64
    assert as_dtype(str) is mm.string
    assert as_dtype(ml_dtypes.bfloat16) is mm.bfloat16


# ---- weights -----------------------------------------------------------------------------------------------------


def test_an_array_is_held_without_a_copy_and_read_only() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = TensorData.of(array)
    assert np.shares_memory(data.numpy(), array)
    assert (data.shape, data.dtype, data.nbytes, data.size) == ((2, 3), mm.float32, 24, 6)
    with pytest.raises(ValueError, match="read-only"):
        data.numpy()[0, 0] = 1
    assert array.flags.writeable, "the caller's array stays as it was"


def test_a_lazy_weight_is_made_once_and_when_it_is_read() -> None:
    calls: list[int] = []

    def load() -> np.ndarray:
        calls.append(1)
        return np.ones((2, 2), np.float32)

    data = TensorData(mm.float32, (2, 2), load)
    assert (data.nbytes, data.is_loaded, calls) == (16, False, [])
    assert data.numpy() is data.numpy()
    assert data.is_loaded
    assert calls == [1]


@pytest.mark.parametrize("made", [np.ones((2, 3), np.float32), np.ones((2, 2), np.float64)])
def test_a_lazy_weight_that_breaks_its_word(made: np.ndarray) -> None:
    data = TensorData(mm.float32, (2, 2), lambda: made, key="w")
    with pytest.raises(InputError, match=r"weight w was declared f32\[2, 2\] but its data is"):
        data.numpy()


def test_equality_is_of_bits() -> None:
    nan = np.array([np.nan, -0.0], np.float32)
    assert TensorData.of(nan) == TensorData.of(nan.copy())
    assert TensorData.of(np.array([0.0], np.float32)) != TensorData.of(np.array([-0.0], np.float32))
    assert TensorData.of(np.ones(2, np.float32)) != TensorData.of(np.ones(2, np.float64))
    assert TensorData.of(np.ones((1, 2))) != TensorData.of(np.ones((2, 1)))
    assert TensorData.of(np.array(["a", "b"])) == TensorData.of(np.array(["a", "b"], object))
    assert hash(TensorData.of(nan)) == hash(TensorData.of(nan.copy()))
    assert TensorData.of(nan) != nan.tobytes()


def test_one_key_is_one_weight_without_reading_it() -> None:
    def never() -> np.ndarray:
        raise AssertionError("read")

    first, second = (TensorData(mm.float32, (2,), never, key="w") for _ in range(2))
    assert first == second
