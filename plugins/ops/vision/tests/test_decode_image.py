"""Images decoded: every format, every order of channels, and streams that are none."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from mm_ops_vision import MAX_PIXELS, DecodeImage
from PIL import Image

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RAMP = np.add.outer(np.arange(24) * 4, np.arange(16) * 8)[:, :, None] + np.array([0, 20, 40])
PIXELS = RAMP.clip(0, 255).astype(np.uint8)
LOSSLESS = {"bmp": {}, "png": {}, "ppm": {}, "tiff": {}, "webp": {"lossless": True}, "jpeg2000": {}}


def encoded(pixels: np.ndarray, kind: str, **options: Any) -> np.ndarray:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats(kind: str) -> None:
    data = encoded(PIXELS, kind, **LOSSLESS[kind])
    np.testing.assert_array_equal(DecodeImage().reference(data, pixels="rgb"), PIXELS)
    np.testing.assert_array_equal(DecodeImage().reference(data, pixels="bgr"), PIXELS[:, :, ::-1])


def test_jpeg_is_close_and_gray_is_luma() -> None:
    data = encoded(PIXELS, "jpeg", quality=95)
    assert np.abs(DecodeImage().reference(data, pixels="rgb").astype(int) - PIXELS).max() < 12
    gray = DecodeImage().reference(encoded(PIXELS, "png"), pixels="grayscale")
    np.testing.assert_allclose(gray[:, :, 0], PIXELS @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
def test_other_modes_have_three_channels_too(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    stream = BytesIO()
    image.save(stream, "tiff")
    decoded = DecodeImage().reference(np.frombuffer(stream.getvalue(), np.uint8), pixels="rgb")
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_definition_agrees_with_itself() -> None:
    opcheck("vision.decode_image", [encoded(PIXELS, "png")])


def huge_png() -> bytes:
    """A few bytes that promise one row more than is decoded."""
    header = struct.pack(">IIBBBBB", 2**13, 2**13 + 1, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (b"", "cannot be decoded"),
        (b"not an image", "cannot be decoded"),
        (bytes(encoded(PIXELS, "png"))[:60], "cannot be decoded"),
        (bytes(encoded(PIXELS, "jpeg"))[:200], "cannot be decoded"),
        (b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be decoded"),
        (huge_png(), f"at most {MAX_PIXELS}"),
    ],
    ids=["empty", "text", "short png", "short jpeg", "postscript", "huge"],
)
def test_streams_that_are_refused(stream: bytes, match: str) -> None:
    network = mm.Network("decoder")
    x = network.add_input("x", mm.uint8, ("N",))
    network.mark_output(network.op("vision.decode_image", x, name="decoder"), "y")
    context = mm.Builder().build(network).create_engine().create_context()
    with pytest.raises(mm.InputError, match=match) as caught:
        context.run({"x": np.frombuffer(stream, np.uint8)})
    assert "decoder" in str(caught.value)
