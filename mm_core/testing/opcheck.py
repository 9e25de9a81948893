"""`opcheck`: whether the parts of an operator's definition say the same.

Inference, reference, decomposition, known values and text form are each compared with the reference's results on
given inputs: with every operand an input, with small integer operands as constants, and with every size a symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mm_core.errors import MMError, VerifyError
from mm_core.ir import Graph, Network, Value, known_value
from mm_core.ops import MAX_KNOWN_ELEMENTS, OpDef, Tier, lookup
from mm_core.testing.interpreter import interpret, lower
from mm_core.types import SequenceType, SymDim, TensorType, ValueType, as_dtype, evaluate, symbol, symbols

TOLERANCES: Mapping[str, float] = {
    "float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2, "complex64": 2e-5, "complex128": 1e-11,
}  # fmt: skip
"""Relative and absolute tolerance between a reference and its decomposition; other types must be equal."""

RegionMaker = Callable[[Graph, Sequence[Value | None]], Sequence[Graph]]
"""Makes the regions of an operation within a graph, for its operands."""


class OpcheckError(MMError):
    """Parts of an operator's definition contradict each other."""


@dataclass(frozen=True)
class OpcheckReport:
    """What was checked. `unknown` lists results' sizes that inference left open although every input size was named."""

    op: str
    variants: tuple[str, ...]
    unknown: tuple[str, ...]
    not_decomposed: tuple[str, ...]


def opcheck(
    op: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    regions: RegionMaker | None = None,
    types: Sequence[ValueType | None] | None = None,
    tolerance: float | None = None,
    symbolic: bool = True,
) -> OpcheckReport:
    """Check `op` on arrays (lists for sequences, None for absent operands). OpcheckError says what contradicts what.

    `types` are needed only for what arrays don't tell, such as an absent optional. `symbolic=False` leaves out the
    variant with symbolic sizes, for operators that need static ones.
    """
    check = _Check(lookup(op), tuple(inputs), dict(attributes or {}), regions, types, tolerance)
    static: dict[str, int] = {}
    variants = ["static", "known"]
    check.run("static", check.types, static, constants=False)
    unknown = check.run("known", check.types, static, constants=True)
    if symbolic:
        named, bindings = check.symbolic_types()
        unknown = check.run("symbolic", named, bindings, constants=True)
        variants.append("symbolic")
    return OpcheckReport(op, tuple(variants), tuple(unknown), tuple(check.not_decomposed))


class _Check:
    def __init__(
        self,
        definition: OpDef,
        inputs: tuple[Any, ...],
        attributes: dict[str, Any],
        regions: RegionMaker | None,
        types: Sequence[ValueType | None] | None,
        tolerance: float | None,
    ) -> None:
        self.definition = definition
        self.inputs = tuple(np.asarray(i) if isinstance(i, (np.ndarray, np.generic, int, float)) else i for i in inputs)
        self.attributes = attributes
        self.regions = regions
        self.types = list(types) if types is not None else [type_of(value) for value in self.inputs]
        self.tolerance = tolerance
        self.not_decomposed: list[str] = []
        if definition.tier is not Tier.COMPOSITE and not definition.has_reference:
            raise OpcheckError(f"{definition.name} is a primitive without a reference")
        if definition.tier is Tier.COMPOSITE and not definition.has_decomposition:
            raise OpcheckError(f"{definition.name} is a composite without a decomposition")

    def symbolic_types(self) -> tuple[list[ValueType | None], dict[str, int]]:
        """The inputs' types with every size but 1 a symbol of its own, and the sizes behind the symbols."""
        bindings: dict[str, int] = {}
        named: list[ValueType | None] = []
        for number, type_ in enumerate(self.types):
            if not isinstance(type_, TensorType) or type_.shape is None:
                named.append(type_)
                continue
            dims: list[Any] = []
            for axis, size in enumerate(type_.shape):
                name = f"s{number}_{axis}"
                dims.append(size if size == 1 else symbol(name))
                if size != 1:
                    bindings[name] = size  # type: ignore[assignment]
            named.append(type_.with_shape(dims))
        return named, bindings

    def run(
        self, variant: str, types: Sequence[ValueType | None], bindings: Mapping[str, int], *, constants: bool
    ) -> list[str]:
        """All comparisons for inputs of these types; returns the sizes that stayed unknown."""
        try:
            return self._compare(variant, types, bindings, constants)
        except OpcheckError:
            raise
        except MMError as error:
            raise OpcheckError(f"{self.definition.name}, {variant}: {error}", where=error.where) from error

    def _compare(
        self, variant: str, types: Sequence[ValueType | None], bindings: Mapping[str, int], constants: bool
    ) -> list[str]:
        network, arguments = self._network(types, constants)
        network.verify()
        text = str(network)
        if str(Network.from_text(text, network.weights())) != text:
            raise OpcheckError(f"{self.definition.name}, {variant}: the text form does not read back:\n{text}")
        expected = interpret(network, arguments)
        unknown: list[str] = []
        for index, (value, result) in enumerate(zip(network.outputs, expected)):
            where = f"{self.definition.name}, {variant}, result {index}"
            _check_type(where, value.type, result, bindings, unknown)
            _check_known(where, value, result, bindings)
        if self.definition.has_decomposition:
            refused = lower(network)
            self.not_decomposed.extend(refused)
            network.verify()
            for index, (mine, theirs) in enumerate(zip(interpret(network, arguments), expected)):
                self._check_equal(f"{self.definition.name}, {variant}, result {index}", mine, theirs)
            for index, (value, result) in enumerate(zip(network.outputs, expected)):
                where = f"the decomposition of {self.definition.name}, {variant}, result {index}"
                _check_type(where, value.type, result, bindings, [])
        return unknown

    def _network(self, types: Sequence[ValueType | None], constants: bool) -> tuple[Network, list[Any]]:
        """The operation alone in a network, and the arguments that the network takes."""
        network, arguments = Network("opcheck"), []
        operands: list[Value | None] = []
        for number, (value, type_) in enumerate(zip(self.inputs, types)):
            if type_ is None:
                operands.append(None)
            elif constants and _may_be_known(value):
                operands.append(network.constant(value))
            else:
                operands.append(network.add_typed_input(f"x{number}", type_))
                arguments.append(value)
        extra = {} if self.regions is None else {"regions": tuple(self.regions(network, operands))}
        results = network.op(self.definition.name, *operands, **self.attributes, **extra)
        for index, value in enumerate(results if isinstance(results, tuple) else (results,)):
            network.mark_output(value, f"y{index}")
        return network, arguments

    def _check_equal(self, where: str, mine: Any, theirs: Any) -> None:
        if isinstance(theirs, list):
            if len(mine) != len(theirs):
                raise OpcheckError(f"{where}: the decomposition gives {len(mine)} items, the reference {len(theirs)}")
            for left, right in zip(mine, theirs):
                self._check_equal(where, left, right)
        elif theirs is not None:
            assert_close(mine, theirs, f"{where}: decomposition and reference differ", self.tolerance)


