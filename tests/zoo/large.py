"""Models of many gigabytes that take no room on the disk: their weights are holes of a sparse file, read as zeros."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def save_large(folder: Path, layers: int, width: int) -> Path:
    """A chain of `layers` matrix products, `x` [N, width]; the weights lie one after another in `weights.bin`."""
    model, size = _chain(layers, width), 4 * width * width
    for index, tensor in enumerate(model.graph.initializer):
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", index * size), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(layers * size)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def save_large_in_one_file(folder: Path, layers: int, width: int) -> Path:
    """The same network with the weights inside: may be larger than protobuf could write, as some exporters' files."""
    model, size = _chain(layers, width), 4 * width * width
    heads = []
    for tensor in model.graph.initializer:
        content = tensor.SerializeToString() + prefix(9, size)  # TensorProto.raw_data, its bytes are to follow
        heads.append(prefix(5, len(content) + size) + content)  # GraphProto.initializer
    del model.graph.initializer[:]
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    length = len(graph) + sum(len(head) + size for head in heads)
    path = folder / "whole.onnx"
    with path.open("wb") as file:
        file.write(model.SerializeToString() + prefix(7, length) + graph)  # ModelProto.graph
        for head in heads:
            file.write(head)
            file.truncate(file.tell() + size)
            file.seek(size, 1)
    return path


def _chain(layers: int, width: int) -> onnx.ModelProto:
    """Matrix products whose weights have a type and a shape, but no elements yet."""
    nodes = [helper.make_node("MatMul", [f"h{i}", f"w{i}"], [f"h{i + 1}"]) for i in range(layers)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    infos = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])] for name in "xy"]
    weights = [TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[width, width]) for i in range(layers)]
    graph = helper.make_graph(nodes, "large", *infos, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def prefix(field: int, length: int) -> bytes:
    """What stands before the content of a field that has a length: its tag and its length."""
    encoded = bytearray([field << 3 | 2])
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
