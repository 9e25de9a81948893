"""`Queue` and `Task`: requests that run in order on a thread of their own. Two queues overlap."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from mm_core.errors import DeviceError


class Task:
    """One submitted request."""

    def __init__(self, future: Future[dict[str, Any]]) -> None:
        self._future = future

    @property
    def is_done(self) -> bool:
        return self._future.done()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """The outputs; waits for at most `timeout` seconds, then DeviceError. Raises what the request raised."""
        try:
            return self._future.result(timeout)
        except FutureTimeout as error:
            raise DeviceError(f"the request has not finished within {timeout} s") from error
        except CancelledError as error:
            raise DeviceError("the queue was closed before the request ran") from error


class Queue:
    """Runs what is submitted in order, beside the caller. Close it, use it in `with`, or let it go out of scope."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mm-queue")
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._pending: set[Future[dict[str, Any]]] = set()
        self._failures: list[BaseException] = []  # The first since the last sync, if there is one.
        self._finalizer = weakref.finalize(self, self._executor.shutdown, wait=False)

    def submit(self, work: Callable[[], dict[str, Any]]) -> Task:
        """Append work. DeviceError after `close`, and in a forked child: the queue's thread stayed with the parent."""
        if os.getpid() != self._process:
            raise DeviceError("the queue belongs to another process", remedy="create a queue after forking")
        failures = self._failures

        def watched() -> dict[str, Any]:
            # A failure is kept before the future is done, so that whoever waits for the future finds it.
            try:
                return work()
            except BaseException as error:
                failures[:] = failures or [error]
                raise

        try:
            future = self._executor.submit(watched)
        except RuntimeError as error:
            raise DeviceError("the queue is closed") from error
        with self._lock:
            self._pending.add(future)
        future.add_done_callback(self._finished)
        return Task(future)

    def _finished(self, future: Future[dict[str, Any]]) -> None:
        with self._lock:
            self._pending.discard(future)

    def sync(self) -> None:
        """Block until everything submitted so far has ended; raises the first failure since the last sync."""
        with self._lock:
            pending = list(self._pending)
        for future in pending:
            if not future.cancelled():
                future.exception()
        if self._failures:
            raise self._failures.pop()

    def close(self) -> None:
        """Finish what was submitted and stop the thread."""
        self._executor.shutdown(wait=True)

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
