"""`Context`: one request in flight."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_core import plugins
from mm_core.device import Observer, Prediction, Shortcut
from mm_core.errors import DeviceError, InputError
from mm_core.runtime.binding import as_value, bind_symbols, check_limits
from mm_core.runtime.executor import Executor
from mm_core.types import Array

if TYPE_CHECKING:
    from mm_core.runtime.engine import Engine
    from mm_core.runtime.queue import Queue, Task


class Context:
    """Runs one request at a time; a second thread that tries at the same moment gets an InputError that says so."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.observer: Observer | None = None
        self._executor = Executor(engine)
        # The executor knows nothing of the context, so that dropping the context ends its device queues.
        self._finalizer = weakref.finalize(self, self._executor.close)
        self._busy = threading.Lock()
        self._specs = engine.model.inputs
        self._names = {spec.name for spec in self._specs}
        self._output_names = [spec.name for spec in engine.model.outputs]
        self._limited = bool(engine.model.dim_range or engine.plan.guards)
        self._is_watched = bool(plugins.hooks().mm_request_finished.get_hookimpls())
        self._shortcut: Shortcut | None = None
        self._shortcut_dims: dict[str, int] | None = None

    def close(self) -> None:
        """Give the device queues back now; else that happens when the context is dropped."""
        self._finalizer()

    def predictions(self) -> list[tuple[str, Prediction]]:
        """Kernel by kernel, the device's name and the time that its hardware would take, where a device that is not
        the hardware predicts it; of what has run so far. These are no measurements."""
        return self._executor.predictions()

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Array] | None = None) -> dict[str, Any]:
        """Run the model and wait. Gives {output name: array}; arrays belong to the caller.

        `outputs` may hold arrays of the right type and shape to be filled. InputError names what does not fit.
        """
        if not self._busy.acquire(blocking=False):
            raise InputError(
                "the context is in use by another thread", remedy="create one context for each request in flight"
            )
        try:
            if self._shortcut is not None and outputs is None and self.observer is None:
                results = self._shortcut(inputs)
                if results is not None:
                    return results
            return self._run(inputs, outputs)
        finally:
            self._busy.release()

    def enqueue(self, inputs: Mapping[str, Any], queue: Queue, outputs: Mapping[str, Array] | None = None) -> Task:
        """Submit a request and return at once. The inputs must stay unchanged until the task has ended.

        Requests of one context in one queue run one after another. Inputs are checked here.
        """
        self._values(inputs)

        def work() -> dict[str, Any]:
            with self._busy:
                return self._run(inputs, outputs)

        return queue.submit(work)

    def _values(self, inputs: Mapping[str, Any]) -> list[Any]:
        if not isinstance(inputs, Mapping):
            raise InputError(f"the inputs are a {type(inputs).__name__}", remedy="pass {name: array}")
        if inputs.keys() != self._names:
            missing = [spec.name for spec in self._specs if spec.name not in inputs]
            unknown = [name for name in inputs if name not in self._names]
            what = [f"missing: {', '.join(missing)}"] if missing else []
            what += [f"unknown: {', '.join(map(str, unknown))}"] if unknown else []
            raise InputError(
                "the inputs do not fit the model, " + "; ".join(what),
                available=", ".join(f"{spec.name}: {spec.type}" for spec in self._specs) or "no inputs",
            )
        return [as_value(inputs[spec.name], spec) for spec in self._specs]

    def _run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Array] | None) -> dict[str, Any]:
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            values = self._values(inputs)
            dims = bind_symbols(self._specs, values)
            if self._limited:
                check_limits(dims, self.engine.model.dim_range, self.engine.plan.guards)
            results = self._executor.run(values, dims, self._targets(outputs), self.observer)
            if dims != self._shortcut_dims:
                # Who watches requests is told of each, on the long way.
                self._shortcut = None if self._is_watched else self._executor.shortcut(dims)
                self._shortcut_dims = dims
            return dict(zip(self._output_names, results))
        except MemoryError as caught:
            error = DeviceError(f"there is not enough memory: {caught}", remedy="use smaller sizes")
            raise error from caught
        except BaseException as caught:
            error = caught
            raise
        finally:
            hooks = plugins.hooks()
            hooks.mm_request_finished(engine=self.engine, seconds=time.perf_counter() - start, error=error)

    def _targets(self, outputs: Mapping[str, Array] | None) -> dict[int, Array]:
        targets: dict[int, Array] = {}
        for name, array in (outputs or {}).items():
            if name not in self._output_names:
                raise InputError(f"there is no output '{name}'", available=", ".join(self._output_names))
            index = self._output_names.index(name)
            spec = self.engine.model.outputs[index]
            if not isinstance(array, np.ndarray) or array.dtype != spec.dtype.numpy or not array.flags.writeable:
                raise InputError(f"the array for output '{name}' must be a writable array of {spec.dtype.name}")
            targets[index] = array
        return targets
