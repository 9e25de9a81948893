"""ONNX models of every construct, and changes to their messages field by field."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from onnx import helper, numpy_helper

INTEGERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 16, 64, 2**31 - 1, 2**40, 2**62, 2**63 - 1)
TEXTS = ("", "x", "y", "w", "Relu", "If", "Loop", "Reshape", "Conv", "ai.onnx.ml", "local", "axis", "N", "../x", "\0")
_DEEPEST = 40


def samples() -> list[Any]:
    """Small models: convolution, control flow, functions, shapes that are computed, sequences, sparse weights."""
    value, node, graph = helper.make_tensor_value_info, helper.make_node, helper.make_graph

    def model(body: Any, **extra: Any) -> Any:
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
        return helper.make_model(body, opset_imports=opsets, ir_version=9, **extra)

    def weight(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32), name)

    def whole(name: str, *numbers: int) -> Any:
        return numpy_helper.from_array(np.array(numbers, np.int64), name)

    convolution = graph(
        [
            node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Relu", ["c"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Resize", ["p", "", "scales"], ["z"], mode="linear"),
            node("Reshape", ["z", "shape"], ["f"]),
            node("Gemm", ["f", "v"], ["y"], transB=1),
        ],
        "convolution",
        [value("x", 1, ["N", 3, 8, 8])],
        [value("y", 1, ["N", 5])],
        [weight("w", 4, 3, 3, 3), weight("v", 5, 64), whole("shape", -1, 64),
         numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")],
    )  # fmt: skip
    branch = [graph([node(op, ["x"], ["b"])], op, [], [value("b", 1, None)]) for op in ("Neg", "Exp")]
    body = graph(
        [node("Identity", ["going"], ["on"]), node("Add", ["v", "v"], ["twice"]), node("Neg", ["twice"], ["scan"])],
        "body",
        [value("i", 7, []), value("going", 9, []), value("v", 1, None)],
        [value("on", 9, []), value("twice", 1, None), value("scan", 1, None)],
    )
    control = graph(
        [
            node("ReduceSum", ["x"], ["s"], keepdims=0),
            node("Greater", ["s", "zero"], ["c"]),
            node("If", ["c"], ["chosen"], then_branch=branch[0], else_branch=branch[1]),
            node("Loop", ["trips", "", "chosen"], ["last", "all"], body=body),
            node("SplitToSequence", ["last"], ["q"], axis=0),
            node("ConcatFromSequence", ["q"], ["y"], axis=1),
        ],
        "control",
        [value("x", 1, [3, "N"])],
        [value("y", 1, None), value("all", 1, None)],
        [numpy_helper.from_array(np.float32(0), "zero"), whole("trips", 3)],
    )
    shapes = graph(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "first"], ["n"], axis=0),
            node("Mul", ["n", "k"], ["m"]),
            node("Concat", ["m", "k"], ["t"], axis=0),
            node("Reshape", ["x", "t"], ["r"]),
            node("Slice", ["r", "first", "k", "first"], ["part"]),
            node("twice", ["part"], ["y"], domain="local", factor=3.0),
        ],
        "shapes",
        [value("x", 1, ["N", 4])],
        [value("y", 1, None)],
        [whole("first", 0), whole("k", 2)],
    )
    two = numpy_helper.from_array(np.float32(2), "two")
    twice = helper.make_function(
        "local", "twice", ["a"], ["b"], [node("Constant", [], ["f"], value=two), node("Mul", ["a", "f"], ["b"])],
        [helper.make_opsetid("", 18)], ["factor"],
    )  # fmt: skip
    return [model(convolution), model(control), model(shapes, functions=[twice])]


def mutate_message(message: Any, rng: random.Random) -> Any:
    """A copy of a message with one field somewhere changed."""
    changed = type(message)()
    changed.CopyFrom(message)
    places: list[tuple[Any, Any]] = []

    def collect(part: Any, depth: int) -> None:
        for field, content in part.ListFields():
            places.append((part, field))
            if field.message_type is not None and depth < _DEEPEST:
                for item in content if field.is_repeated else (content,):
                    collect(item, depth + 1)

    collect(changed, 0)
    part, field = rng.choice(places)
    name = field.name
    if rng.random() < 0.1:
        part.ClearField(name)
    elif field.is_repeated:
        _mutate_list(getattr(part, name), field, rng)
    elif field.message_type is not None:
        donors = [other for other, _ in places if other.DESCRIPTOR is field.message_type]
        donor = type(getattr(part, name))()
        if donors:
            donor.CopyFrom(rng.choice(donors))
        getattr(part, name).CopyFrom(donor)
    else:
        _set(part, field, rng)
    return changed


def _mutate_list(items: Any, field: Any, rng: random.Random) -> None:
    index = rng.randrange(len(items))
    choice = rng.randrange(4)
    if choice == 0:
        del items[index]
    elif field.message_type is not None:
        copy = type(items[index])()
        copy.CopyFrom(rng.choice(list(items)))
        items.append(copy) if choice == 1 else items[index].CopyFrom(copy)
    elif choice == 1:
        items.append(items[index])
    else:
        items[index] = _scalar(field, items[index], rng)


def _set(part: Any, field: Any, rng: random.Random) -> None:
    setattr(part, field.name, _scalar(field, getattr(part, field.name), rng))


def _scalar(field: Any, old: Any, rng: random.Random) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if isinstance(old, bytes):
        return rng.choice((b"", old[:-1], old + b"\0", b"\xff" * len(old), rng.choice(TEXTS).encode()))
    if isinstance(old, str):
        return rng.choice(TEXTS)
    if isinstance(old, float):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), old * 2))
    small = field.cpp_type == FieldDescriptor.CPPTYPE_INT32
    number = rng.choice((*INTEGERS, old + 1, old - 1, -old, rng.randrange(0, 24)))
    return max(-(2**31), min(2**31 - 1, number)) if small else max(-(2**63), min(2**63 - 1, number))
