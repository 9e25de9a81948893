"""Run as `hostile_programs.py MODEL.mm COUNT`: loads and runs the model with a program that is changed at random.

Prints how many programs were refused, by an MMError, and how many ran. Whatever else is raised ends the script.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import mm_core as mm

VALUES = (
    0, 1, -1, 2, 7, 8, 64, 4096, 2**31, 2**32 - 64, 2**63, 2**63 - 64, 2**64 + 64, 2**70, None, True, 1.5, "", "f32",
    "string", "input", "workspace", "mtp_592", "mtp_372:9", [], {}, [0], [2**70],
)  # fmt: skip
STEPS = (64, -64, 1, -1, 128, 65536)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Everything inside a JSON value, as the object or list that it is in and its key there."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def change(program: Any, dice: random.Random) -> None:
    holder, key = dice.choice(list(places(program)))
    action = dice.random()
    if action < 0.15:
        del holder[key]
    elif action < 0.25 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif action < 0.6 and type(holder[key]) is int:
        holder[key] += dice.choice(STEPS)
    else:
        holder[key] = dice.choice(VALUES)


class Watcher:
    """Asks for every intermediate result."""

    wants_times = wants_results = True

    def kernel(self, label: str, nodes: Any, seconds: float) -> None:
        assert seconds >= 0

    def result(self, label: str, nodes: Any, array: Any) -> None:
        assert isinstance(array, np.ndarray)


def main(path: str, count: int) -> None:
    model, dice, outcomes = mm.Model.load(path), random.Random(0), [0, 0]
    (executable,) = model.executables
    inputs = {spec.name: np.ones(spec.shape, np.float32) for spec in model.inputs}
    for _ in range(count):
        program = copy.deepcopy(executable.manifest["program"])
        for _ in range(dice.choice((1, 1, 2))):
            change(program, dice)
        try:
            changed = replace(executable, manifest={"program": program})
            context = replace(model, executables=(changed,)).create_engine().create_context()
            context.observer = dice.choice((None, Watcher()))
            context.run(inputs)
            outcomes[1] += 1
        except mm.MMError:
            outcomes[0] += 1
    print(*outcomes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
