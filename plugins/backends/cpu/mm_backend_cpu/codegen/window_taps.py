"""Which taps of a window fall into the image."""

from __future__ import annotations


def taps_inside(first: str, last: str, start: str, extent: str, kernel: str, dilation: int) -> str:
    """C of the taps [first, last) of a window at `start` that fall into the image."""
    return f"""const int64_t {first} = {start} < 0 ? (-{start} + {dilation - 1}) / {dilation} : 0;
    const int64_t {last}_end = ({extent} - {start} + {dilation - 1}) / {dilation};
    const int64_t {last} = {last}_end < {kernel} ? {last}_end : {kernel};"""
