"""The `.mm` container: what goes in comes out, and no damaged, truncated or crafted file gets through."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_core.errors import ModelFileError
from mm_core.serial import Container, Section, check_fields, container_bytes, write_container
from mm_core.serial.digests import LEAF_BYTES, LeafHasher, digest, first_mismatch
from mm_core.serial.layout import MAGIC, PREAMBLE_BYTES, pack_preamble
from mm_core.serial.strict_json import decode, encode
from mm_core.types import DTYPES, DType, TensorData
from mm_core.types.dtypes import float32, string


def sample() -> bytes:
    """A small file with each kind of content: plain bytes, an empty section, tensors, strings, paddings."""
    weights = {
        "conv.weight": TensorData.of(np.arange(75, dtype=np.float32).reshape(5, 3, 5)),
        "conv.bias": TensorData.of(np.arange(5, dtype=np.float16)),
        "labels": TensorData.of(np.array(["cat", "", "žluťoučký"], object)),
    }
    sections = [
        Section("plan", "plan", b"\x07" * 300),
        Section("empty", "text", b""),
        Section("weights", "tensors", weights),
        Section("code", "executable", b"code"),
    ]
    return container_bytes({"model": "digits", "requires": {"run": ["cpu"]}}, sections)


def read_everything(source: Path | bytes) -> dict[str, Any]:
    container = Container.open(source)
    container.verify()
    return {
        name: {key: tensor.numpy().tolist() for key, tensor in container.tensors(name).items()}
        if kind == "tensors"
        else bytes(container.section(name))
        for name, kind in container.sections.items()
    }


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    path.write_bytes(b"an older file")
    array = np.arange(12, dtype=np.int64).reshape(3, 4)
    sections = [
        Section("plan", "plan", bytearray(b"steps")),
        Section("w", "tensors", {"a": TensorData.of(array), "transposed": TensorData.of(array.T)}),
    ]
    write_container(path, {"name": "m", "list": (1, 2.5, None, True)}, sections)
    container = Container.open(path)
    assert container.header == {"name": "m", "list": [1, 2.5, None, True]}
    assert container.sections == {"plan": "plan", "w": "tensors"}
    assert container.section("plan") == b"steps"
    tensors = container.tensors("w")
    np.testing.assert_array_equal(tensors["a"].numpy(), array)
    np.testing.assert_array_equal(tensors["transposed"].numpy(), array.T)
    assert path.read_bytes() == container_bytes({"name": "m", "list": (1, 2.5, None, True)}, sections)
    assert os.listdir(tmp_path) == ["m.mm"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 5)])
def test_every_element_type(dtype: DType, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    if dtype is string:
        array = np.array([f"text {i}" for i in range(count)], object).reshape(shape)
    elif dtype.bits < 8:
        array = (np.arange(count) % 2).reshape(shape).astype(dtype.numpy)
    else:
        raw = np.random.default_rng(0).integers(0, 256, count * dtype.itemsize, np.uint8)
        array = (raw % 2 if dtype.kind == "bool" else raw).view(dtype.numpy).reshape(shape)
    data = container_bytes(
        {}, [Section("w", "tensors", {"before": TensorData.of(np.int8(1)), "x": TensorData.of(array)})]
    )
    tensor = Container.open(data).tensors("w")["x"]
    assert (tensor.dtype, tensor.shape, tensor.key) == (dtype, shape, "x")
    assert tensor.numpy().dtype == array.dtype
    assert (
        tensor.numpy().tolist() == array.tolist()
        if dtype is string
        else tensor.numpy().tobytes() == array.tobytes()
    )


texts = st.text(st.characters(exclude_categories=["Cs"]))  # all but lone surrogates, which UTF-8 cannot hold
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(texts, json_values, max_size=4),
    st.dictionaries(texts, st.binary(max_size=9000), max_size=5),
)
def test_any_header_and_sections_round_trip(header: dict[str, Any], contents: dict[str, bytes]) -> None:
    data = container_bytes(header, [Section(name, "k", content) for name, content in contents.items()])
    container = Container.open(data)
    assert container.header == header
    assert {name: bytes(container.section(name)) for name in container.sections} == contents


def test_same_content_same_bytes() -> None:
    assert sample() == sample()
    assert container_bytes({"a": 1, "b": 2}, []) == container_bytes({"b": 2, "a": 1}, [])


def test_arrays_are_read_only_views_of_the_mapping(tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    write_container(path, {}, [Section("w", "tensors", {"x": TensorData.of(np.ones(1000, np.float32))})])
    container = Container.open(path)
    array, section = container.tensors("w")["x"].numpy(), container.section("w")
    assert np.shares_memory(array, np.frombuffer(section, np.uint8))
    assert array.ctypes.data % 64 == 0
    assert not array.flags.writeable
    assert section.readonly
    del container, section
    path.unlink()
    assert array.sum() == 1000  # the mapping lives as long as the array


def test_every_flipped_byte_is_detected() -> None:
    data = sample()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ModelFileError):
            read_everything(bytes(damaged))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 5 MiB of weights in many leaves, none of which ends where a tensor does."""
    path = tmp_path_factory.mktemp("large") / "m.mm"
    random = np.random.default_rng(0)
    tensors = {f"w{i}": TensorData.of(random.integers(0, 255, 700_001, np.uint8)) for i in range(8)}
    write_container(path, {}, [Section("plan", "plan", b"p"), Section("w", "tensors", tensors)])
    return path


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_byte_of_a_large_file_is_detected(large: Path, data: st.DataObject) -> None:
    content = bytearray(large.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ModelFileError):
        Container.open(content).verify()


