"""The parser of mm's own text form, which needs no plugin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from mm_core.errors import ParseError
from mm_core.ir import Network
from mm_core.parsing.parser import InputShapes, Parser

SUFFIX = ".mlir"


class TextParser(Parser):
    """Reads mm's own MLIR text: files *.mlir."""

    name: ClassVar[str] = "mlir"

    def accepts(self, source: object) -> bool:
        return isinstance(source, (str, os.PathLike)) and Path(source).suffix == SUFFIX

    def parse(
        self, source: Any, *, input_shapes: InputShapes | None = None, example_inputs: Any = None, **options: Any
    ) -> Network:
        """The network in the file. Its shapes are part of the text: none can be given here."""
        for name, given in (("input_shapes", input_shapes), ("example_inputs", example_inputs), *options.items()):
            if given:
                raise ParseError(f"MLIR text takes no {name}", where=str(source), remedy="change the text instead")
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ParseError(f"the file cannot be read: {error}", where=str(source)) from error
        return Network.from_text(text)
