"""Why torch.export refuses a module: its reason in a sentence or two, and the line of the user's code."""

from __future__ import annotations

import sysconfig
import traceback
from itertools import islice, takewhile
from pathlib import Path

import torch

from mm_core.errors import ParseError

_INNER = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
"""Folders whose lines are nobody's model."""
_STANDARD = sysconfig.get_path("stdlib")
_NOISE = ("For more", "For extended", "Caused by", "If you suspect", "consider using", "The error above")
"""What torch.export's advice to its own developers begins with; nothing of use comes behind it."""
_LINES = 4
_DATA = "data-dependent"


def refusal(error: Exception, module: str) -> ParseError:
    """The error for a module that cannot be exported."""
    text = f"{error} {_root(error)}"
    remedy = 'change the module, or use torch.compile(backend="mm"), which leaves the rest to PyTorch'
    if _DATA in text:
        remedy = f"write the choice as torch.where or torch.cond, bound sizes by torch._check, {remedy}"
    return ParseError(f"torch.export refuses the module: {_reason(error)}{_place(error)}", where=module, remedy=remedy)


def _reason(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines() if line.strip())
    told = list(islice(takewhile(lambda line: not line.startswith(_NOISE), lines), _LINES))
    root = _root(error)
    if root is not error and (more := _reason(root)) not in " ".join(told):
        told.append(f"({more})")
    return " ".join(told) or type(error).__name__


def _root(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _place(error: BaseException) -> str:
    """The innermost line of the user's own code on the error's way: ` (model.py:6, in forward: if x.sum() > 0:)`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not frames:
        return ""
    last = frames[-1]
    return f" ({Path(last.filename).name}:{last.lineno}, in {last.name}: {last.line})"


def _is_users(file: str) -> bool:
    return not file.startswith(_INNER) and (not file.startswith(_STANDARD) or "-packages" in file)