def test_damage_in_weights_is_found_before_first_use_and_named(large: Path, tmp_path: Path) -> None:
    content = bytearray(large.read_bytes())
    position = len(content) - 100
    content[position] ^= 1
    path = tmp_path / "damaged.mm"
    path.write_bytes(content)
    tensors = Container.open(path).tensors("w")
    tensors["w0"].numpy()
    with pytest.raises(
        ModelFileError, match=r"damaged\.mm: .*section 'w' .* bytes \d+ to \d+ .*rebuild"
    ) as caught:
        tensors["w7"].numpy()
    first, last = (int(word) for word in caught.value.what.split() if word.isdigit())
    assert first <= position < last
    assert last - first <= LEAF_BYTES
    container = Container.open(path)
    with pytest.raises(ModelFileError, match="section 'w'"):
        container.section("w")
    with pytest.raises(ModelFileError, match="section 'w'"):
        container.verify()


def test_damage_in_plain_sections_is_found_when_opened() -> None:
    data = sample()
    position = data.rindex(b"code")
    with pytest.raises(ModelFileError, match="section 'code'"):
        Container.open(data[:position] + b"Code" + data[position + 4 :])


def test_every_truncation_and_extension_is_detected() -> None:
    data = sample()
    for length in [*range(PREAMBLE_BYTES + 8), *range(PREAMBLE_BYTES + 8, len(data), 97), len(data) - 1]:
        with pytest.raises(ModelFileError):
            Container.open(data[:length])
    for tail in (b"\0", b"PK\x05\x06", bytes(4096)):
        with pytest.raises(ModelFileError, match="foreign bytes"):
            Container.open(data + tail)


# Files that a person made on purpose: every digest is right, the content is not.


