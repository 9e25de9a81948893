"""Images, dialect `vision`. Importing this package does not import Pillow: decoding does."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from mm_core.errors import InputError, UnsupportedOpError
from mm_core.ops import Attribute, OpDef, Operand, Result, Tier
from mm_core.types import BY_NAME, Array

__version__ = "0.1.0"

FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are decoded; others that it knows may run programs or fetch files."""
MAX_PIXELS = 2**26
_CHANNELS = {"rgb": 3, "bgr": 3, "grayscale": 1}
_UINT8 = BY_NAME["uint8"]


class DecodeImage(OpDef):
    """The pixels of an encoded image, [height, width, channels]: ONNX ImageDecoder. `x` holds the file's bytes.

    Chroma of JPEG is upsampled smoothly, as libjpeg-turbo does. What cannot be decoded is an InputError.
    """

    name = "vision.decode_image"
    tier = Tier.HOST
    operands = (Operand("x", frozenset({_UINT8})),)
    results = (Result("y", _UINT8),)
    attributes = (Attribute("pixels", str, "rgb", tuple(_CHANNELS)),)

    def infer(self, types: Any, values: Any, *, pixels: str) -> Any:
        if len(types[0].shape) != 1:
            raise UnsupportedOpError(f"{self.name} takes the bytes of one file, 1-D, got {types[0]}")
        return (None, None, _CHANNELS[pixels])

    def reference(self, x: Array, *, pixels: str) -> Array:
        from PIL import Image

        try:
            with Image.open(BytesIO(x.tobytes()), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(
                        f"the image has {image.width} x {image.height} pixels, at most {MAX_PIXELS} are decoded",
                        remedy="scale it down before",
                    )
                decoded = np.asarray(image.convert("L" if pixels == "grayscale" else "RGB"))
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{x.size} bytes cannot be decoded as an image: {error}", available=", ".join(FORMATS)
            ) from None
        if pixels == "grayscale":
            return decoded[:, :, np.newaxis]
        return decoded[:, :, ::-1] if pixels == "bgr" else decoded


def operators() -> tuple[type[OpDef], ...]:
    """All definitions of the dialect: the entry point `mm.ops`."""
    return (DecodeImage,)