def type_of(value: Any) -> ValueType | None:
    """The type of an array, or of a list of arrays; None for None."""
    if value is None:
        return None
    if isinstance(value, list):
        if not value:
            raise VerifyError("an empty list does not tell its type", remedy="pass types=")
        elements = [type_of(item) for item in value]
        first = elements[0]
        assert isinstance(first, TensorType)
        return SequenceType(first if all(e == first for e in elements) else TensorType(first.dtype, None))
    array = np.asarray(value)
    return TensorType(as_dtype(array.dtype), array.shape)


def assert_close(mine: Any, theirs: Any, what: str, tolerance: float | None = None) -> None:
    """OpcheckError unless both arrays have one type and shape and close elements (equal ones, for integers)."""
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        raise OpcheckError(f"{what}: {mine.dtype}{list(mine.shape)} and {theirs.dtype}{list(theirs.shape)}")
    dtype = as_dtype(theirs.dtype)
    allowed = TOLERANCES.get(dtype.name, 0.0) if tolerance is None else tolerance
    if dtype.kind == "string" or dtype.name in ("bool", "int64", "uint64"):
        same = np.asarray(mine == theirs, bool)
    else:
        wide = np.complex128 if dtype.kind == "complex" else np.float64
        same = np.isclose(mine.astype(wide), theirs.astype(wide), rtol=allowed, atol=allowed, equal_nan=True)
    if not same.all():
        place = tuple(map(int, np.argwhere(~same)[0]))
        raise OpcheckError(
            f"{what} in {int((~same).sum())} of {same.size} elements, first at {list(place)}: "
            f"{mine[place]!r} and {theirs[place]!r}"
        )


def _may_be_known(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "ib" and value.size <= MAX_KNOWN_ELEMENTS


def _check_type(where: str, type_: ValueType, result: Any, bindings: Mapping[str, int], unknown: list[str]) -> None:
    if not isinstance(type_, TensorType):
        for item in result if isinstance(result, list) else () if result is None else (result,):
            _check_type(where, type_.element, item, bindings, [])
        return
    if type_.shape is None:
        unknown.append(f"{where}: rank")
        return
    if len(type_.shape) != result.ndim:
        raise OpcheckError(f"{where}: inference says {type_}, the reference gives shape {list(result.shape)}")
    for axis, (dim, size) in enumerate(zip(type_.shape, result.shape)):
        if isinstance(dim, SymDim) and not symbols(dim) <= bindings.keys():
            unknown.append(f"{where}: size of axis {axis}")
        elif evaluate(dim, bindings) != size:
            raise OpcheckError(f"{where}: inference says {type_}, the reference gives shape {list(result.shape)}")


def _check_known(where: str, value: Value, result: Any, bindings: Mapping[str, int]) -> None:
    known = known_value(value)
    if known is None:
        return
    if known.shape != result.shape:
        raise OpcheckError(f"{where}: known values have shape {list(known.shape)}, the result {list(result.shape)}")
    for mine, theirs in zip(known.ravel().tolist(), result.flat):
        if mine is not None and evaluate(mine, bindings) != theirs:
            raise OpcheckError(f"{where}: inference knows {known.tolist()}, the reference gives {result.tolist()}")


__all__ = ["TOLERANCES", "OpcheckError", "OpcheckReport", "assert_close", "opcheck", "type_of"]
