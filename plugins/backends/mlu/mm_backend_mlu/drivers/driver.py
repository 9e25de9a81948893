"""What the backend needs of a card. The vendor's runtime and the emulator both give it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mm_backend_mlu.target import Target
from mm_core.types import Array


class Memory:
    """A piece of a card's memory: `size` bytes from `address` on. Given back when nobody holds it any more."""

    __slots__ = ("__weakref__", "address", "size")

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a piece of memory, as a kernel is handed it, and whether it writes there."""

    memory: Memory
    offset: int
    size: int
    written: bool = False

    @property
    def address(self) -> int:
        return self.memory.address + self.offset


class Module(ABC):
    """A part's kernels, loaded: so many, by number."""

    kernels: int

    @abstractmethod
    def launch(
        self, kernel: int, tasks: int, kind: int, stream: Any, stretches: Sequence[Stretch], label: str
    ) -> float | None:
        """Submit a kernel. Predicted seconds of the hardware where the driver knows them. DeviceError if it fails."""


class Driver(ABC):
    """One card. Streams are ordered; what is submitted to one may be unfinished when the call returns.

    Memory handed to a submission stays alive until the stream has finished it: that is the caller's affair.
    """

    def __init__(self, name: str, target: Target, description: str) -> None:
        self.name = name
        self.target = target
        self.description = description
        self._process = os.getpid()

    @property
    def is_inherited(self) -> bool:
        """Whether this process was forked from the one that opened the card, and has no part in it."""
        return os.getpid() != self._process

    @abstractmethod
    def allocate(self, size: int) -> Memory:
        """DeviceError when there is no more."""

    @abstractmethod
    def write(self, target: Stretch, source: Array, stream: Any) -> None:
        """Copy a contiguous array of the host onto the card."""

    @abstractmethod
    def read(self, target: Array, source: Stretch, stream: Any) -> None:
        """Copy from the card into a contiguous array of the host."""

    @abstractmethod
    def copy(self, target: Stretch, source: Stretch, stream: Any) -> None:
        """Copy within the card."""

    def problem_with(self, requires: Mapping[str, str]) -> str:
        """Why code with these requirements of the host cannot run on this device, or nothing."""
        return ""

    @abstractmethod
    def load(self, code: bytes) -> Module:
        """Load what `packed.pack` gave. DeviceError if it has nothing that runs here."""

    @abstractmethod
    def create_stream(self) -> Any: ...

    @abstractmethod
    def destroy_stream(self, stream: Any) -> None:
        """Never fails: of a card that is lost there is nothing to give back."""

    @abstractmethod
    def record(self, stream: Any) -> Any:
        """A mark that is reached when everything submitted to the stream so far has finished."""

    @abstractmethod
    def is_reached(self, mark: Any) -> bool: ...

    @abstractmethod
    def wait(self, mark: Any) -> None:
        """Block until a mark is reached. DeviceError if what came before it failed."""

    @abstractmethod
    def follow(self, stream: Any, mark: Any) -> None:
        """What is submitted to the stream from now on runs after a mark of another stream."""

    @abstractmethod
    def begin(self, workspace: Stretch) -> None:
        """A request begins: what lies in its workspace means nothing any more."""
