"""The launch plan: what is written is read back, and nothing that names what does not exist gets through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from mm_backend_mlu.program import Buffer, Launch, Program, Tensor, Trace

from mm_core.errors import ModelFileError

PROGRAM = Program(
    "mtp_372",
    (2, 6),
    (Tensor("f32", (4, 8)),),
    (Tensor("f16", (4, 8)),),
    (256,),
    1024,
    (
        Buffer("input", 0, 0, 128),
        Buffer("constant", 0, 64, 128),
        Buffer("workspace", 0, 512, 512),
        Buffer("output", 0, 0, 64),
    ),
    (
        Launch(0, (0, 1, 2), (2,), 0, 3, "mm.conv", ("first",)),
        Launch(1, (2, 3), (1,), 1, 24, "mm.cast", ("second", "third")),
    ),
    (Trace(0, 2, "f32", (1, 2, 4, 4), (128, 1, 8, 2), "mm.conv", ("first",)),),
)


def test_round_trip() -> None:
    assert Program.from_json(json.loads(json.dumps(PROGRAM.to_json()))) == PROGRAM


def _set(*path: str | int) -> Callable[[Any, object], None]:
    def change(data: Any, value: object) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("arch",), 372),
        (("clusters",), [0]),
        (("workspace",), -1),
        (("workspace",), 1023),
        (("constants",), []),
        (("constants",), [-4]),
        (("inputs", 0, "dtype"), "f31"),
        (("inputs", 0, "shape"), [-4, 8]),
        (("buffers", 0, "space"), "moon"),
        (("buffers", 0, "index"), 1),
        (("buffers", 0, "offset"), -64),
        (("buffers", 0, "offset"), 4),
        (("buffers", 0, "size"), 192),
        (("buffers", 2, "index"), 1),
        (("launches", 0, "buffers"), [0, 1, 9]),
        (("launches", 0, "written"), [3]),
        (("launches", 0, "written"), [0]),
        (("launches", 0, "kernel"), -1),
        (("launches", 0, "kind"), 3),
        (("launches", 0, "tasks"), 0),
        (("launches", 0, "nodes"), [1]),
        (("traces", 0, "launch"), 2),
        (("traces", 0, "buffer"), 4),
        (("traces", 0, "strides"), [128, 1, 8]),
        (("traces", 0, "strides"), [128, 1, 80, 2]),
        (("traces", 0, "strides"), [128, 1, -8, 2]),
        (("traces", 0, "shape"), [2, 2, 4, 4]),
        (("traces", 0, "dtype"), "f31"),
    ],
)
def test_damage_is_found(path: tuple[str | int, ...], value: object) -> None:
    data = json.loads(json.dumps(PROGRAM.to_json()))
    _set(*path)(data, value)
    with pytest.raises(ModelFileError):
        Program.from_json(data)


@pytest.mark.parametrize("change", ["missing", "unknown", "list"])
def test_other_json_is_refused(change: str) -> None:
    data: Any = PROGRAM.to_json()
    if change == "missing":
        del data["launches"][0]["tasks"]
    elif change == "unknown":
        data["launches"][0]["speed"] = 4
    else:
        data = [data]
    with pytest.raises(ModelFileError):
        Program.from_json(data)
