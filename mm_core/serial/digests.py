"""Hashes of sections: BLAKE3 digests of leaves of 1 MiB, to check weights in parts and in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

LEAF_BYTES = 1 << 20
DIGEST_BYTES = 32
_LEAVES_WORTH_A_THREAD = 4


def digest(*parts: bytes | memoryview) -> bytes:
    """The BLAKE3 digest (32 bytes) of the parts one after the other."""
    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return bytes(hasher.digest())


def leaf_count(length: int) -> int:
    """Number of leaves that cover `length` bytes."""
    return -(-length // LEAF_BYTES)


class LeafHasher:
    """Digests of the leaves of a stream whose pieces may end anywhere."""

    __slots__ = ("_filled", "_hasher", "_leaves")

    def __init__(self) -> None:
        self._hasher = blake3()
        self._filled = 0
        self._leaves: list[bytes] = []

    def update(self, piece: memoryview) -> None:
        while len(piece):
            taken = piece[: LEAF_BYTES - self._filled]
            self._hasher.update(taken)
            self._filled += len(taken)
            if self._filled == LEAF_BYTES:
                self._finish_leaf()
            piece = piece[len(taken) :]

    def leaves(self) -> tuple[bytes, ...]:
        """All digests; the stream ends here."""
        if self._filled:
            self._finish_leaf()
        return tuple(self._leaves)

    def _finish_leaf(self) -> None:
        self._leaves.append(bytes(self._hasher.digest()))
        self._hasher = blake3()
        self._filled = 0


def first_mismatch(section: memoryview, leaves: Sequence[bytes], indices: Sequence[int]) -> int | None:
    """The lowest of `indices` whose leaf of `section` does not have its digest; None if all have."""

    def check(chosen: Iterable[int]) -> int | None:
        for index in chosen:
            if digest(section[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]) != leaves[index]:
                return index
        return None

    threads = min(_processors(), len(indices) // _LEAVES_WORTH_A_THREAD)
    if threads < 2:
        return check(indices)
    # blake3 releases the interpreter lock while it hashes. Neighbours go to different threads: the
    # file is read in order.
    with ThreadPoolExecutor(threads) as pool:
        found = [
            index
            for index in pool.map(check, (indices[i::threads] for i in range(threads)))
            if index is not None
        ]
    return min(found, default=None)


def _processors() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this operating system
        return os.cpu_count() or 1
