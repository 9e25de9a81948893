"""Models of more than 2 GB: parsing takes the memory that their graph takes; what protobuf cannot read says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mm_core as mm
from benchmarks.micro import large_model
from tests.zoo import large
from tests.zoo.comparison import assert_same, context, reference

Save = Callable[[Path, int, int], Path]
LAYERS, WIDTH = 3, 16384  # 3.2 GB


@pytest.mark.serial
@pytest.mark.parametrize("save", [large.save_large, large.save_large_in_one_file])
def test_weights_are_not_read(save: Save, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    bare, whole = (
        large_model.peak(save(folder, LAYERS, width)) for folder, width in ((tmp_path / "small", 1), (tmp_path, WIDTH))
    )
    assert whole < bare + 10


@pytest.mark.parametrize("save", [large.save_large, large.save_large_in_one_file])
def test_the_same_layout_at_a_small_size_runs(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path, 2, 48)
    target = tmp_path / "weights.bin" if (tmp_path / "weights.bin").exists() else path
    weights = np.random.default_rng(0).normal(size=2 * 48 * 48).astype(np.float32).tobytes()
    content = target.read_bytes()
    place = content.index(bytes(48 * 48 * 4))
    first, second = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    content = content[:place] + first + content[place + len(first) :]
    content = content[: len(content) - len(second)] + second
    target.write_bytes(content)
    inputs = {"x": np.random.default_rng(1).normal(size=(3, 48)).astype(np.float32)}
    assert_same(context(path, tmp_path).run(inputs), reference(path, inputs))


def test_more_than_protobuf_reads_is_said(tmp_path: Path) -> None:
    """Two gigabytes that are no initializer: here the documentation of the model."""
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.write(b"\x08\x08" + large.prefix(6, 2**31) + bytes(8))
        file.truncate(file.tell() + 2**31 - 8)
        file.seek(0, 2)
        file.write(b"\x3a\x00")
    with pytest.raises(mm.ParseError, match=r"model\.onnx.*protobuf reads 2 GB.*external data"):
        mm.parse(path)


def test_weights_beyond_the_file(tmp_path: Path) -> None:
    path = large.save_large(tmp_path, LAYERS, WIDTH)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(3 * 2**30 - 1)
    with pytest.raises(mm.ParseError, match=r"'w2' needs bytes 2147483648 to 3221225472 .* which has 3221225471"):
        mm.parse(path)
