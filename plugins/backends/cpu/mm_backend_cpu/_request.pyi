from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

class Request:
    """Inputs are (name, buffer format, shape, place in the program), outputs (name, factory, its arguments, place)."""

    def __init__(
        self,
        run: int | None,
        program: int | None,
        arena: int,
        threads: int,
        owner: object,
        inputs: tuple[tuple[str, str | None, object, int], ...],
        outputs: tuple[tuple[str, Callable[..., npt.NDArray[Any]], tuple[object, ...], int], ...],
        /,
    ) -> None: ...
    def run(self, inputs: object, /) -> dict[str, np.ndarray[Any, Any]] | int | None:
        """Results by name; None if the long way must be gone; an executor's status if the run failed."""
