"""Shapes, inputs and figures of the commands, without a model."""

from __future__ import annotations

from pathlib import Path

import click
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mm_core as mm
from mm_core.cli.blocks import describe, format_bytes
from mm_core.cli.inputs import random_inputs, read_inputs, resolve_shapes, write_outputs
from mm_core.cli.statistics import Latency
from mm_core.cli.values import BatchSizes, InputDims, NameValue, shapes_by_input
from mm_core.errors import InputError
from mm_core.types import SequenceType, TensorSpec, TensorType, as_shape


def spec(name: str, dtype: mm.DType, *shape: object) -> TensorSpec:
    return TensorSpec.of(name, TensorType(dtype, as_shape(shape)))


SPECS = [spec("x", mm.float32, "N", 3, "H", "H"), spec("mask", mm.int64, "N", "2*H"), spec("k", mm.float32)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,3,224,224", ((None, (1, 3, 224, 224)),)),
        ("x=1,3", (("x", (1, 3)),)),
        ("a:0=7", (("a:0", (7,)),)),
        ("x=1=2,3", (("x=1", (2, 3)),)),
        ("1,2 _ 5", ((None, (1, 2)), (None, ()), (None, (5,)))),
    ],
)
def test_input_dims_are_read(text: str, value: object) -> None:
    assert InputDims().convert(text, None, None) == value


@pytest.mark.parametrize("text", ["x=", "1,,2", "a,b", "=1,2", "-1,3", "1.5"])
def test_bad_input_dims_are_usage_errors(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a shape"):
        InputDims().convert(text, None, None)


def test_batch_sizes_and_pairs() -> None:
    assert BatchSizes().convert("8", None, None) == (8,)
    assert BatchSizes().convert("2,,3", None, None) == (2, None, 3)
    for text in ("", "0", "a", ",", "-2"):
        with pytest.raises(click.BadParameter):
            BatchSizes().convert(text, None, None)
    assert NameValue().convert("cpu.arch=avx2", None, None) == ("cpu.arch", "avx2")
    with pytest.raises(click.BadParameter):
        NameValue().convert("arch", None, None)


def test_two_shapes_for_one_name_are_refused() -> None:
    with pytest.raises(click.UsageError, match="two shapes"):
        shapes_by_input(((("x", (1,)), ("x", (2,))),))


def test_symbols_bind_across_inputs() -> None:
    resolved = resolve_shapes(SPECS, {"x": (4, 3, 8, 8)})
    assert resolved.shapes == {"x": (4, 3, 8, 8), "mask": (4, 16), "k": ()}
    assert resolved.guessed == ()


def test_what_nobody_gives_is_one_and_said_so() -> None:
    resolved = resolve_shapes(SPECS, {})
    assert resolved.shapes["mask"] == (1, 2)
    assert resolved.guessed == ("H", "N")


def test_batch_size_for_all_and_by_position() -> None:
    assert resolve_shapes(SPECS, {}, (8,)).shapes["x"][0] == 8
    two = [spec("a", mm.float32, "N", 2), spec("b", mm.float32, "M", 2)]
    assert resolve_shapes(two, {}, (None, 5)).shapes == {"a": (1, 2), "b": (5, 2)}


@pytest.mark.parametrize(
    ("shapes", "batch", "message"),
    [
        ({"y": (1,)}, (), "no input 'y'.*available: x, mask, k"),
        ({3: (1,)}, (), "shape number 4 has no input"),
        ({0: (1, 3, 2, 2), "x": (1, 3, 2, 2)}, (), "two shapes"),
        ({"x": (1, 3, 8)}, (), "'x' is Nx3xHxH, got 3 dimensions"),
        ({"x": (1, 4, 8, 8)}, (), "does not allow 4"),
        ({"x": (1, 3, 8, 9)}, (), "does not allow 9 for H"),
        ({"x": (1, 3, 8, 8), "mask": (2, 16)}, (), "does not allow 2 for N"),
        ({"mask": (1, 3)}, (), "'mask' cannot be"),
    ],
)
def test_contradictions_are_input_errors(shapes: dict, batch: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_shapes(SPECS, shapes, batch)


def test_random_inputs_fit_and_repeat() -> None:
    specs = [
        *SPECS,
        spec("b", mm.bool_, 2),
        spec("h", mm.bfloat16, 2),
        spec("s", mm.string, 2),
        spec("i4", mm.int4, 3),
    ]
    shapes = resolve_shapes(specs, {"x": (2, 3, 4, 4)})
    first, second = random_inputs(specs, shapes.shapes), random_inputs(specs, shapes.shapes)
    for one in specs:
        assert first[one.name].shape == shapes.shapes[one.name]
        assert first[one.name].dtype == one.dtype.numpy
        np.testing.assert_array_equal(first[one.name], second[one.name])
    assert set(np.unique(first["mask"])) <= {0, 1}
    assert first["h"].dtype == ml_dtypes.bfloat16


def test_sequences_are_not_made_up() -> None:
    sequence = TensorSpec.of("q", SequenceType(TensorType(mm.float32, (2,))))
    with pytest.raises(InputError, match="only tensors can be made up"):
        random_inputs([sequence], {"q": (2,)})


def test_inputs_from_files(tmp_path: Path) -> None:
    x, mask = np.ones((1, 3, 2, 2), np.float32), np.zeros((1, 4), np.int64)
    np.savez(tmp_path / "two.npz", mask=mask, k=np.float32(3))
    np.save(tmp_path / "x.npy", x)
    arrays = read_inputs([tmp_path / "x.npy", tmp_path / "two.npz"], SPECS)
    np.testing.assert_array_equal(arrays["x"], x)
    assert set(arrays) == {"x", "mask", "k"}


def test_bad_input_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(3))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("not an array")
    np.savez(tmp_path / "other.npz", x=1, mask=1, k=1, z=1)
    for files, message in [
        (["x.npy"], "lack mask, k"),
        (["x.npy"] * 4, "one .npy file too many"),
        (["other.npz"], "no input z"),
        (["absent.npy"], "cannot be read"),
        (["text.npy"], "cannot be read"),
        (["objects.npy"], "cannot be read"),
    ]:
        with pytest.raises(InputError, match=message):
            read_inputs([tmp_path / name for name in files], SPECS)


def test_outputs_become_one_file_each(tmp_path: Path) -> None:
    written = write_outputs({"a/b:0": np.arange(3), "y": np.float32(2)}, tmp_path / "out")
    assert [path.name for path in written] == ["a_b_0.npy", "y.npy"]
    np.testing.assert_array_equal(np.load(written[0]), np.arange(3))


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=50))
def test_latency_figures_are_ordered_and_in_milliseconds(seconds: list[float]) -> None:
    found = Latency.of(seconds)
    assert found.min == pytest.approx(1e3 * min(seconds))
    assert found.max == pytest.approx(1e3 * max(seconds))
    tolerance = 1e-9 * found.max
    assert found.min - tolerance <= found.median <= found.p90 + tolerance
    assert found.p90 <= found.p95 + tolerance <= found.p99 + 2 * tolerance <= found.max + 3 * tolerance
    assert found.min - tolerance <= found.mean <= found.max + tolerance


def test_texts() -> None:
    assert [format_bytes(n) for n in (0, 1023, 1024, 3 << 20, 5 << 30)] == [
        "0 B", "1023 B", "1.00 KiB", "3.00 MiB", "5.00 GiB",
    ]  # fmt: skip
    assert describe(SPECS[0]) == "float32 Nx3xHxH"
    assert describe(SPECS[2]) == "float32 scalar"
