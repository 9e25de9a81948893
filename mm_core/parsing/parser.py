"""The contract of a front end.

A parser plugin is a `Parser` subclass under the entry-point group `mm.parsers`; the entry's name is the parser's.
Importing its module loads no framework: `accepts` is asked about sources of every other parser too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mm_core.ir import Network

InputShapes = Mapping[str, Sequence[int | str | None]]
"""Shapes by input name. A dimension is a size, a symbol's name (or expression), or None for an unknown size."""


class Parser(ABC):
    """Turns a source into a `Network`. The first line of a subclass's docstring says which sources it reads."""

    name: ClassVar[str]

    @abstractmethod
    def accepts(self, source: object) -> bool:
        """Whether the source looks like this parser's: by suffix, first bytes or the module of its type.

        Reads at most 64 KiB, imports nothing heavy and does not raise.
        """

    @abstractmethod
    def parse(
        self, source: Any, *, input_shapes: InputShapes | None = None, example_inputs: Any = None, **options: Any
    ) -> Network:
        """The network. Raises `ParseError` for a source that cannot be read, `UnsupportedOpError` for its operators.

        `input_shapes` replaces the shapes that the source states. `example_inputs` are for sources that are traced.
        """

    @classmethod
    def summary(cls) -> str:
        """One line for messages: what this parser reads."""
        return (cls.__doc__ or "").partition("\n")[0].strip() or cls.__name__
