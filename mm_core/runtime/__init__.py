"""The runtime: engines, contexts and queues. It imports neither the IR nor anything of the compiler."""

from mm_core.runtime.context import Context
from mm_core.runtime.engine import Engine
from mm_core.runtime.queue import Queue, Task

__all__ = ["Context", "Engine", "Queue", "Task"]
