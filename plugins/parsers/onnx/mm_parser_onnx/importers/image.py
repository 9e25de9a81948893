"""Images. The decoder is that of the package mm-ops-vision."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()


@FAMILY.op("ImageDecoder")
def image_decoder(g: Graph, node: Node) -> Any:
    pixels = node.choice("pixel_format", ("RGB", "BGR", "Grayscale"), "RGB")
    return g.op("vision.decode_image", node.input(), pixels=pixels.lower())
