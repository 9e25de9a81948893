"""Checks a pass: the network stays valid and means the same, and its text still reads back.

    passcheck("simplify", network)                      # bit by bit: signed zeros and NaN too
    passcheck("recognize-attention", network, 1e-5)     # where rounding may differ
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mm_core.errors import VerifyError
from mm_core.ir import Network
from mm_core.passes import PassContext, PassResult, parse_pipeline
from mm_core.testing.interpreter import interpret
from mm_core.types import Array, TensorType, evaluate_int, symbols

SPECIAL = (np.inf, -np.inf, -0.0, 0.0)
SIZES = (2, 3, 4, 5, 6, 7, 8)
"""What symbolic dimensions are bound to, in the order of their names."""


def passcheck(
    pipeline: str,
    network: Network,
    tolerance: float = 0.0,
    inputs: Sequence[Any] | None = None,
    *,
    nan: bool = True,
    seed: int = 0,
) -> PassResult:
    """Run the passes on the network and compare it with itself before, by the operators' references.

    Without `inputs` they are random, with NaN among them unless `nan` is false, and for tolerance 0 with infinities and
    signed zeros too. VerifyError where results, types of inputs and outputs, or names differ.
    """
    before = network.clone()
    values = list(inputs) if inputs is not None else random_inputs(
        network, [np.nan, *SPECIAL] if nan and tolerance == 0 else [np.nan] if nan else [], seed
    )
    result = parse_pipeline(pipeline).run(network, PassContext())
    if [value.type for value in network.arguments] != [value.type for value in before.arguments]:
        raise VerifyError(f"'{pipeline}' changed the inputs", where=network.name)
    if network.output_names != before.output_names:
        raise VerifyError(f"'{pipeline}' changed the outputs' names", where=network.name)
    text = str(network)
    if str(Network.from_text(text, network.weights())) != text:
        raise VerifyError(f"'{pipeline}' left a network whose text does not read back", where=network.name)
    with np.errstate(all="ignore"):
        wanted, found = interpret(before, values), interpret(network, values)
    for name, left, right in zip(network.output_names, wanted, found, strict=True):
        _compare(f"'{pipeline}' changed the output '{name}'", left, right, tolerance)
    return result


def random_inputs(network: Network, special: Sequence[float] = (), seed: int = 0) -> list[Array]:
    """Arrays for the inputs of a network of tensors; `special` numbers are strewn into those of floats."""
    generator = np.random.default_rng(seed)
    names = sorted({name for value in network.arguments for dim in _shape(value.type) for name in symbols(dim)})
    bindings = {name: SIZES[index % len(SIZES)] for index, name in enumerate(names)}
    arrays = []
    for value in network.arguments:
        shape = [evaluate_int(dim, bindings) for dim in _shape(value.type)]
        dtype = value.type.dtype  # type: ignore[union-attr]
        if dtype.is_float:
            array = generator.normal(size=shape).astype(dtype.numpy)
            if array.size > 2 * len(special):
                places = generator.choice(array.size, len(special), replace=False)
                array.reshape(-1)[places] = np.array(special, dtype.numpy)
        else:
            array = generator.integers(0, 2, shape).astype(dtype.numpy)
        arrays.append(array)
    return arrays


def _shape(type_: Any) -> tuple[Any, ...]:
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise VerifyError(f"no random input can be made for {type_}", remedy="pass the inputs")
    return type_.shape


def _compare(what: str, left: Array, right: Array, tolerance: float) -> None:
    if left.dtype != right.dtype or left.shape != right.shape:
        raise VerifyError(f"{what}: {left.dtype}{list(left.shape)} became {right.dtype}{list(right.shape)}")
    if not tolerance:
        nan = left != left  # payloads and signs of NaN mean nothing
        same = bool((nan == (right != right)).all()) and left[~nan].tobytes() == right[~nan].tobytes()
    else:
        wanted, found = left.astype(np.float64), right.astype(np.float64)
        same = np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not same:
        raise VerifyError(f"{what}:\n{left}\nbecame\n{right}")