def forge(change: Callable[[dict[str, Any]], None], data: bytes | None = None) -> bytes:
    """The sample with a changed header, its digest made anew and the body where it belongs."""
    source = sample() if data is None else data
    length = int.from_bytes(source[12:16], "little")
    header = json.loads(source[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
    change(header)
    return with_header(json.dumps(header).encode(), source)


def with_header(text: bytes, source: bytes | None = None) -> bytes:
    source = sample() if source is None else source
    length = int.from_bytes(source[12:16], "little")
    body = source[-(-(PREAMBLE_BYTES + length) // 4096) * 4096 :]
    front = pack_preamble(text) + text
    return front + bytes(-len(front) % 4096) + body


def test_the_forger_makes_valid_files() -> None:
    assert read_everything(forge(lambda header: None)) == read_everything(sample())


def weights(header: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = header["sections"][2]
    return section


FORGERIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda h: h.update(extra=1), "unknown: 'extra'"),
    "unknown key of a section": (lambda h: h["sections"][0].update(pointer=4096), "unknown: 'pointer'"),
    "unknown key of a tensor": (lambda h: weights(h)["tensors"][0].update(x=1), "unknown: 'x'"),
    "no sections": (lambda h: h.pop("sections"), "absent: sections"),
    "sections of a wrong type": (lambda h: h.update(sections={}), "not list"),
    "section of a wrong type": (lambda h: h.update(sections=[3]), "expected an object"),
    "boolean offset": (lambda h: h["sections"][0].update(offset=False), "of type bool, not int"),
    "float length": (lambda h: h["sections"][0].update(length=300.0), "of type float, not int"),
    "negative length": (lambda h: h["sections"][0].update(length=-1, leaves=""), "-1 bytes"),
    "huge length": (lambda h: h["sections"][0].update(length=1 << 62), "do not fit"),
    "offset beyond the file": (lambda h: h["sections"][0].update(offset=1 << 62), "offset"),
    "overlap": (lambda h: h["sections"][3].update(offset=0), "offset 0"),
    "gap": (lambda h: h["sections"][3].update(offset=h["sections"][3]["offset"] + 4096), "offset"),
    "repeated name": (lambda h: h["sections"][1].update(name="plan"), "two sections are named 'plan'"),
    "digest not hexadecimal": (lambda h: h["sections"][0].update(leaves="g" * 64), "hexadecimal"),
    "no digest": (lambda h: h["sections"][0].update(leaves=""), "digits of digests"),
    "wrong digest": (lambda h: h["sections"][0].update(leaves="0" * 64), "section 'plan'"),
    "unknown element type": (lambda h: weights(h)["tensors"][0].update(dtype="f31"), "element type 'f31'"),
    "negative dimension": (lambda h: weights(h)["tensors"][0].update(shape=[-5, -15]), "not a shape"),
    "boolean dimension": (lambda h: weights(h)["tensors"][0].update(shape=[75, True]), "not a shape"),
    "absurd rank": (lambda h: weights(h)["tensors"][0].update(shape=[75] + [1] * 100), "not a shape"),
    "absurd shape": (lambda h: weights(h)["tensors"][0].update(shape=[0, 1 << 62, 1 << 62]), "beyond any"),
    "shape larger than the data": (lambda h: weights(h)["tensors"][0].update(shape=[76]), "304 bytes"),
    "strings larger than the data": (lambda h: weights(h)["tensors"][2].update(shape=[1000]), "8000 bytes"),
    "tensor outside": (lambda h: weights(h)["tensors"][1].update(offset=1 << 40), "where none can be"),
    "tensors overlap": (lambda h: weights(h)["tensors"][1].update(offset=0), "where none can be"),
    "repeated key": (lambda h: weights(h)["tensors"][1].update(key="labels"), "the key 'labels'"),
    "tensors end early": (lambda h: weights(h)["tensors"].pop(), "its tensors end at"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_crafted_headers_are_refused(name: str) -> None:
    change, message = FORGERIES[name]
    with pytest.raises(ModelFileError, match=message):
        read_everything(forge(change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "expected an object"),
        (b'{"header":{},"header":{},"sections":[]}', "duplicate key 'header'"),
        (b'{"header":{"a":NaN},"sections":[]}', "NaN is not"),
        (b'{"header":' + b"[" * 200_000, "not valid JSON"),
        (b'{"header":{"a":' + b"9" * 5000 + b'},"sections":[]}', "not valid JSON"),
        (b'{"header":{"a":"\xff"},"sections":[]}', "not valid JSON"),
    ],
    ids=["empty", "list", "duplicate", "nan", "deep", "long-integer", "not-utf8"],
)
def test_crafted_json_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        Container.open(with_header(text))


def test_padding_between_sections_must_be_zero() -> None:
    data = bytearray(sample())
    position = data.index(b"\x07" * 300) + 300
    data[position + 10] = 1
    with pytest.raises(ModelFileError, match=r"padding .* not zero"):
        Container.open(data)


@pytest.mark.parametrize("lengths", [[2, 6, 14], [3, 0, 14], [1 << 63, 1 << 63, 0], [2, 1, 14]])
def test_crafted_string_lengths_are_refused(lengths: list[int]) -> None:
    strings = ["cat", "", "žluťoučký"]
    data = container_bytes({}, [Section("w", "tensors", {"x": TensorData.of(np.array(strings, object))})])
    start = len(data) - 24 - len("".join(strings).encode())
    body = np.array(lengths, "<u8").tobytes() + "".join(strings).encode()

    def change(header: dict[str, Any]) -> None:
        header["sections"][0]["leaves"] = digest(body).hex()

    with pytest.raises(ModelFileError, match=r"string|follow"):
        read_everything(forge(change, data[:start] + body))


def test_another_version_and_a_signature_are_named_as_such() -> None:
    data = bytearray(sample())
    data[8] = 2
    with pytest.raises(ModelFileError, match=r"format 2 cannot be read.*format 1"):
        Container.open(data)
    signed = bytearray(sample())
    signed[PREAMBLE_BYTES - 1] = 1
    with pytest.raises(ModelFileError, match="signed"):
        Container.open(signed)


def test_a_header_longer_than_the_file_or_the_limit_is_refused() -> None:
    for length, message in ((1 << 20, "truncated"), (1 << 31, "limit")):
        data = bytearray(sample())
        data[12:16] = length.to_bytes(4, "little")
        with pytest.raises(ModelFileError, match=message):
            Container.open(data)


def test_what_is_not_a_model_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mm").touch()
    (tmp_path / "text.mm").write_text("no model\n")
    os.mkfifo(tmp_path / "pipe.mm")
    cases = {
        "absent.mm": "No such file",
        "empty.mm": "magic",
        "text.mm": "magic",
        "pipe.mm": "not a regular file",
        ".": "not a regular file",
    }
    for name, message in cases.items():
        with pytest.raises(ModelFileError, match=message):
            Container.open(tmp_path / name)
    with pytest.raises(ModelFileError, match="truncated"):
        Container.open(MAGIC)


def test_asking_for_what_is_not_there_lists_what_is() -> None:
    container = Container.open(sample())
    with pytest.raises(ModelFileError, match=r"no section 'graph'.*plan, empty, weights, code"):
        container.section("graph")
    with pytest.raises(ModelFileError, match=r"'plan' holds no tensors.*available: weights"):
        container.tensors("plan")


# Writing.


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    write_container(path, {"generation": 1}, [])

    def fail() -> np.ndarray[Any, np.dtype[Any]]:
        raise RuntimeError("the disk with the weights is gone")

    tensors = {"good": TensorData.of(np.ones(10_000)), "bad": TensorData(float32, (4,), fail)}
    with pytest.raises(RuntimeError, match="is gone"):
        write_container(path, {"generation": 2}, [Section("w", "tensors", tensors)])
    assert os.listdir(tmp_path) == ["m.mm"]
    assert Container.open(path).header == {"generation": 1}


def test_unwritable_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("absent/m.mm", "folder", "file/m.mm", "m" * 300):
        with pytest.raises(ModelFileError, match="cannot write the model file"):
            write_container(tmp_path / name, {}, [])
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    unreadable: list[tuple[Any, list[Section], str]] = [
        ({"a": float("nan")}, [], "cannot be written as JSON"),
        ({"a": object()}, [], "cannot be written as JSON"),
        ({"a": "\ud800"}, [], "cannot be written as JSON"),
        ({"a": {1: "x", "1": "y"}}, [], "JSON"),
        ({}, [Section("s", "k", b""), Section("s", "k", b"")], "two sections are named 's'"),
        ({}, [Section("s", "k", {"x": TensorData.of(np.array([b"raw"], object))})], "holds bytes"),
    ]
    for header, sections, message in unreadable:
        with pytest.raises(ModelFileError, match=message):
            write_container(tmp_path / "m.mm", header, sections)
    assert os.listdir(tmp_path) == []


def test_a_file_can_be_rewritten_from_its_own_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    tensors = {f"w{i}": TensorData.of(np.full(5000, i, np.float32)) for i in range(10)}
    write_container(path, {}, [Section("w", "tensors", tensors)])
    container = Container.open(path)
    write_container(path, {}, [Section("w", "tensors", dict(reversed(container.tensors("w").items())))])
    assert list(Container.open(path).tensors("w")) == list(reversed(tensors))
    for key, tensor in Container.open(path).tensors("w").items():
        assert tensor == tensors[key]
    assert container.tensors("w")["w3"] == tensors["w3"]  # the replaced file is still mapped


# Hashing.


@given(st.lists(st.integers(0, 2_500_000), max_size=4), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_streamed_leaves_are_the_digests_of_slices(pieces: list[int], fill: int) -> None:
    hasher = LeafHasher()
    whole = bytes([fill]) * sum(pieces)
    start = 0
    for length in pieces:
        hasher.update(memoryview(whole)[start : start + length])
        start += length
    leaves = hasher.leaves()
    assert leaves == tuple(digest(whole[i : i + LEAF_BYTES]) for i in range(0, len(whole), LEAF_BYTES))
    assert first_mismatch(memoryview(whole), leaves, range(len(leaves))) is None


def test_the_first_of_many_damaged_leaves_is_reported() -> None:
    whole = bytearray(40 * LEAF_BYTES)
    leaves = [digest(bytes(LEAF_BYTES))] * 40
    for leaf in (39, 17, 18):
        whole[leaf * LEAF_BYTES + 5] = 1
    assert first_mismatch(memoryview(whole), leaves, range(40)) == 17
    assert first_mismatch(memoryview(whole), leaves, range(19, 40)) == 39
    assert first_mismatch(memoryview(whole), leaves, range(20, 22)) is None


def test_many_threads_read_one_container(large: Path) -> None:
    container = Container.open(large)
    expected = {key: tensor.numpy().sum() for key, tensor in Container.open(large).tensors("w").items()}
    results: list[dict[str, Any]] = []

    def work() -> None:
        results.append({key: tensor.numpy().sum() for key, tensor in container.tensors("w").items()})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


@pytest.mark.serial
def test_100_megabytes_open_and_verify_within_0_3_seconds(tmp_path: Path) -> None:
    path = tmp_path / "m.mm"
    random = np.random.default_rng(0)
    tensors = {f"w{i}": TensorData.of(random.standard_normal(250_000, np.float32)) for i in range(100)}
    write_container(path, {}, [Section("w", "tensors", tensors)])
    assert path.stat().st_size > 100_000_000
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        Container.open(path).verify()
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.3


# Strict JSON, which other layers use for what they keep in the header.


def test_canonical_json() -> None:
    assert encode({"b": [1, "ž"], "a": None}, "x") == '{"a":null,"b":[1,"ž"]}'.encode()
    assert decode(b'{"a": [1.5, true]}', "x") == {"a": [1.5, True]}


def test_check_fields() -> None:
    value = {"name": "n", "size": 3}
    assert check_fields(value, "x", {"name": str}, {"size": int, "note": str}) is value
    with pytest.raises(ModelFileError, match="manifest: absent: version"):
        check_fields(value, "manifest", {"version": int}, {"name": str, "size": int})
    with pytest.raises(ModelFileError, match=r"unknown: 'size'.*available: name"):
        check_fields(value, "manifest", {"name": str})
    with pytest.raises(ModelFileError, match="size is of type int, not str"):
        check_fields(value, "manifest", {"name": str, "size": str})
