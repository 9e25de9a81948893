"""The ONNX front end. Importing this module does not import onnx: `parse` does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from mm_core.errors import ParseError
from mm_core.ir import Network
from mm_core.parsing import InputShapes, Parser

_PEEK = 64
_NEXT_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})
"""Tags that may follow the version in a serialised ModelProto: fields 2 to 8."""
_SAVED_MODEL = "saved_model.pb"
"""TensorFlow's, which begins with a small version too."""
_TINY = '<ir_version: 8, opset_import: ["" : 18]> tiny (float[N] x) => (float[N] y) { y = Relu (x) }'


class OnnxParser(Parser):
    """Reads ONNX: files *.onnx, serialised models (bytes begin with the IR version), onnx.ModelProto."""

    name: ClassVar[str] = "onnx"

    def accepts(self, source: object) -> bool:
        if isinstance(source, (bytes, bytearray, memoryview)):
            return looks_like_model(bytes(source[:_PEEK]))
        if not isinstance(source, (str, os.PathLike)):
            return type(source).__name__ == "ModelProto" and type(source).__module__.partition(".")[0] == "onnx"
        path = Path(source)
        if path.suffix.lower() == ".onnx":
            return True
        if path.name == _SAVED_MODEL or not path.is_file():  # Opening a pipe would wait for its other end.
            return False
        try:
            with path.open("rb") as file:
                return looks_like_model(file.read(_PEEK))
        except OSError:
            return False

    def parse(
        self, source: Any, *, input_shapes: InputShapes | None = None, example_inputs: Any = None, **options: Any
    ) -> Network:
        """The network of a path, bytes or ModelProto. Inputs and outputs keep their names and order."""
        if options:
            raise ParseError(f"the ONNX parser has no options, got {', '.join(options)}")
        if example_inputs is not None:
            raise ParseError("an ONNX model is not traced", remedy="give input_shapes in place of example_inputs")
        from mm_parser_onnx.model import read_network

        return read_network(source, dict(input_shapes or {}))

    def self_test(self) -> str:
        """For `mm_plugins check`: a model of one node is read."""
        import onnx.parser

        network = self.parse(onnx.parser.parse_model(_TINY))
        return f"onnx {onnx.__version__}, read {[operation.name for operation in network.operations]}"


def looks_like_model(head: bytes) -> bool:
    """Whether the bytes begin as a ModelProto does: field 1 with a small version, then one of its other fields."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x80 and head[2] in _NEXT_FIELDS
