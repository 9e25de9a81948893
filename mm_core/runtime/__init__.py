"""The runtime: engines, contexts and queues. It imports neither the IR nor anything of the compiler."""

from mm_core.runtime.context import Context
from mm_core.runtime.engine import Engine
from mm_core.runtime.host import HOST_FUNCTIONS, host_function
from mm_core.runtime.queue import Queue, Task

__all__ = ["HOST_FUNCTIONS", "Context", "Engine", "Queue", "Task", "host_function"]
