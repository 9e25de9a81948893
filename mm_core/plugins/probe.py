"""Child process of the doctor: `python -m mm_core.plugins.probe GROUP NAME` answers with one JSON object."""

from __future__ import annotations

import json
import os
import sys
import traceback

from mm_core.errors import DeviceError, MMError
from mm_core.plugins.registry import load


def probe(group: str, name: str) -> dict[str, str]:
    """Verdict, reason, remedy and detail for one plugin, imported and self-tested in this process."""
    try:
        plugin = load(group, name)
        if not hasattr(plugin, "self_test"):
            return _answer("ok", "it has no self-test")
        # A class stands for what it makes: backends and passes are offered as classes too.
        note = plugin().self_test() if isinstance(plugin, type) else plugin.self_test()
        return _answer("ok", note if isinstance(note, str) else "")
    except DeviceError as error:
        return _answer("unavailable", error.what, error.remedy)
    except MMError as error:
        return _answer("broken", error.what, detail=traceback.format_exc())
    except Exception as error:  # a self-test may fail in any way; that is the finding
        reason = f"its self-test failed: {type(error).__name__}: {error}"
        return _answer("broken", reason, detail=traceback.format_exc())


def _answer(verdict: str, reason: str, remedy: str = "", detail: str = "") -> dict[str, str]:
    return {"verdict": verdict, "reason": reason, "remedy": remedy, "detail": detail}


def main() -> None:
    # A plugin may print: only the answer goes to the pipe that the doctor reads.
    answers = os.dup(1)
    os.dup2(2, 1)
    group, name = sys.argv[1:]
    answer = probe(group, name)
    with open(answers, "w") as pipe:
        json.dump(answer, pipe)


if __name__ == "__main__":
    main()
