"""A case with its dimensions made symbolic, and whether what was built really is."""

from __future__ import annotations

import numpy as np

from mm_core.errors import MMError
from mm_core.ir import Network
from mm_core.model import Model
from mm_core.parsing import parse
from mm_core.testing.case import Case
from mm_core.testing.engine import WrongResult
from mm_core.types import Array, Dim, TensorSpec, TensorType

EVERY, FREE = "every size", "free sizes"
"""What is made symbolic: every size of the inputs, or those without a meaning of their own."""


def forms(case: Case) -> tuple[str, ...]:
    """Every size; then, where that is another thing and not nothing, the free ones only."""
    kinds = {keep for array in case.sized_inputs().values() for keep in _kept(array)}
    return (EVERY, FREE) if len(kinds) == 2 else (EVERY,)


def _kept(array: Array) -> list[bool]:
    """For each dimension of an input, whether its size means something by itself: see SymbolicEngine."""
    is_vector_of_integers = array.ndim == 1 and array.dtype.kind in "iu"
    return [is_vector_of_integers or size == 1 for size in array.shape]


def freed(case: Case, form: str) -> Network:
    """The network with a symbol for each size of its inputs that the form names."""
    shapes: dict[str, list[int | str | None]] = {}
    for number, (name, array) in enumerate(case.sized_inputs().items()):
        keep = _kept(array) if form == FREE else [False] * array.ndim
        shapes[name] = [size if keep[axis] else f"s{number}_{axis}" for axis, size in enumerate(array.shape)]
    return parse(case.source, input_shapes=shapes)


def check_symbolic(model: Model, case: Case, network: Network) -> None:
    """WrongResult if a size that was made symbolic is a number again, in the model's inputs or results."""
    if model.inputs != network.inputs or not any(_symbolic(dim) for spec in model.inputs for dim in _dims(spec)):
        raise WrongResult(f"the model's inputs are {model.inputs}, the network's {network.inputs}")
    if all(_symbolic(dim) for spec in model.outputs for dim in _dims(spec)):
        return
    grown = _grown_results(case, network)
    for spec in model.outputs:
        shape = np.shape(case.data_sets[0].outputs[spec.name]) if isinstance(spec.type, TensorType) else ()
        for axis, (dim, size, other) in enumerate(zip(_dims(spec), shape, grown.get(spec.name, ()))):
            if isinstance(dim, int) and isinstance(other, int) and size != other:
                raise WrongResult(f"dimension {axis} of {spec.name} is always {dim}; larger inputs make it {other}")


def _grown_results(case: Case, network: Network) -> dict[str, tuple[Dim, ...]]:
    """Shapes of results where each symbolic size of the inputs is one more than the case's, save that one stays one.

    Nothing where the model does not allow such sizes.
    """
    arrays = case.sized_inputs()
    shapes = {
        spec.name: [
            size + 1 if _symbolic(dim) and size > 1 else size for dim, size in zip(_dims(spec), arrays[spec.name].shape)
        ]
        for spec in network.inputs
        if spec.name in arrays
    }
    try:
        return {spec.name: _dims(spec) for spec in parse(case.source, input_shapes=shapes).output_specs}
    except MMError:
        return {}


def _dims(spec: TensorSpec) -> tuple[Dim, ...]:
    return (spec.shape or ()) if isinstance(spec.type, TensorType) else ()


def _symbolic(dim: Dim) -> bool:
    return not isinstance(dim, int)
