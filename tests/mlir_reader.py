"""An independent reader of MLIR text: xDSL, which knows nothing of mm."""

from __future__ import annotations

from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.parser import Parser
from xdsl.printer import Printer


def accept(text: str) -> None:
    """Fails unless xDSL reads the text, generic operations of dialects that it does not know, and prints it again."""
    context = Context(allow_unregistered=True)
    context.load_dialect(Builtin)
    module = Parser(context, text).parse_module()
    stream = StringIO()
    Printer(stream, print_generic_format=True).print_op(module)
    assert "mm.network" in stream.getvalue()
