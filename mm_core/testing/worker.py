"""Child processes that do an engine's work: many cases each, ended when one hangs, replaced when one dies."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from mm_core.testing.engine import Engine, WrongResult
from mm_core.testing.verdict import Verdict

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Cases are small and workers many: libraries' thread pools would only fight each other."""
_CHILD = "import sys; from mm_core.testing.worker import serve; serve(int(sys.argv[1]))"
_START_SECONDS = 60.0
_STDERR_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker gave: a value, or a verdict with its reason."""

    value: Any = None
    verdict: Verdict | None = None
    reason: str = ""


class Worker:
    """The parent's end of one child process, which is started when it is first asked.

    `closed` asks for `engine.isolate()` in it. `python` may be the interpreter of another environment.
    """

    def __init__(self, engine: Engine, *, closed: bool, python: str = sys.executable) -> None:
        self.engine = engine
        self.closed = closed
        self.python = python
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, method: str, *arguments: Any, timeout: float) -> Answer:
        """Call a method of the engine in the child, for at most `timeout` seconds. What fails there is an answer."""
        if self._process is None and (problem := self._start()):
            return Answer(verdict=Verdict.CRASH, reason=problem)
        try:
            self._pipe.send((method, arguments))
            if not self._pipe.poll(timeout):
                self.close()
                return Answer(verdict=Verdict.TIMEOUT, reason=f"{method} took more than {timeout:g} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            return Answer(verdict=Verdict.CRASH, reason=f"{method}: {self._last_words()}")
        assert isinstance(answer, Answer)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._pipe.close()
            self._process.kill()
            self._process.wait()
            self._process = None
            self._stderr.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> str:
        """Start the child; what went wrong, empty if nothing did."""
        ours, theirs = socket.socketpair()
        self._pipe = Connection(ours.detach())
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        with theirs:
            self._process = subprocess.Popen(
                [self.python, "-P", "-c", _CHILD, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._stderr,
                pass_fds=[theirs.fileno()], env=self._environment(),
            )  # fmt: skip
        try:
            self._pipe.send((self.engine, self.closed))
            if self._pipe.poll(_START_SECONDS) and self._pipe.recv() is None:
                return ""
        except (EOFError, OSError):
            pass
        return f"the process did not start: {self._last_words()}"

    def _environment(self) -> dict[str, str]:
        """The parent's, and what the parent can import, unless the interpreter is that of another environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)} if self.python == sys.executable else {}
        return kept | paths | ONE_THREAD

    def _last_words(self) -> str:
        """How the process ended, and the end of what it wrote; it is gone afterwards."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._stderr.seek(0)
        text = self._stderr.read()[-_STDERR_BYTES:].decode(errors="replace").strip()
        self.close()
        return f"{how}: {text}" if text else how


def serve(descriptor: int) -> None:
    """The child: answers what comes through the descriptor until the parent closes it."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    pipe = Connection(descriptor)
    engine, closed = pipe.recv()
    if closed:
        engine.isolate()
    pipe.send(None)
    refusals = engine.refusals()
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(getattr(engine, method), arguments, refusals))


def _answer(method: Any, arguments: tuple[Any, ...], refusals: tuple[type[Exception], ...]) -> Answer:
    try:
        return Answer(method(*arguments))
    except WrongResult as error:
        return Answer(verdict=Verdict.WRONG, reason=str(error))
    except refusals as error:
        return Answer(verdict=Verdict.REJECTED, reason=str(error))
    except Exception as error:  # an engine may fail in any way: that is the finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({os.path.basename(place.filename)}:{place.lineno})"
        return Answer(verdict=Verdict.CRASH, reason=reason)
